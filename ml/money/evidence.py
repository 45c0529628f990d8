"""What the stock decisions of a challenger would have earned beside those of the champion, for its reviewer."""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ml.choice import number
from ml.evaluation import Backtest
from ml.inference import ratio_error, student_quantile
from ml.money.dependence import MOST_ROWS
from ml.money.past_forecasts import PastForecasts
from ml.money.picture import money_png
from ml.money.policies import OURS, PERFECT, distribution
from ml.money.replay import RATIOS, Floats, earned, replay

PAPER: Final = "money.json"
PICTURE: Final = "money.png"
CHAMPION: Final = "champion"

FALSE_ALARM: Final = 0.05
"""Chance that a challenger which earns the same seems to earn less at one of the ratios."""


def money_papers(tested: Backtest, challenger: str, champion: str, seed: int) -> dict[str, bytes | str]:
    """JSON and a picture by name; nothing where no forecast counts or nothing was sold.

    Both candidates' forecasts in the backtest are replayed: no model is fitted for it.
    """
    if not tested.eligible.any():
        return {}
    ours, theirs = (PastForecasts.of_backtest(tested, name, MOST_ROWS) for name in (challenger, champion))
    if not ours.actual.any():
        return {}
    report = replay(ours, seed, others={CHAMPION: lambda _, ratio: distribution(theirs, ratio)})
    rows = [_row(ours, theirs, margin) for margin in report["margins"]]
    counts = {name: report[name] for name in ("rows", "series", "periods")}
    paper = {"against": champion, **counts, "margins": rows}
    return {PAPER: json.dumps(paper, indent=1), PICTURE: money_png(report)}


def _row(ours: PastForecasts, theirs: PastForecasts, margin: Mapping[str, Any]) -> dict[str, Any]:
    """Shares of the profit of perfect information, and the interval of what the challenger has beyond the champion."""
    ratio, policies = margin["ratio"], margin["policies"]
    rivals = [name for name in policies if name not in (OURS, PERFECT, CHAMPION)]
    gain = {name: number(value) for name, value in _gain(ours, theirs, ratio).items()}
    return {
        "ratio": ratio,
        "challenger": policies[OURS]["share_of_perfect"],
        "champion": policies[CHAMPION]["share_of_perfect"],
        "rules": {name: policies[name]["share_of_perfect"] for name in rivals},
        **gain,
    }


def _gain(ours: PastForecasts, theirs: PastForecasts, ratio: float) -> dict[str, float]:
    """Challenger's profit less the champion's over that of perfect information, with its interval.

    Clustered by product and by month; so wide that all ratios together miss a true zero on the lower side
    with the chance `FALSE_ALARM` (Bonferroni).
    """
    series, period = (np.unique(column, return_inverse=True)[1] for column in (ours.series, ours.period))
    shape = (int(series.max()) + 1, int(period.max()) + 1)
    stocks = [distribution(past, ratio) for past in (ours, theirs)]
    ahead = np.subtract(*(earned(ours.actual, stock, ratio) for stock in stocks))

    def table(values: Floats) -> Floats:
        full = np.zeros(shape)
        full[series, period] = values
        return full

    perfect, tested = table(ratio * ours.actual), table(np.ones(len(series))) > 0
    gain = float(ahead.sum() / perfect.sum())
    error, freedom = ratio_error(table(ahead), perfect, tested)
    reach = student_quantile(1 - FALSE_ALARM / len(RATIOS), freedom) * error
    return {"gain": gain, "lower": gain - reach, "upper": gain + reach}
