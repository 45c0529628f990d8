"""Logs are JSON lines; the bar appears on a terminal only."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from ml.terminal import log_to_stderr, progress_bar


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_stage_is_one_json_line_with_its_counts(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    logging.getLogger("ml.verbs.panel").info("panel_built", extra={"rows": 12})
    logging.getLogger("ml.verbs.panel").debug("not wanted")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["rows"], told["level"], told["logger"]) == (
        "panel_built",
        12,
        "info",
        "ml.verbs.panel",
    )
    assert told["time"].endswith("+00:00")


def test_an_exception_stays_in_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("ml").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_without_a_terminal_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress:
        progress(1, 2, "fit naive")
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_bar_shows_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar() as progress:
        progress(1, 4, "fit naive")
        progress(3, 4, "fit mix")
    shown = capsys.readouterr().err
    assert "fit naive" in shown
    assert "3/4" in shown
