"""Fits of one training that several processes share out: each is computed once, in files that run no code."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import zipfile
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from ml.data_version import data_version_of
from ml.distribution import Prediction
from ml.folder import Folder
from ml.hindcasts import Fit
from ml.history import History
from ml.models import CANDIDATES, blend, mix
from ml.models.base import Model, Servable, State

_LOG = logging.getLogger(__name__)


def _single(*classes: type[Servable]) -> dict[str, type[Servable]]:
    return {each.name: each for each in classes if each.family != "ensemble"}


_KNOWN: Final = _single(*CANDIDATES.values(), *mix.MEMBERS, *blend.MEMBERS, *blend.PLANNED_MEMBERS)
SOURCE: Final = Path(__file__).parent
"""What is fitted by other code is another fit."""

_MODEL, _MEAN, _QUANTILES, _SECONDS = "model/", "mean", "quantiles", "seconds"


class StoredFits:
    """Fits of one history, seed and code.

    Args:
        folder: Of the fits of all trainings.
        history: All months that any origin may see.
        seed: Of every fit.

    Raises:
        StoreUnavailable: From `put`, when the disk does not let it.
    """

    def __init__(self, folder: Path, history: History, seed: int) -> None:
        self.folder = folder
        self._files, self._made_from = Folder(folder), made_from(history, seed)

    def get(self, candidate: type[Model], t: int) -> Fit | None:
        """The fit, or None if nobody stored it; a damaged file is none."""
        known, name = _KNOWN.get(candidate.name), self._name(candidate, t)
        if known is not candidate:
            return None
        try:
            return _read(known, self._files.read(name))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
            _LOG.warning("stored_fit_damaged", extra={"file": str(self.folder / name)})
            return None

    def put(self, candidate: type[Servable], t: int, fit: Fit) -> None:
        """Keep a fit of `candidate`; on the disk when this returns."""
        self._files.write(self._name(candidate, t), _written(fit, cast("Servable", fit.model).state()))

    def forget(self) -> None:
        """Remove the fits of this and of every other training."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _name(self, candidate: type[Model], t: int) -> str:
        return f"{self._made_from}/{candidate.name}-{t}.npz"


def share_of(history: History, origins: range, share: tuple[int, int]) -> list[tuple[type[Servable], int]]:
    """Part I of N of all fits that a training needs: those that no ensemble has to be put together for.

    Args:
        history: What is learned from; with a plan other members are needed.
        origins: Month indices to fit before.
        share: (I, N), I from 1 to N; each part has its share of every candidate.
    """
    index, of = share
    blended = blend.PLANNED_MEMBERS if history.plan else blend.MEMBERS
    members = _single(*CANDIDATES.values(), *mix.MEMBERS, *blended).values()
    return [(member, t) for member in members for t in origins][index - 1 :: of]


def made_from(history: History, seed: int) -> str:
    """Digest of what fits depend on: the data, the order of its rows, the seed and the source of this package."""
    digest = hashlib.sha256(data_version_of(history).digest.encode())
    for part in (seed, history.season, history.months[0], *history.product_ids):
        digest.update(f"\n{part}".encode())
    for file in sorted(SOURCE.rglob("*.py")):
        digest.update(f"\n{file.relative_to(SOURCE)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:32]


def _written(fit: Fit, state: State) -> bytes:
    prediction = fit.prediction
    levels = {} if prediction.quantiles is None else {_QUANTILES: prediction.quantiles}
    arrays = {
        _SECONDS: np.array(fit.seconds),
        _MEAN: prediction.mean,
        **levels,
        **{f"{_MODEL}{name}": np.asarray(value) for name, value in state.items()},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def _read(candidate: type[Servable], data: bytes) -> Fit:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file)
    state = {
        name.removeprefix(_MODEL): _plain(value) for name, value in arrays.items() if name.startswith(_MODEL)
    }
    prediction = Prediction(arrays[_MEAN], arrays.get(_QUANTILES))
    return Fit(candidate.from_state(state), prediction, float(arrays[_SECONDS]))


def _plain(value: NDArray[np.generic]) -> NDArray[np.generic] | str:
    """A text of a state was written as an array of one."""
    return str(value) if value.ndim == 0 and value.dtype.kind == "U" else value
