"""Requests that Schemathesis makes from the OpenAPI document, by its rules and against them, get what it promises.

`make soak` makes 50,000, a thousand to a seed; `pytest -s` shows how far it is. What no schema can say (a year before
1970, 255.0 for an integer) may be refused.
"""

import itertools
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.collector.main import create
from apps.collector.settings import CollectorSettings

KEY = "k" * 16
CASES, SOAK_CASES = 20, 50_000
CASES_A_SEED = 1_000
"""Hypothesis remembers what it drew, so many cases of one seed cost more each than those of several."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return create(
        CollectorSettings(
            inbox=tmp_path / "inbox.sqlite", api_key=SecretStr(KEY), pseudonym_key=SecretStr("p" * 32)
        )
    )


def answers(app: FastAPI, cases: int, number: int = 0) -> Counter[str]:
    """How many cases of `POST /events` that a seed draws were answered how; each is checked against the document."""
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)["/events"]["POST"]
    good, bad = (
        operation.as_strategy(generation_mode=mode)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    )
    seen = Counter[str]()

    @seed(number)
    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(good, bad))
    def ask(case: Any) -> None:
        answer = case.call(headers={"X-API-Key": KEY})
        seen[f"{case.media_type} {int(answer.status_code)}"] += 1
        case.validate_response(answer, checks=CHECKS)

    try:
        ask()
    except FailureGroup as found:
        found.add_note(f"found by case {seen.total()} of seed {number}")
        raise
    return seen


def campaign(app: FastAPI, cases: int, cases_a_seed: int) -> Counter[str]:
    """At least so many cases, seed after seed, with a line about each."""
    seen, started = Counter[str](), time.monotonic()
    for number in itertools.count():
        if seen.total() >= cases:
            break
        seen += answers(app, cases_a_seed, number)
        minutes = (time.monotonic() - started) / 60
        print(  # noqa: T201
            f"seed {number}: {seen.total():,} of {cases:,} cases, {seen.total() / minutes:,.0f} a minute",
            flush=True,
        )
    return seen


def test_answers_are_as_the_document_says(app: FastAPI, capsys: pytest.CaptureFixture[str]) -> None:
    seen = campaign(app, CASES, CASES // 2)
    assert {name.partition(" ")[2] for name in seen} >= {"202", "422"}, seen
    assert f"{seen.total()} of {CASES} cases" in capsys.readouterr().out


@pytest.mark.soak
def test_many_answers_are_as_the_document_says(app: FastAPI) -> None:
    started = time.process_time()
    seen = campaign(app, SOAK_CASES, CASES_A_SEED)
    print(  # noqa: T201
        f"{seen.total()} cases, {time.process_time() - started:.0f} s of processor, nothing found: {dict(seen)}"
    )


def test_an_answer_that_is_not_documented_is_found(app: FastAPI) -> None:
    """The control of the tests above."""
    document = app.openapi()
    del document["paths"]["/events"]["post"]["responses"]["422"]
    with pytest.raises(FailureGroup, match="Undocumented"):
        answers(app, CASES)
