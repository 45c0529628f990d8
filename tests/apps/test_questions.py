"""Whatever a planner asks, in whatever order: no 5xx, and nothing that the OpenAPI documents do not say."""

from pathlib import Path

import httpx
import pytest

from tests.apps.documents import Document
from tests.apps.questions import campaign

CASES, SOAK_CASES = 500, 50_000


@pytest.mark.parametrize("cases", [CASES, pytest.param(SOAK_CASES, marks=pytest.mark.soak)])
def test_every_answer_is_documented_and_agrees_with_those_before(tmp_path: Path, cases: int) -> None:
    report = campaign(tmp_path, cases, seed=7)
    assert report["faults"] == []
    assert report["cases"] >= cases
    answered = {name.rpartition(" ")[0] for name in report["answers"] if name.endswith(" 200")}
    assert answered >= {
        "forecast GET /forecast",
        "forecast POST /forecast",
        "forecast POST /reload",
        "decision POST /decision",
        "decision POST /decision/portfolio",
    }


def document() -> Document:
    schema = {"type": "object", "required": ["units"], "properties": {"units": {"type": "number"}}}
    answers = {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Units"}}}}}
    return Document(
        {"paths": {"/units": {"get": {"responses": answers}}}, "components": {"schemas": {"Units": schema}}}
    )


@pytest.mark.parametrize(
    ("status", "kind", "content", "template", "fault"),
    [
        (200, "application/json", b'{"units":1.5}', "/units", None),
        (200, "application/json", b'{"units":"x"}', "/units", "another form"),
        (200, "text/plain", b"1.5", "/units", "200 as 'text/plain' is not documented"),
        (404, "application/problem+json", b"{}", "/units", "404 is not documented"),
        (404, "application/problem+json", b"{}", None, None),
        (200, "application/json", b"{}", None, "200 of no route"),
        (500, "application/problem+json", b"{}", "/units", "500"),
    ],
)
def test_what_a_document_does_not_say_is_found(
    status: int, kind: str, content: bytes, template: str | None, fault: str | None
) -> None:
    """The control of the campaign."""
    answer = httpx.Response(
        status,
        headers={"Content-Type": kind},
        content=content,
        request=httpx.Request("GET", "http://x/units"),
    )
    found = document().fault(template, answer)
    assert found == fault if fault is None else (found or "").startswith(fault)
