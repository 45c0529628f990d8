"""One small shop with a model, and one forecast service over it, for every test that only reads them."""

from collections.abc import Iterator

import pytest

from ml.group_forecasts import group_forecasts
from tests.apps.forecast.store import Shop, stored_shop
from tests.apps.process import listener, running

TOLD = [
    {"month": "2025-11", "model_version": 2, "mean": 3.5, "p10": 0, "p90": 9},
    {"month": "2025-12", "model_version": 3, "mean": 4.25, "p10": 1, "p90": 10},
]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A stored model that mixes others, and its snapshot."""
    shop = stored_shop(tmp_path_factory.mktemp("store"), "mix")
    shop.write_snapshot(groups=group_forecasts, told={"P0003": TOLD})
    return shop


@pytest.fixture(scope="session")
def forecast_url(shop: Shop) -> Iterator[str]:
    """A real forecast service in its own process."""
    with listener() as bound, running("apps.forecast", shop.variables(), bound) as process:
        assert process.readiness["ready"], process.readiness
        yield process.url


@pytest.fixture(scope="session")
def decision_url(forecast_url: str) -> Iterator[str]:
    """A real decision service in its own process, over the forecast service."""
    with (
        listener() as bound,
        running("apps.decision", {"DECISION_FORECAST_URL": forecast_url}, bound) as process,
    ):
        yield process.url
