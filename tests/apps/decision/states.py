"""States that the decision service and its forecast service can be in, each brought about for real."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from apps.decision.main import create as create_decision
from apps.decision.settings import DecisionSettings
from apps.forecast.main import create
from tests.apps.client import Client, answering
from tests.apps.forecast.states import Asks, State, snapshots
from tests.apps.forecast.store import Shop
from tests.apps.kept_alive import KeptAlive
from tests.apps.process import listener, running


def deciding(stack: ExitStack, url: str) -> Client:
    settings = DecisionSettings(forecast_url=url, forecast_timeout_seconds=0.3)
    return stack.enter_context(answering(create_decision(settings)))


def forecasting(shop: Shop, stack: ExitStack) -> Any:
    bound = stack.enter_context(listener())
    return stack.enter_context(running("apps.forecast", shop.variables(), bound)), bound


def forecasts_are_there(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    return deciding(stack, forecasting(shop, stack)[0].url)


def forecasts_are_down(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    return deciding(stack, "http://127.0.0.1:9")


def forecasts_went_down(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    process, bound = forecasting(shop, stack)
    client = deciding(stack, process.url)
    client.get("/decision/P0004")
    process.popen.kill()
    process.popen.wait()
    bound.close()
    return client


def forecasts_are_slow(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    return deciding(stack, f"http://127.0.0.1:{stack.enter_context(listener()).getsockname()[1]}")


def forecasts_became_slow(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    process, _bound = forecasting(shop, stack)
    client = deciding(stack, process.url)
    client.get("/decision/P0004")
    process.popen.send_signal(signal.SIGSTOP)
    return client


def forecasts_are_not_ready(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    shutil.rmtree(snapshots(shop))
    app = create(shop.settings())
    return deciding(stack, stack.enter_context(served_here(app)))


@contextmanager
def served_here(app: FastAPI) -> Iterator[str]:
    """The application behind a real port, whether it is ready or not."""
    with listener() as bound:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def decision_ends(shop: Shop, stack: ExitStack, _: pytest.MonkeyPatch) -> Asks:
    url = forecasting(shop, stack)[0].url
    variables = {"DECISION_FORECAST_URL": url, "DECISION_DRAIN_SECONDS": "10"}
    return stack.enter_context(KeptAlive.of("apps.decision", variables, stack))


STATES: dict[str, State] = {
    "the forecast service answers": forecasts_are_there,
    "the forecast service is down from the start": forecasts_are_down,
    "the forecast service went down": forecasts_went_down,
    "the forecast service is slow from the start": forecasts_are_slow,
    "the forecast service became slow": forecasts_became_slow,
    "the forecast service is not ready": forecasts_are_not_ready,
    "the process is ending": decision_ends,
}
"""How each is brought about, by its name in docs/serving.md."""
