"""Train, judge and register a model."""

import logging
from argparse import Namespace
from datetime import UTC, datetime

from ml.data_gate.report import required
from ml.data_quality import data_quality
from ml.data_version import data_version_of
from ml.guardrails import Limits
from ml.lake import Lake
from ml.model_store import ModelStore
from ml.panel import load_history, noted_history
from ml.registry import Registry
from ml.settings import MlSettings
from ml.stored_fits import StoredFits
from ml.terminal import progress_bar
from ml.training import train
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes if the gate lets the model be proposed."""
    lake = Lake(settings.lake)
    history = noted_history(lake, datetime.now(UTC), options.until)
    whole = history if options.until is None else load_history(lake)
    gate = required(lake, data_version_of(whole).name, options.allow_failed_quality)
    _LOG.info("history_loaded", extra={"products": history.n, "months": history.T})
    stored = StoredFits(settings.fits, history, settings.random_seed)
    with progress_bar() as progress:
        report = train(
            history,
            Registry(settings),
            ModelStore.of(settings),
            seed=settings.random_seed,
            forced=options.candidate,
            data_quality={**data_quality(lake), "gate": gate},
            quality_override=gate["override"],
            limits=Limits(
                settings.gate_fit_seconds, settings.gate_memory_bytes, settings.gate_score_p95_seconds
            ),
            stored=stored,
            progress=progress,
        )
    stored.forget()
    said = {"candidate": report.candidate, "outcome": report.outcome, "promotable": report.promotable}
    _LOG.info("trained", extra={**said, "version": report.version, "sha256": report.sha256})
    return Answer(report.to_json(), yes=report.promotable)
