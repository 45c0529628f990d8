"""GET /past: the months of a product, from the part of the store that holds it."""

from pathlib import Path

from apps.forecast.main import create
from tests.apps.client import answering
from tests.apps.forecast.store import KEY, Shop, stored_shop

HEADERS = {"X-API-Key": KEY}
FORECAST = {"month": "2025-12", "model_version": 3, "mean": 4.25, "p10": 1, "p90": 10}


def test_the_past_is_the_history_with_what_was_told(shop: Shop) -> None:
    with answering(create(shop.settings())) as client:
        answer = client.get("/past/p0003", headers=HEADERS).json()
        odd = client.get("/past/SHELF%2F9%20%C5%9E", headers=HEADERS).json()
    row = shop.history.units[shop.history.product_ids.index("P0003")]
    assert answer["units"] == row.tolist()
    assert (answer["first_month"], answer["forecasts"][-1]) == ("2024-01", FORECAST)
    assert (odd["product_id"], odd["forecasts"]) == ("SHELF/9 Ş", [])


def test_without_a_past_it_is_404_and_says_what_keeps_one(tmp_path: Path) -> None:
    """A snapshot of a release before, and one whose part is gone."""
    old = stored_shop(tmp_path)
    path = old.write_snapshot()
    with answering(create(old.settings())) as client:
        assert client.get("/past/P0003", headers=HEADERS).json()["type"].endswith("no-past")
        assert client.get("/past/NOPE", headers=HEADERS).json()["type"].endswith("unknown-product")
    old.write_snapshot(told={})
    (part,) = (path.parent / "past").rglob("*.json")
    part.unlink()
    with answering(create(old.settings())) as client:
        answer = client.get("/past/P0003", headers=HEADERS)
    assert (answer.status_code, answer.json()["type"].endswith("no-past")) == (404, True)
