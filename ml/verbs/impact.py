"""Ask what past forecasts were worth."""

from argparse import Namespace

import polars as pl

from ml.impact.asked import Asked, asked_for
from ml.impact.measure import Costs, impacts, outcomes
from ml.impact.page import to_json, write_page
from ml.lake import Lake
from ml.panel import load_history
from ml.served import place_of_served, read_served
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if stock by the forecasts would have cost no more than stock by last month's units."""
    lake, costs = Lake(settings.lake), Costs.assumed()
    whole = outcomes(lake, load_history(lake), costs)
    report = to_json(impacts(whole, costs), costs, _asked(options, whole))
    if options.report is not None:
        write_page(report, options.report)
    return Answer(report, yes=report["total"]["avoided_cents"] >= 0)


def _asked(options: Namespace, whole: pl.DataFrame) -> Asked | None:
    if options.served is None:
        return None
    served, unreadable = read_served(place_of_served(options.served))
    return asked_for(whole, served, unreadable)
