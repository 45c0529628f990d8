"""Bundles of models fitted on a small shop."""

import hashlib

import numpy as np

from ml.bundle import Bundle, Manifest, pack, unpack
from ml.calibration import Calibration
from ml.demand_class import CLASSES, demand_class
from ml.dependence import Dependence
from ml.features import FEATURES
from ml.hindcasts import Hindcasts
from ml.history import History
from ml.models import CANDIDATES
from ml.month_record import MonthRecord
from ml.planned import names
from ml.track_record import TrackRecord

SEED = 7


def manifest(candidate: str = "ses", **changes: object) -> Manifest:
    """A manifest as training writes it."""
    fields = {
        "candidate": candidate,
        "family": CANDIDATES[candidate].family,
        "features": FEATURES,
        "first_month": "2024-01",
        "last_month": "2025-12",
        "target_month": "2026-01",
        "products": 40,
        "data_version": "2025-12.0123456789ab",
        "data_digest": "0123456789ab" + "0" * 52,
        "code_commit": "unknown",
        "metrics": {"pinball": 0.5, "wape": None},
        "calibration_id": "c0ffee123456",
        "risk_cuts": (0.4, 0.9),
        "seed": SEED,
    }
    return Manifest.model_validate(fields | changes)


def bundle_bytes(history: History, candidate: str = "ses", dependence: Dependence | None = None) -> bytes:
    """A fitted and calibrated candidate, packed."""
    hindcasts = Hindcasts(history, SEED)
    model = CANDIDATES[candidate].fit(history, SEED, hindcasts)
    calibration = Calibration.fit(model.uncertainty, hindcasts.before(CANDIDATES[candidate], history.T))
    losses = np.random.default_rng(SEED).gamma(2, 0.2, (history.n, 6))
    classes = [CLASSES[i] for i in demand_class(history)]
    record = TrackRecord.measure(history.product_ids, classes, losses)
    months = MonthRecord.of({history.months[-1]: {"shop:volume": 0.1}})
    states = {
        "model": model.state(),
        "calibration": calibration.state(),
        "record": record.state(),
        "months": {**months.state(), **(dependence.state() if dependence else {})},
    }
    about = {"features": names(planned=bool(history.plan)), "planned": bool(history.plan)}
    return pack(manifest(candidate, **about), **states)


def small_bundle(history: History, candidate: str = "ses") -> Bundle:
    """The same, read back."""
    data = bundle_bytes(history, candidate)
    return unpack(data, hashlib.sha256(data).hexdigest())
