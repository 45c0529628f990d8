"""The Turkish pages say what the English ones do: the same headings, commands and tables, and no dead links."""

import re
from pathlib import Path

import pytest

from scripts.observability.objectives import FILE, read
from tests.observability.runbook import blocks, inline
from tests.repository.imports import ROOT

DOCS = ROOT / "docs"
PAGES = ("runbook", "operations")
OURS = ("python -m", "kubectl", "argo")
TURKISH = {
    "**Meaning.**": "**Anlamı.**",
    "**Impact.**": "**Etkisi.**",
    "**Diagnosis.**": "**Teşhis.**",
    "**Mitigation.**": "**Çözüm.**",
}


SAME = re.compile(r"`[^`]+`|\b[A-Z][a-z]+[A-Z]\w+|Watchdog|^\d+$")
EXACT = re.compile(r"page|ticket|none|[\d.]+( %)?")


def text(page: str) -> str:
    return (DOCS / f"{page}.md").read_text()


def headings(page: str) -> list[tuple[str, str]]:
    """Level of each heading, and its words where they are an alert's name."""
    found = re.findall(r"^(#+) (.+)$", text(page), re.MULTILINE)
    return [
        (level, words if re.fullmatch(r"[A-Z][a-z]+[A-Z]\w+|Watchdog", words) else "")
        for level, words in found
    ]


def commands(page: str) -> list[str]:
    return [each for each in (*blocks(text(page)), *inline(text(page))) if each.startswith(OURS)]


def tables(page: str) -> list[list[str]]:
    """Of each row the number of cells, its alert, number or code, and every cell that is a severity or a share."""
    rows = [line.strip("| ").split(" | ") for line in text(page).splitlines() if line.startswith("| ")]
    return [[str(len(row)), *SAME.findall(row[0]), *filter(EXACT.fullmatch, row[1:])] for row in rows]


def slugs(page: Path) -> set[str]:
    """The anchors that a forge makes of headings."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in found}


@pytest.mark.parametrize("page", PAGES)
def test_both_have_the_same_headings(page: str) -> None:
    assert headings(f"{page}.tr") == headings(page)


@pytest.mark.parametrize("page", PAGES)
def test_both_have_the_same_commands(page: str) -> None:
    assert commands(f"{page}.tr") == commands(page)
    assert commands(page)


@pytest.mark.parametrize("page", PAGES)
def test_both_have_the_same_tables(page: str) -> None:
    assert tables(f"{page}.tr") == tables(page)
    assert tables(page)


def test_every_alert_has_the_same_parts_in_the_same_order() -> None:
    english = re.findall(r"^\*\*\w+\.\*\*", text("runbook"), re.MULTILINE)
    turkish = re.findall(r"^\*\*\w+\.\*\*", text("runbook.tr"), re.MULTILINE)
    assert [TURKISH[each] for each in english] == turkish
    assert len(turkish) >= 100


@pytest.mark.parametrize("page", [f"{page}{end}" for page in PAGES for end in ("", ".tr")])
def test_every_link_leads_to_a_heading(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text(page)):
        if "://" in target:
            continue
        file = (DOCS / target).resolve() if target else DOCS / f"{page}.md"
        assert file.exists(), target
        assert not anchor or anchor in slugs(file), (target, anchor)


def test_the_turkish_page_names_every_promise() -> None:
    slo = read(FILE.read_text())
    for each in slo.conditions:
        assert re.search(
            rf"^\| {each.alert} \| .+ \| {each.severity} \| {each.owner} \|$",
            text("operations.tr"),
            re.MULTILINE,
        )
    for promise in slo.objectives:
        share = f"{promise.objective * 100:.12g} %"
        assert f"| {promise.service} | {promise.name} | {share} | {promise.severity} |" in text(
            "operations.tr"
        )


def test_a_command_or_a_row_that_one_page_lacks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    for name in ("runbook", "operations"):
        for end, lost in ((".tr", "python -m ml train"), ("", "no such text")):
            (tmp_path / f"{name}{end}.md").write_text(
                text(f"{name}{end}")
                .replace(lost, "x")
                .replace("| 95 % | ticket |", "| 94 % | ticket |" if end else "| 95 % | ticket |")
            )
    monkeypatch.setattr("tests.observability.test_languages.DOCS", tmp_path)
    assert commands("runbook.tr") != commands("runbook")
    assert tables("operations.tr") != tables("operations")
