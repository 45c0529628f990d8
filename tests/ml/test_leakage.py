"""What happens at or after an origin changes nothing of what was known before it, and skill comes from order."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ml import metrics
from ml.distribution import LEVELS
from ml.evaluation import backtest
from ml.features import build, category_totals, scale
from ml.history import History
from ml.lake import Lake
from ml.models import CANDIDATES
from ml.panel import build_panel, load_history
from ml.settings import MlSettings
from tests.ml.models.series import series
from tests.ml.small_models import small_bundle
from tests.ml.small_shop import row, take, write

SETTINGS = MlSettings(shop_zone="Europe/Istanbul")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ORIGIN = "2025-06"
"""The last month that is known; the next begins at 21:00 UTC of its last day."""

CUT = datetime(2025, 6, 30, 21, tzinfo=UTC)
Rows = list[dict[str, Any]]
Known = tuple[History, np.ndarray[Any, Any], list[bytes]]


def before() -> Rows:
    """Eighteen months of five products with returns, orders that were cancelled and one giant order."""
    rng = np.random.default_rng(3)
    start = datetime(2024, 1, 2, 8, tzinfo=UTC)
    rows = [
        row(
            event_type="purchase",
            product_id=f"P{i % 5}",
            category="xyz"[i % 3],
            event_time=start + timedelta(hours=int(rng.integers(0, 24 * 540))),
            quantity=int(rng.geometric(0.4)),
            order_id=f"o-{i}",
            customer_id=f"c-{i % 7}",
            price=2.0 + i % 4,
        )
        for i in range(300)
    ]
    last = CUT - timedelta(hours=2)
    return [
        *rows,
        row(
            event_type="purchase",
            product_id="P0",
            event_time=last,
            quantity=7,
            order_id="late",
            customer_id="c-1",
        ),
        row(event_type="purchase", product_id="P1", event_time=last, quantity=900, order_id="giant"),
    ]


PAST = before()
after = st.lists(
    st.builds(
        row,
        event_type=st.sampled_from(["purchase", "purchase", "return", "view", "cart"]),
        product_id=st.sampled_from(["P0", "P1", "P4", "NEW"]),
        category=st.sampled_from(["x", "moved", "y"]),
        event_time=st.one_of(
            st.sampled_from([CUT, CUT + timedelta(minutes=30), CUT + timedelta(hours=20)]),
            st.integers(0, 100).map(lambda day: CUT + timedelta(days=day)),
        ),
        quantity=st.sampled_from([1, 7, 50, 900, 5_000]),
        order_id=st.sampled_from(["late", "giant", "o-1", "o-2", "n-1"]),
        customer_id=st.sampled_from(["c-1", "c-2", None]),
        price=st.sampled_from([0.5, 2.0, 99.0]),
    ),
    min_size=1,
    max_size=25,
)
END = row(event_type="purchase", product_id="P3", event_time=CUT + timedelta(days=40), order_id="end")


def known(folder: Path, rows: Rows, until: str = ORIGIN) -> Known:
    """History, features and forecasts of an origin, from rows through lake and panel."""
    lake = Lake(folder / "lake")
    allow = frozenset({"empty-months"})
    take(write(folder / "rows.parquet", rows), lake, settings=SETTINGS, allow=allow, now=NOW)
    build_panel(lake, SETTINGS, NOW)
    history = load_history(lake, until)
    predictions = []
    for candidate in ("ses", "empirical", "tsb"):
        predictor = small_bundle(history, candidate).predictor
        made = predictor.predict(history, category_totals(history))
        predictions += [made.mean.tobytes(), made.levels.tobytes()]
    return history, build(history, category_totals(history)), predictions


def same(one: History, other: History) -> bool:
    arrays = [(one.units, other.units), (one.price_cents, other.price_cents)]
    arrays += [(one.extra[name], other.extra[name]) for name in one.extra]
    return (
        (one.product_ids, one.categories) == (other.product_ids, other.categories)
        and bool(np.array_equal(one.months, other.months))
        and all(a.tobytes() == b.tobytes() for a, b in arrays)
    )


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory,
) -> Known:
    return known(tmp_path_factory.mktemp("past"), [*PAST, END])


LATE_RETURN = row(
    event_type="return",
    product_id="P0",
    event_time=CUT + timedelta(minutes=30),
    quantity=7,
    order_id="late",
    customer_id="c-1",
)
GIANTS = [
    row(
        event_type="purchase",
        product_id="P1",
        event_time=CUT,
        quantity=900,
        order_id=f"g-{i}",
        category="moved",
    )
    for i in range(3)
]


@given(future=after)
@example(future=[LATE_RETURN])
@example(future=GIANTS)
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_event_at_or_after_the_origin_changes_a_bit_of_it(
    undisturbed: Known, tmp_path_factory: pytest.TempPathFactory, future: Rows
) -> None:
    assert_same(known(tmp_path_factory.mktemp("future"), [*PAST, *future, END]), undisturbed)


@pytest.mark.soak
@given(future=after)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_event_of_many_futures_changes_a_bit(
    undisturbed: Known, tmp_path_factory: pytest.TempPathFactory, future: Rows
) -> None:
    assert_same(known(tmp_path_factory.mktemp("future"), [*PAST, *future, END]), undisturbed)


def assert_same(found: Known, undisturbed: Known) -> None:
    assert same(found[0], undisturbed[0])
    assert found[1].tobytes() == undisturbed[1].tobytes()
    assert found[2] == undisturbed[2]


def test_an_event_just_before_the_origin_does(undisturbed: Known, tmp_path: Path) -> None:
    """The control: the comparison sees one unit more in the last second."""
    moment = CUT - timedelta(seconds=1)
    more = row(event_type="purchase", product_id="P2", event_time=moment, quantity=1, order_id="just")
    history, features, predictions = known(tmp_path, [*PAST, more, END])
    assert not same(history, undisturbed[0])
    assert features.tobytes() != undisturbed[1].tobytes()
    assert predictions != undisturbed[2]


def trending(products: int = 120, months: int = 30) -> History:
    """Levels that wander, so that last months tell the next one."""
    rng = np.random.default_rng(8)
    level = np.exp(np.cumsum(rng.normal(0, 0.35, (products, months)), axis=1) + 3)
    return series(*rng.poisson(level).astype(float))


def skill(history: History) -> float:
    """Loss of exponential smoothing over that of the mean of all months before, by which order is not used."""
    tested = backtest(history, {"ses": CANDIDATES["ses"]}, seed=7)
    ours = np.nanmean(tested.losses("ses"))
    losses = []
    for k, t in enumerate(tested.origins):
        past = history.until(t)
        use = tested.eligible[:, k]
        levels = np.nanquantile(past.units, LEVELS, axis=1).T
        losses.append(metrics.scaled_pinball(history.units[:, t], levels, LEVELS, scale(past))[use])
    return float(ours / np.mean(np.concatenate(losses)))


def test_shuffled_months_destroy_the_skill() -> None:
    """A model that saw the month it forecasts would keep its skill whatever the order of the months."""
    history = trending()
    rng = np.random.default_rng(1)
    shuffled = np.stack([units[rng.permutation(history.T)] for units in history.units])
    assert skill(history) < 0.7
    assert skill(series(*shuffled)) > 0.97
