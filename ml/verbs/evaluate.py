"""Judge stored forecasts by what was sold."""

from argparse import Namespace
from dataclasses import asdict

from ml.forecast_table import month_errors
from ml.lake import Lake
from ml.panel import load_history
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:  # noqa: ARG001
    """Errors of every model in every month that is over."""
    lake = Lake(settings.lake)
    return Answer({"months": [asdict(error) for error in month_errors(lake, load_history(lake))]})
