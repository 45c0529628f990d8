"""A model's dependence is measured in training, stored with it, and told in its answers."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from ml.bundle import Bundle, unpack
from ml.dependence import Dependence
from ml.evaluation import Backtest, backtest
from ml.features import category_totals
from ml.forecasting import Forecaster
from ml.history import History
from ml.models import CANDIDATES
from ml.money.dependence import of_backtest
from tests.ml.previous import previous
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes, small_bundle

MEASURED = Dependence(shop=0.0625, category=0.125, months=0.5)


def a_backtest(history: History) -> Backtest:
    return backtest(history, {"ses": CANDIDATES["ses"]}, seed=1)


def test_months_that_move_the_whole_shop_are_measured() -> None:
    """The control: the same shop without such months."""
    calm = small_shop(products=120, months=24, seed=3)
    moves = np.exp(norm.rvs(scale=0.8, size=calm.T, random_state=np.random.default_rng(1)))
    moved = History(
        calm.product_ids, calm.categories, calm.months, np.round(calm.units * moves), calm.price_cents
    )
    (still, stirred) = (of_backtest(a_backtest(history), "ses", 7) for history in (calm, moved))
    assert still is not None
    assert stirred is not None
    assert still.shop < 0.05
    assert stirred.shop > 0.15


def test_it_is_the_same_each_time() -> None:
    again = a_backtest(small_shop(products=40, months=16, seed=3))
    assert of_backtest(again, "ses", 7) == of_backtest(again, "ses", 7)


def test_without_a_forecast_that_counts_nothing_is_measured() -> None:
    some = a_backtest(small_shop(products=3, months=4))
    assert of_backtest(replace(some, eligible=np.zeros_like(some.eligible)), "ses", 7) is None
    assert of_backtest(some, "ses", 7) is not None


def told(bundle: Bundle) -> dict[str, object]:
    shop = small_shop()
    (answer, *_) = Forecaster(bundle, 1, "d", category_totals(shop)).answers(shop)
    return dict(json.loads(answer))


def stored() -> tuple[bytes, str]:
    data = bundle_bytes(small_shop(), dependence=MEASURED)
    return data, hashlib.sha256(data).hexdigest()


def test_the_bundle_keeps_it_and_every_answer_tells_it() -> None:
    bundle = unpack(*stored())
    assert bundle.dependence == MEASURED
    assert told(bundle)["dependence"] == {"shop": 0.0625, "category": 0.125, "months": 0.5}


def test_a_bundle_of_an_older_release_has_none_and_its_answers_stay_as_they_were() -> None:
    bundle = small_bundle(small_shop())
    assert bundle.dependence is None
    assert "dependence" not in told(bundle)


def test_the_release_before_reads_the_bundle_all_the_same(tmp_path: Path) -> None:
    data, sha256 = stored()
    (tmp_path / "bundle").write_bytes(data)
    script = """
from dataclasses import replace
from pathlib import Path
from ml.bundle import unpack
say(unpack(Path(arguments["path"]).read_bytes(), arguments["sha256"]).manifest.candidate)
"""
    assert previous(script, path=str(tmp_path / "bundle"), sha256=sha256) == "ses"


@pytest.mark.parametrize("wrong", [[0.1, 0.2], [0.1, 0.2, 1.5], [np.nan, 0.0, 0.0]])
def test_what_is_no_dependence_is_refused(wrong: list[float]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Dependence.from_state({"dependence": np.array(wrong)})
