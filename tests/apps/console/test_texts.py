"""Every sentence is in the table of every language, and no template holds a word that is in none."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jinja2 import Environment

from apps.console import formats, turkish
from apps.console.formats import DASH, MINUS
from apps.console.main import create
from apps.console.pages import _FORMATS
from apps.console.texts import LANGUAGES, Words, chosen
from tests.apps.client import answering
from tests.apps.console.repository import promoted
from tests.apps.console.test_console import settings
from tests.repository.imports import ROOT

TEMPLATES = sorted((ROOT / "apps/console/templates").glob("*.html"))
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
NAMES = {"purchase-prediction", "P10", "P90", "python", "-m", "apps.console", "user", "--help", "MLflow"}
"""Words that are the same in every language."""
SPOKEN = ("aria-label", "title", "placeholder", "alt")


def sentences() -> set[str]:
    found = set()
    for path in TEMPLATES:
        environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
        for _, _, message in environment.extract_translations(path.read_text()):  # type: ignore[attr-defined]
            if message is not None:  # a word that only data knows
                found.add(message if isinstance(message, str) else message[0])
    return found


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_a_table_has_every_sentence_and_no_other(language: str) -> None:
    table = Words(language).table
    assert len(table) > 250
    assert set(table) == sentences()
    assert not [key for key, text in table.items() if not text.strip()]


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_a_translation_fills_in_what_the_sentence_does(language: str) -> None:
    for key, text in Words(language).table.items():
        assert sorted(PLACEHOLDER.findall(key)) == sorted(PLACEHOLDER.findall(text)), key
        rest = PLACEHOLDER.sub("", text).replace("%%", "")
        assert "%" not in rest, f"{text!r}: write %% for a per cent sign"


def bare_words(template: str) -> set[str]:
    """Words of a template outside of expressions, in its text and in what is read aloud of its elements."""
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", " ", template, flags=re.DOTALL)
    spoken = re.findall(rf'\b(?:{"|".join(SPOKEN)})="([^"]*)"', text)
    shown = re.sub(r"<[^>]*>|&\w+;", " ", text)
    words = re.findall(r"[\w.-]*[^\W\d_][\w.-]*", " ".join([shown, *spoken]))
    return set(words) - NAMES


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_bare_word(path: Path) -> None:
    assert bare_words(path.read_text()) == set()


def test_a_bare_word_is_seen() -> None:
    """The control of the test above."""
    assert bare_words('<p title="Hi {{ x }}">{{ _("in the table") }} there</p>') == {"Hi", "there"}


@pytest.mark.parametrize(
    ("accept", "preferred", "expected"),
    [
        ("tr", None, "tr"),
        ("tr-TR,tr;q=0.9,en;q=0.8", None, "tr"),
        ("de,en;q=0.5,tr;q=0.7", None, "tr"),
        ("en-GB,tr;q=0.9", None, "en"),
        ("tr;q=0", None, "en"),
        ("tr;q=x,,;q=1", None, "en"),
        ("", None, "en"),
        ("en", "tr", "tr"),
        ("tr", "klingon", "tr"),
    ],
)
def test_the_language_is_what_was_chosen_or_what_the_browser_asks_for(
    accept: str, preferred: str | None, expected: str
) -> None:
    assert chosen(accept, preferred) == expected


def test_numbers_and_moments_are_written_as_in_turkish() -> None:
    at = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)
    assert turkish.number(-1234.5) == f"{MINUS}1.234,5"
    assert (turkish.units(12.34), turkish.units(1234)) == ("12,3", "1.234")
    assert (turkish.percent(0.125, 1), turkish.percent(-0.32), turkish.percent(None)) == (
        "%12,5",
        f"{MINUS}%32",
        DASH,
    )
    assert (
        turkish.signed("%12"),
        turkish.signed(f"{MINUS}%12"),
        turkish.signed("%0"),
        turkish.signed("3"),
    ) == (
        *("+%12", f"{MINUS}%12", "%0"),
        "+3",
    )
    assert (turkish.money(123_450), turkish.duration(9_000)) == ("1.234,50", "2,5\N{NO-BREAK SPACE}sa")
    assert turkish.moment(at) == "22.11.2026 16:30 UTC"
    assert all(hasattr(each, name) for each in (formats, turkish) for name in _FORMATS)


def test_a_page_is_in_the_language_of_the_browser_until_another_is_chosen(tmp_path: Path) -> None:
    promoted(tmp_path / "repository.git")
    with answering(create(settings(tmp_path / "repository.git"))) as client:
        assert '<html lang="en">' in client.get("/sign-in").text
        page = client.get("/sign-in", headers={"Accept-Language": "tr-TR"}).text
        assert ('<html lang="tr">' in page, "Giriş yap" in page) == (True, True)
        assert client.get("/language/tr?back=//evil.example").headers["location"] == "/"
        assert "Giriş yap" in client.get("/sign-in").text
        assert client.get("/language/xx?back=/sign-in").headers["location"] == "/sign-in"
        assert "Giriş yap" in client.get("/sign-in").text
