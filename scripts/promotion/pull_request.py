"""The text of a promotion's pull request: everything a reviewer needs, under the forges' limit."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from scripts.errors import Refused
from scripts.evidence.record import Evidence
from scripts.promotion import markdown
from scripts.promotion.secret_shapes import refuse_secrets
from scripts.promotion.shown_diff import shown
from scripts.release_file import Release

MAX_CHARACTERS = 60_000  # GitHub and Gitea take 65,536

_MAX_DIFF_CHARACTERS = 30_000
_FRAME_CHARACTERS = 120  # around a diff: fences, and the number of lines shown
_MAX_ROWS = 30
_DIGEST_CHARACTERS = 19  # of `sha256:` and twelve digits
_BLOCK = re.compile(r"^```json\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
_TEMPLATE = Path(__file__).with_name("pull_request.md.j2")


def title_of(evidence: Evidence) -> str:
    """One line: `production: model 12, image 9c0d7e2`."""
    release = evidence.release
    return f"{evidence.environment}: model {release.model_version}, image {release.image_tag}"


def promotion_body(evidence: Evidence, *, diffs: Mapping[str, str] | None, rollback: str) -> str:
    """Markdown of a promotion's pull request.

    Args:
        evidence: What stands in the commit.
        diffs: Difference of the rendered manifests by environment, None when nothing could render them.
        rollback: The one command that undoes it.

    Raises:
        Refused: It would show a secret, or is longer than a forge takes, even without the diffs.
    """
    return _rendered(
        diffs,
        title=title_of(evidence),
        requested_by=evidence.requested_by,
        before=evidence.replaces,
        after=evidence.release,
        evidence=evidence,
        digests=_digests(evidence),
        benchmark=_benchmark(evidence),
        rollback=rollback,
        block=_block(evidence.to_bytes().decode()),
    )


def rollback_body(
    title: str,
    environment: str,
    before: Release,
    after: Release,
    *,
    facts: dict[str, Any],
    diffs: Mapping[str, str] | None,
) -> str:
    """Markdown of a rollback's pull request; `facts` are `requested_by`, `reason` and `reverts`."""
    return _rendered(
        diffs,
        title=title,
        environment=environment,
        requested_by=facts["requested_by"],
        before=before,
        after=after,
        evidence=None,
        reason=facts["reason"],
        reverts=facts["reverts"],
        block=_block(json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)),
    )


def evidence_in(body: str) -> Evidence:
    """The evidence in the JSON block of a pull request.

    Raises:
        Refused: There is not exactly one block, or it is not evidence.
    """
    try:
        return Evidence.model_validate(json.loads(json_block(body)))
    except ValueError as error:
        raise Refused("bad_body", f"the JSON block is not evidence: {error}") from error


def json_block(body: str) -> str:
    """The text of the one JSON block in a pull request, whose lines a forge may end with CRLF.

    Raises:
        Refused: There is not exactly one.
    """
    blocks: list[str] = _BLOCK.findall(body.replace("\r\n", "\n"))
    if len(blocks) != 1:
        raise Refused("bad_body", f"the pull request has {len(blocks)} JSON blocks, one is needed")
    return blocks[0]


def _rendered(diffs: Mapping[str, str] | None, **values: Any) -> str:
    """The template's text; the diffs get the room that everything else leaves."""
    template = _template()
    bare = template.render(diffs=shown(diffs, 0), max_rows=_MAX_ROWS, **values)
    room = min(_MAX_DIFF_CHARACTERS, MAX_CHARACTERS - len(bare) - len(diffs or ()) * _FRAME_CHARACTERS)
    if room < 0:
        raise Refused(
            "body_too_long", f"the pull request has {len(bare)} characters, forges take {MAX_CHARACTERS}"
        )
    text = template.render(diffs=shown(diffs, room), max_rows=_MAX_ROWS, **values)
    refuse_secrets(text, "the pull request")
    return text


@cache
def _template() -> jinja2.Template:
    engine = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters.update(markdown.FILTERS)
    return engine.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _block(text: str) -> str:
    """JSON that cannot end its own fence."""
    return text.rstrip("\n").replace("`", "\\u0060")


def _digests(evidence: Evidence) -> list[tuple[str, str | None, str | None]]:
    """Rows of the images: name, digest now, digest after."""
    now, after = evidence.replaced_images, evidence.images
    return [(name, _short(now.get(name)), _short(after.get(name))) for name in sorted({*now, *after})]


def _short(digest: str | None) -> str | None:
    return f"{digest[:_DIGEST_CHARACTERS]}…" if digest else None


def _benchmark(evidence: Evidence) -> list[list[str]]:
    """The benchmark as escaped rows, the names of the columns first; nothing when there is none."""
    rows = evidence.benchmark[:_MAX_ROWS]
    columns = sorted({key for row in rows for key in row}, key=lambda key: (key != "candidate", key))
    cells = [[markdown.cell(markdown.number(row.get(column, ""))) for column in columns] for row in rows]
    return [[markdown.cell(column) for column in columns], *cells] if rows else []
