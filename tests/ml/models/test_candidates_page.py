"""The example of docs/candidates.md does what the page says."""

import hashlib
import re
import sys
from types import ModuleType

import numpy as np
import pytest

from ml.bundle import unpack
from ml.evaluation import backtest
from ml.features import category_totals
from ml.models import CANDIDATES
from ml.models.base import Servable
from tests.ml.small_history import small_shop
from tests.ml.small_models import bundle_bytes
from tests.repository.imports import ROOT

PAGE = (ROOT / "docs" / "candidates.md").read_text()
CODE, LINE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def candidate(monkeypatch: pytest.MonkeyPatch) -> type[Servable]:
    """The class of the page, under the name that its line gives it."""
    module = ModuleType("ml.models.trimmed")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(CODE, vars(module))  # noqa: S102 - the page under test
    (listed,) = eval(f"{{{LINE}}}", vars(module)).items()  # noqa: S307
    monkeypatch.setitem(CANDIDATES, *listed)
    assert listed[0] == listed[1].name
    found: type[Servable] = listed[1]
    return found


def test_it_forecasts_the_mean_of_the_last_months_without_the_largest(candidate: type[Servable]) -> None:
    shop = small_shop(products=20, months=18)
    mean = candidate.fit(shop, seed=0).predict(shop, category_totals(shop)).mean
    for units, forecast in zip(shop.units[:, -6:], mean, strict=True):
        *kept, _largest = sorted(units[~np.isnan(units)])
        assert forecast == pytest.approx(sum(kept) / max(1, len(kept)))


def test_it_is_backtested_beside_others_and_served_from_a_bundle(candidate: type[Servable]) -> None:
    shop = small_shop(products=30, months=18)
    tested = backtest(shop, {"naive": CANDIDATES["naive"], candidate.name: candidate}, seed=0)
    assert [row["candidate"] for row in tested.table()] == ["naive", "trimmed_mean"]
    data = bundle_bytes(shop, candidate.name)
    bundle = unpack(data, hashlib.sha256(data).hexdigest())
    one = bundle.predictor.predict(shop.rows(np.array([3])), category_totals(shop))
    everyone = bundle.predictor.predict(shop, category_totals(shop))
    assert one.levels[0].tobytes() == everyone.levels[3].tobytes()


def test_the_page_names_files_and_commands_that_exist() -> None:
    for path in re.findall(r"`((?:ml|apps|tests)/[\w/.]+)`", PAGE):
        known = ROOT / path
        assert known.exists() or path in {"ml/models/trimmed.py", "tests/ml/models/test_trimmed.py"}, path
