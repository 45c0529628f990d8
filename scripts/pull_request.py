"""The text of a promotion's pull request: everything a reviewer needs, under the forges' limit."""

import json
import re
from pathlib import Path

import jinja2

from scripts.errors import Refused
from scripts.evidence import Evidence

MAX_CHARACTERS = 60_000  # GitHub and Gitea take 65,536

_MAX_DIFF_CHARACTERS = 30_000
_MAX_BENCHMARK_ROWS = 30
_MAX_CELL_CHARACTERS = 400
_BLOCK = re.compile(r"^```json\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_TEMPLATE = Path(__file__).with_name("pull_request.md.j2")


def title_of(evidence: Evidence) -> str:
    """One line: `production: model 12, image 9c0d7e2`."""
    release = evidence.release
    return f"{evidence.environment}: model {release.model_version}, image {release.image_tag}"


def body_of(evidence: Evidence, *, diff: str | None, data_before: str, rollback: str) -> str:
    """Markdown of the pull request.

    Args:
        evidence: What stands in the commit.
        diff: Difference of the rendered manifests, None when nothing could render them.
        data_before: Data version of the release that is replaced.
        rollback: The one command that undoes it.
    """
    shown, note = _shown_diff(diff, evidence.environment)
    rows = list(evidence.benchmark[:_MAX_BENCHMARK_ROWS])
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = _environment().from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title_of(evidence),
        evidence=evidence,
        data_before=data_before,
        risk=evidence.risk,
        columns=columns,
        benchmark=[[_cell(_number(row.get(column, ""))) for column in columns] for row in rows],
        benchmark_left_out=len(evidence.benchmark) - len(rows),
        slots=_slots(evidence),
        diff=shown,
        diff_note=note,
        fence=_fence(shown),
        rollback=rollback,
        block=_block(evidence),
    )
    if len(text) > MAX_CHARACTERS:
        raise Refused("body_too_long", f"the pull request would have {len(text)} characters, forges take {MAX_CHARACTERS}")
    return text


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


def _block(evidence: Evidence) -> str:
    """JSON that cannot end its own fence."""
    return evidence.to_bytes().decode().rstrip("\n").replace("`", "\\u0060")


def _shown_diff(diff: str | None, environment: str) -> tuple[str, str]:
    if diff is None:
        return "", "kustomize is not installed where this was opened, so nothing was rendered; `make tools` builds it."
    if not diff:
        return "", f"**Empty**: the rendered manifests of {environment} do not change."
    if len(diff) <= _MAX_DIFF_CHARACTERS:
        return diff.rstrip("\n"), f"The rendered manifests of {environment} change in these lines:"
    lines = diff.splitlines()
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(kept) + len(line) > _MAX_DIFF_CHARACTERS:
            break
        kept.append(line)
    note = f"The first {len(kept)} of {len(lines)} lines; `kustomize build environments/{environment}` shows all."
    return "\n".join(kept), note


def _slots(evidence: Evidence) -> list[tuple[str, str]]:
    slots = {
        "calibration": evidence.calibration,
        "drift": evidence.drift,
        "data quality": evidence.data_quality,
        "traffic": evidence.traffic,
    }
    return [(name, json.dumps(slot, sort_keys=True) if slot else "not measured") for name, slot in slots.items()]


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701 - Markdown
    environment.filters.update(cell=_cell, number=_number, rule=lambda _: "---", row=lambda text: f"| {text} |")
    return environment


def _number(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    """Text that stays in its table cell and is neither markup nor HTML."""
    text = re.sub(r"\s+", " ", str(value))[:_MAX_CELL_CHARACTERS]
    return re.sub(r"([|`\\\[\]*_#])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;")).replace("@", "@\u200b")
