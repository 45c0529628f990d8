"""Ask whether the newest month still looks like what the model knows."""

import logging
from argparse import Namespace

from ml.bundle import unpack
from ml.drift import judge, multiplied, write_report
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.panel import load_history
from ml.registry import Registry
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if there is no drift; too little data is a no."""
    history = load_history(Lake(settings.lake), options.until)
    if options.multiply_units is not None:
        history = multiplied(history, options.multiply_units)
    model = Registry(settings).resolve(options.model)
    bundle = unpack(ModelStore(settings.model_store).get_bundle(model.sha256), model.sha256)
    report = judge(history, bundle)
    if options.report is not None:
        write_report(history, options.report)
    _LOG.info(
        "drift_judged", extra={"answer": report.answer, "month": report.month, "model_version": model.version}
    )
    return Answer({"model_version": model.version, **report.to_json()}, yes=report.answer == "no drift")
