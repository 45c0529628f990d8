"""What both notebooks look at: a real gift shop where its data lies beside the checkout, a made-up one elsewhere."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np

from ml.history import History
from ml.ingest import accepted_events
from ml.panel import history_of_events
from ml.panel_file import read_panel
from ml.progress import silent
from ml.settings import MlSettings
from ml.synthetic import make_events

REAL = Path(__file__).parents[2] / "shared" / "data" / "online_retail_ii" / "monthly_product.parquet"
BLUE, RED, GREY = "#1b6ca8", "#c0504d", "#9fb8c8"


def shop() -> tuple[str, History]:
    """Name and months of the shop.

    The real one is "Online Retail II" (D. Chen, UCI 2019, CC BY 4.0): two years of an English wholesaler of gifts.
    """
    if REAL.is_file():
        return "Online Retail II", read_panel(REAL).history
    now = datetime(2026, 11, 20, tzinfo=UTC)
    settings = MlSettings()
    with tempfile.TemporaryDirectory() as folder:
        make_events(Path(folder), products=200, months=24)
        events = accepted_events(
            Path(folder),
            settings,
            mapping={},
            timezone=None,
            currency=None,
            allow=frozenset(),
            now=now,
            progress=silent,
        )
    return "made-up shop", history_of_events(events, settings, now)[0]


def largest(history: History, count: int) -> History:
    """The best-selling products, in the order of the history."""
    rows = np.sort(np.argsort(-np.nansum(history.units, axis=1))[:count])
    return replace(
        history,
        product_ids=tuple(history.product_ids[row] for row in rows),
        categories=tuple(history.categories[row] for row in rows),
        units=history.units[rows],
        price_cents=history.price_cents[rows],
        extra={name: values[rows] for name, values in history.extra.items()},
        plan={name: values[rows] for name, values in history.plan.items()},
    )


def quiet_axes() -> None:
    """Small pictures with little ink, which stay readable on a forge's page."""
    mpl.rcParams |= {
        "figure.dpi": 80,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "font.size": 9,
    }
