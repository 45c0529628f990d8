"""Make the events of a made-up shop."""

from argparse import Namespace

from ml.settings import MlSettings
from ml.synthetic import make_events
from ml.terminal import progress_bar
from ml.verbs import Answer


def run(options: Namespace, settings: MlSettings) -> Answer:  # noqa: ARG001
    """Write one Parquet file a month."""
    with progress_bar() as progress:
        report = make_events(
            options.out,
            products=options.products,
            months=options.months,
            seed=options.seed,
            end=options.end,
            shift=options.shift,
            progress=progress,
        )
    return Answer(report.to_json())
