"""Every answer of the gate has words of its own on the pages."""

from pathlib import Path
from typing import get_args

import pytest

from apps.console.evidence import Verdict
from apps.console.pages import Pages, Static
from apps.console.settings import ConsoleSettings
from ml.gate import Answer

WORDS = {
    "better": "better",
    "non_inferior": "not worse",
    "not_better": "not better",
    "worse": "worse",
    "refused": "refused by a guardrail",
    "not_enough_data": "not enough data",
}


@pytest.mark.parametrize("answer", get_args(Answer))
def test_an_answer_is_shown_in_words(answer: str) -> None:
    pages = Pages(ConsoleSettings(repository=Path("none")), Static())
    shown = pages._languages["en"].from_string('{% from "parts.html" import verdict %}{{ verdict(found) }}')
    assert f">{WORDS[answer]}<" in shown.render(found=Verdict(answer=answer, against="naive"))
