"""Replay stock decisions on past periods and say what each policy would have earned."""

import json
import logging
from argparse import Namespace

from ml.errors import ModelNotFound
from ml.evaluation import backtest
from ml.lake import Lake
from ml.models import CANDIDATES, RECIPE
from ml.money.past_forecasts import PastForecasts
from ml.money.picture import money_png
from ml.money.replay import replay
from ml.panel import load_history
from ml.settings import MlSettings
from ml.terminal import progress_bar
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if deciding by the whole distribution earned at least as much as every other rule."""
    past = (
        PastForecasts.read(options.forecasts, options.panel, options.candidate)
        if options.forecasts
        else _backtested(options.candidate or RECIPE, settings)
    )
    _LOG.info("forecasts_read", extra={"rows": len(past.actual)})
    report = replay(past, settings.random_seed)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "money.json").write_text(json.dumps(report, indent=2) + "\n")
        (options.out / "money.png").write_bytes(money_png(report))
    return Answer(report, yes=report["ours_is_best"])


def _backtested(candidate: str, settings: MlSettings) -> PastForecasts:
    if candidate not in CANDIDATES:
        raise ModelNotFound(f"no candidate {candidate!r}; there are {', '.join(CANDIDATES)}")
    history = load_history(Lake(settings.lake), None)
    with progress_bar() as progress:
        tested = backtest(
            history, {candidate: CANDIDATES[candidate]}, seed=settings.random_seed, progress=progress
        )
    return PastForecasts.of_backtest(tested, candidate)
