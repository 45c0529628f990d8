"""The level that a canary is compared by is that of the forecasts served."""

import re

import pytest

from apps.forecast.main import create
from tests.apps.client import Client, answering
from tests.apps.forecast.store import Shop


def level(client: Client) -> float:
    found = re.search(r"^forecast_snapshot_mean_units (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


def test_it_is_the_mean_over_all_products(own: Shop) -> None:
    own.write_snapshot()
    with answering(create(own.settings())) as client:
        means = [each["mean"] for each in client.get("/forecast", params={"limit": 1000}).json()["forecasts"]]
        assert len(means) > 1
        assert level(client) == pytest.approx(sum(means) / len(means), rel=1e-6)


def test_it_is_not_a_number_while_nothing_is_served(own: Shop) -> None:
    """So an analysis fails: zero would be a level."""
    with answering(create(own.settings())) as client:
        assert str(level(client)) == "nan"
