"""What HTTP answers is what the model says offline, bit for bit, from the snapshot and live."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ml.bundle import unpack
from ml.features import category_totals
from ml.forecasting import Forecaster
from ml.model_store import ModelStore
from ml.newcomers import sale_rate
from ml.product_history import ProductHistory
from ml.return_rates import ReturnRates
from tests.apps.forecast.store import DATA_VERSION, VERSION, Shop, stored_catalogue
from tests.apps.process import listener, running

BATCH = 1000


def offline(shop: Shop) -> dict[str, bytes]:
    """The model's answers by product id, without a snapshot and without a service."""
    bundle = unpack(ModelStore(shop.root).get_bundle(shop.model_sha256), shop.model_sha256)
    history = shop.history
    forecaster = Forecaster(
        bundle,
        VERSION,
        DATA_VERSION,
        category_totals(history),
        ReturnRates.fit(history),
        sale_rate(history.units),
    )
    return dict(zip(history.product_ids, forecaster.answers(history), strict=True))


def batches(shop: Shop) -> Iterator[list[dict[str, object]]]:
    """Histories of all products as their owners would send them."""
    sent = [ProductHistory.of(shop.history, row).model_dump() for row in range(shop.history.n)]
    for start in range(0, len(sent), BATCH):
        yield sent[start : start + BATCH]


def check(root: Path, products: int, candidate: str) -> None:
    shop = stored_catalogue(root, products, candidate)
    shop.write_snapshot()
    wanted = offline(shop)
    with listener() as bound, running("apps.forecast", shop.variables(), bound) as process:
        assert process.readiness["ready"], process.readiness
        with httpx.Client(base_url=process.url, timeout=120) as client:
            with ThreadPoolExecutor(4) as pool:
                got = pool.map(lambda name: client.get(f"/forecast/{name}").content, wanted)
                assert dict(zip(wanted, got, strict=True)) == wanted
            for sent in batches(shop):
                answer = client.post("/forecast", json=sent).content
                lines = b",".join(wanted[str(each["product_id"])] for each in sent)
                assert answer == b'{"forecasts":[' + lines + b"]}"
    means = {json.loads(line)["mean"] for line in wanted.values()}
    assert len(means) > products / 4, "the control: products are told apart"


def test_every_answer_has_the_bits_of_the_offline_one(tmp_path: Path) -> None:
    check(tmp_path / "store", 250, "lightgbm_tweedie")


@pytest.mark.soak
def test_ten_thousand_answers_have_the_bits_of_the_offline_ones(tmp_path: Path) -> None:
    check(tmp_path / "store", 10_000, "mix")
