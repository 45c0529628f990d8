"""The model card: what a model is, what it learned from, how good it was, and where it should not be trusted.

The sections are those of Mitchell et al. (2019), as far as they apply to demand. The text is a function of data,
code and seed, so it can be part of the bundle.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from ml.evaluation import Backtest, Row
from ml.papers import calibration, segments

SCORES_SHOWN: Final = ("pinball", "rmsse", "wape", "bias", "coverage_80", "calibration_gap")
UNKNOWN: Final = "-"
_PARAGRAPH: Final = "\n\n"

_SCORES: Final = """\
`pinball` is the mean pinball loss over eight levels from .05 to .99, and `rmsse` the error of the mean, both in usual
changes from month to month; `wape` and `bias` are shares of the units sold; `coverage 80` is the share inside the 80 %
interval; `calibration gap` is how far the worst level is off."""

_LIMITS: Final = """\
- It forecasts one month ahead, per product, from what was sold. Sales are not demand where stock ran out.
- It is gross demand; returns are counted apart.
- Months are not exchangeable under trend and season: coverage was measured in the tested months and is no guarantee
  for the next one. `python -m ml drift` says when a month no longer looks like these.
- It does not know what it was not given: a price change, a campaign, a competitor, a listing that ends.
- A product in its first months is forecast from its category's newcomers. Products that are not listed yet are in no
  forecast, so totals leave them out.
- It describes products, not people, and decides nothing about a person."""


def model_card(
    tested: Backtest, paper: Mapping[str, Any], *, title: str, facts: Mapping[str, str], command: str
) -> str:
    """Markdown, the same bytes for the same backtest.

    Args:
        tested: The backtest.
        paper: Of `ml.papers.by_month_and_class`; the first candidate beside makes the ratios of segments.
        title: First line.
        facts: What else is to be said of model and data, by name.
        command: That makes the model again.
    """
    history, name, beside = tested.history, paper["candidate"], paper["beside"]
    candidate = tested.candidates[name]
    parts = [
        f"# {title}",
        _what(candidate.__doc__ or "", candidate.family, name),
        "## Data",
        _table(
            ("", ""),
            [
                ("series", f"{history.n:,}"),
                ("categories", f"{len(set(history.categories)):,}"),
                ("periods", f"{history.T}, {history.months[0]} to {history.months[-1]}"),
                ("units sold", f"{np.nansum(history.units):,.0f}"),
                *facts.items(),
            ],
        ),
        "## How good it was",
        _tested(tested, paper),
        _benchmark(tested.table(), name),
        _SCORES,
        "By tested period:",
        _months(paper, beside),
        "## Calibration",
        _calibration(paper, calibration(tested, name)),
        "## Segments",
        *_segments(tested, name, beside),
        "## Limits",
        _LIMITS,
        "## How to make it again",
        f"    {command}",
    ]
    return _PARAGRAPH.join(parts) + "\n"


def _what(text: str, family: str, name: str) -> str:
    return f"`{name}`, family {family}: {' '.join(text.partition(_PARAGRAPH)[0].split())}"


def _tested(tested: Backtest, paper: Mapping[str, Any]) -> str:
    units = tested.history.units[:, list(tested.origins)]
    sold, judged = np.nansum(units), np.nansum(np.where(tested.eligible, units, 0.0))
    share = _number(1 - judged / sold if sold > 0 else None, percent=True)
    return (
        f"{paper['observations']:,} forecasts of {paper['first_month']} to {paper['last_month']}, each by a model"
        " fitted and calibrated on the months before. Products that are new or hardly sell are forecast too and"
        f" not judged: {share} of the units."
    )


def _benchmark(rows: Sequence[Row], name: str) -> str:
    known = [row for row in rows if row["pinball"] is not None]
    known.sort(key=lambda row: float(row["pinball"] or 0.0))
    body = [
        (
            f"**{row['candidate']}**" if row["candidate"] == name else str(row["candidate"]),
            *(_score(score, row[score]) for score in SCORES_SHOWN),
        )
        for row in known
    ]
    return _table(("candidate", *(score.replace("_", " ") for score in SCORES_SHOWN)), body)


def _months(paper: Mapping[str, Any], beside: Sequence[str]) -> str:
    names = (paper["candidate"], *beside)
    body = [
        (
            month["month"],
            f"{month['observations']:,}",
            *(_number(month["pinball"][each]) for each in names),
            _number(month["wape"][paper["candidate"]], percent=True),
            _number(month["coverage_80"], percent=True),
        )
        for month in paper["months"]
    ]
    losses = (f"loss of {each}" for each in names)
    return _table(("period", "forecasts", *losses, "WAPE", "in the 80 % interval"), body)


def _calibration(paper: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    held = [
        (_number(row["level"], percent=True), _number(row["covered"], percent=True))
        for row in intervals["intervals"]
    ]
    levels = [
        (f"{row['level']:g}", _number(row["below"], percent=True), _number(row["up_to"], percent=True))
        for row in paper["levels"]
    ]
    pit = ", ".join(_number(share, percent=True) for share in paper["pit"] or ()) or UNKNOWN
    return _PARAGRAPH.join(
        (
            "How many outcomes lay in each interval, ends included:",
            _table(("interval", "outcomes in it"), held),
            "How many lay below each quantile and up to it; a right quantile has its level between both:",
            _table(("level", "below", "up to"), levels),
            f"Share of outcomes in each tenth of their forecast distribution (PIT), 10 % each if right: {pit}.",
        )
    )


def _segments(tested: Backtest, name: str, beside: Sequence[str]) -> list[str]:
    if not beside:
        return ["No other candidate was tested beside it."]
    rows = segments(tested, name, beside[0])["rows"]
    body = [
        (
            *(row["kind"], row["name"].replace("|", "\\|"), f"{row['observations']:,}"),
            *(_number(row[each]) for each in ("challenger", "champion", "ratio")),
        )
        for row in rows
    ]
    head = ("part by", "part", "forecasts", f"loss of {name}", f"loss of {beside[0]}", "ratio")
    return ["Mean scaled pinball loss of each part of the portfolio:", _table(head, body)]


def _score(score: str, value: Any) -> str:
    return _number(value, percent=score in {"wape", "bias", "coverage_80", "calibration_gap"})


def _number(value: float | None, *, percent: bool = False) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.1%}".replace("%", " %") if percent else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
