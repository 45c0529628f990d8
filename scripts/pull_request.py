"""The text of a promotion's pull request: everything a reviewer needs, under the forges' limit."""

import json
import re
from pathlib import Path
from typing import Any

import jinja2

from scripts.errors import Refused
from scripts.evidence import Evidence
from scripts.release_file import Release

MAX_CHARACTERS = 60_000  # GitHub and Gitea take 65,536

_MAX_DIFF_CHARACTERS = 30_000
_MAX_BENCHMARK_ROWS = 30
_MAX_CELL_CHARACTERS = 400
_BLOCK = re.compile(r"^```json\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_LONGEST_RUN = "`" * 40
_LONG_RUN = re.compile(_LONGEST_RUN + "+")
_TEMPLATE = Path(__file__).with_name("pull_request.md.j2")
_NO_BREAK = "\u200b"  # after an @, so that nobody is called by a file name


def title_of(evidence: Evidence) -> str:
    """One line: `production: model 12, image 9c0d7e2`."""
    release = evidence.release
    return f"{evidence.environment}: model {release.model_version}, image {release.image_tag}"


def promotion_body(evidence: Evidence, *, diff: str | None, rollback: str) -> str:
    """Markdown of a promotion's pull request.

    Args:
        evidence: What stands in the commit.
        diff: Difference of the rendered manifests, None when nothing could render them.
        rollback: The one command that undoes it.
    """
    rows = list(evidence.benchmark[:_MAX_BENCHMARK_ROWS])
    columns = sorted({key for row in rows for key in row}, key=lambda key: (key != "candidate", key))
    return _rendered(
        evidence.environment,
        diff,
        title=title_of(evidence),
        requested_by=evidence.requested_by,
        before=evidence.replaces,
        after=evidence.release,
        evidence=evidence,
        risk=evidence.risk,
        columns=columns,
        benchmark=[[_cell(_number(row.get(column, ""))) for column in columns] for row in rows],
        benchmark_left_out=len(evidence.benchmark) - len(rows),
        slots=_slots(evidence),
        rollback=rollback,
        block=_block(evidence.to_bytes().decode()),
    )


def rollback_body(
    title: str, environment: str, before: Release, after: Release, *, facts: dict[str, Any], diff: str | None
) -> str:
    """Markdown of a rollback's pull request; `facts` are `requested_by`, `reason` and `reverts`."""
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    return _rendered(
        environment,
        diff,
        title=title,
        requested_by=facts["requested_by"],
        before=before,
        after=after,
        evidence=None,
        reason=facts["reason"],
        reverts=facts["reverts"],
        block=_block(text),
    )


def evidence_in(body: str) -> Evidence:
    """The evidence in the JSON block of a pull request.

    Raises:
        Refused: There is not exactly one block, or it is not evidence.
    """
    blocks = _BLOCK.findall(body)
    if len(blocks) != 1:
        raise Refused("bad_body", f"the pull request has {len(blocks)} JSON blocks, one is needed")
    try:
        return Evidence.model_validate(json.loads(blocks[0]))
    except ValueError as error:
        raise Refused("bad_body", f"the JSON block is not evidence: {error}") from error


def _rendered(environment: str, diff: str | None, **values: Any) -> str:
    shown, note = _shown_diff(diff, environment)
    engine = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - Markdown
    engine.filters.update(
        cell=_cell, code=_code, number=_number, row=lambda cells: f"| {' | '.join(cells)} |"
    )
    template = engine.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(diff=shown, diff_note=note, fence=_fence(shown), **values)
    if len(text) > MAX_CHARACTERS:
        raise Refused(
            "body_too_long", f"the pull request has {len(text)} characters, forges take {MAX_CHARACTERS}"
        )
    return text


def _block(text: str) -> str:
    """JSON that cannot end its own fence."""
    return text.rstrip("\n").replace("`", "\\u0060")


def _shown_diff(diff: str | None, environment: str) -> tuple[str, str]:
    if diff is None:
        return (
            "",
            "Nothing was rendered: there was no kustomize where this was opened; `make tools` builds it.",
        )
    if not diff:
        return "", f"**Empty**: the rendered manifests of {environment} do not change."
    lines = _LONG_RUN.sub(_LONGEST_RUN, diff).splitlines()
    kept: list[str] = []
    room = _MAX_DIFF_CHARACTERS
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    note = f"The rendered manifests of {environment} change in these lines:"
    if len(kept) < len(lines):
        all_lines = f"`kustomize build environments/{environment}` shows all"
        note = f"The first {len(kept)} of {len(lines)} lines; {all_lines}."
    return "\n".join(kept), note


def _slots(evidence: Evidence) -> list[tuple[str, str]]:
    slots = {
        "calibration": evidence.calibration,
        "drift": evidence.drift,
        "data quality": evidence.data_quality,
        "traffic": evidence.traffic,
    }
    texts = {
        name: json.dumps(slot, sort_keys=True) if slot else "not measured" for name, slot in slots.items()
    }
    return list(texts.items())


def _fence(text: str) -> str:
    """Backticks that the text cannot end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _code(value: object) -> str:
    """Text that stays in its code span."""
    return re.sub(r"[`|\s]+", " ", str(value))[:_MAX_CELL_CHARACTERS]


def _number(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    """Text that stays in its table cell and is neither markup nor HTML."""
    text = re.sub(r"\s+", " ", str(value))[:_MAX_CELL_CHARACTERS]
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("@", f"@{_NO_BREAK}")
    return re.sub(r"([|`\\\[\]*_#])", r"\\\1", text)
