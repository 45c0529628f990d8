"""Ask whether the newest month still looks like what the model knows."""

import logging
from argparse import Namespace
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml.bundle import unpack
from ml.data_version import data_version_of
from ml.drift.evidently_report import picture
from ml.drift.forecast_drift import multiplied
from ml.drift.judging import judge
from ml.drift.live_requests import first_day, live_requests
from ml.drift.record import keep, tell_of_picture
from ml.errors import MlError, StoreUnavailable
from ml.history import History
from ml.lake import Lake
from ml.model_store import DRAWN, DRIFT_PICTURE, ModelStore
from ml.panel import load_history
from ml.registry import Registry
from ml.served import place_of_served, served_parts
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if there is no drift; too little data is a no. What was found is kept, unless it was a what-if."""
    lake, store = Lake(settings.lake), ModelStore.of(settings)
    history = load_history(lake, options.until)
    data_version = data_version_of(history)
    if options.multiply_units is not None:
        history = multiplied(history, options.multiply_units)
    model = Registry(settings).resolve(options.model)
    found = judge(history, unpack(store.get_bundle(model.sha256), model.sha256))
    told = {"model_version": model.version, **found.to_json()}
    if options.multiply_units is None:
        now = datetime.now(UTC)
        said = keep(found, lake, store, model_version=model.version, data_version=data_version, now=now)
        told |= asdict(said) | {"data_version": data_version.name}
    if options.served is not None:
        told["live_requests"] = _live_requests(options, history)
    if options.report is not None:
        file = options.report if isinstance(options.report, Path) else None
        told["picture"] = _picture(history, file, store if options.multiply_units is None else None)
    _LOG.info(
        "drift_judged",
        extra={
            "answer": found.answer,
            "month": found.forecasts.month,
            "model_version": model.version,
            "retrain": told.get("retrain"),
        },
    )
    return Answer(told, yes=found.answer == "no drift")


def _live_requests(options: Namespace, history: History) -> dict[str, Any]:
    """Beside the verdict, which does not wait for it: a store that is away leaves it `unknown`."""
    try:
        parts = served_parts(place_of_served(options.served), first_day(datetime.now(UTC)))
        return asdict(live_requests(history, parts))
    except StoreUnavailable as error:
        return {"unknown": str(error)}


def _picture(history: History, file: Path | None, store: ModelStore | None) -> str:
    """`drawn`, or why it was not: the verdict is kept by then and stands without it."""
    said = DRAWN
    try:
        if file is not None:
            file.touch()  # drawing takes long
        data = picture(history)
        if file is not None:
            file.write_bytes(data)
        if store is not None:
            store.put_report(DRIFT_PICTURE, data)
    except (MlError, OSError) as error:
        said = str(error)
        _LOG.warning("drift_not_drawn", extra={"reason": said})
    if store is not None:
        with suppress(StoreUnavailable):  # then the verdict in it names no picture, as before one was drawn
            tell_of_picture(store, said)
    return said
