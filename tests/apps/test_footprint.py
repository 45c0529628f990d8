"""What a worker costs: the CPU of its start, its memory, its threads."""

import httpx
import psutil

from ml.product_history import ProductHistory
from tests.apps.forecast.store import Shop
from tests.apps.process import Process, listener, running

START_CPU_SECONDS = 2.0
MOST_BYTES = 150 * 2**20
THREADS = 4
"""The event loop, the parent's pipe, one for models and one for the store."""


def check(process: Process) -> psutil.Process:
    """Time is counted in CPU seconds, so that what else the machine does is left out."""
    found = psutil.Process(process.popen.pid)
    spent = found.cpu_times()
    assert spent.user + spent.system <= START_CPU_SECONDS
    return found


def test_a_forecast_worker_starts_quickly_stays_small_and_has_one_thread_for_its_model(shop: Shop) -> None:
    """Its environment has no OMP_NUM_THREADS, which caps all: LightGBM's cap is the code's."""
    variables = shop.variables() | {"OPENBLAS_NUM_THREADS": "1"}
    sent = [ProductHistory.of(shop.history, row).model_dump() for row in range(shop.history.n)] * 20
    with listener() as bound, running("apps.forecast", variables, bound) as process:
        assert process.readiness["ready"], process.readiness
        found = check(process)
        answer = httpx.post(f"{process.url}/forecast", json=sent, timeout=60)
        assert len(answer.json()["forecasts"]) == 800
        assert found.memory_info().rss <= MOST_BYTES
        assert found.num_threads() <= THREADS


def test_a_decision_worker_starts_quickly_and_stays_small(forecast_url: str) -> None:
    variables = {"DECISION_FORECAST_URL": forecast_url}
    with listener() as bound, running("apps.decision", variables, bound) as process:
        found = check(process)
        body = {"budget_cents": 100_000}
        assert httpx.post(f"{process.url}/decision/portfolio", json=body, timeout=60).is_success
        assert found.memory_info().rss <= MOST_BYTES
