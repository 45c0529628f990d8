"""One set measured: our forecasts by the command of the repository, those of the libraries, and their scores."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks import shelf
from benchmarks.retail_sets import RetailSet, sampled
from benchmarks.same_rows import LEVELS, Rows, Score, judged
from ml.calibration import Calibration
from ml.distribution import P10, P50, P90, Prediction
from ml.evaluation import CALIBRATION_ORIGINS, SMALLEST_HISTORY
from ml.events import canonical_product_id
from ml.hindcasts import CALIBRATION_WINDOW, Hindcast
from ml.history import History

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]

ROOT: Final = Path(__file__).parents[1]
OURS: Final = "blend"
CALIBRATED: Final = "+cf"
SHORTEST: Final = 7
"""Periods before the first forecast that others are calibrated from: six, as every forecast needs, and one."""

COLUMNS: Final = ("point", *(f"q{100 * level:.0f}" for level in LEVELS))


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores by model; ours are those whose name begins with `OURS`.

    Attributes:
        name: Of the set.
        panel: All series and periods.
        rows: The forecasts that count.
        scores: By model.
        seconds: Of all fits and forecasts, by family.
        missing: Forecasts of ours that were not there and count as 0, by model.
    """

    name: str
    panel: History
    rows: Rows
    scores: Mapping[str, Score]
    seconds: Mapping[str, float]
    missing: Mapping[str, int]

    @cached_property
    def ranked(self) -> list[str]:
        """Models, the smallest loss first."""
        return sorted(self.scores, key=lambda name: float(np.mean(self.scores[name].losses)))

    @property
    def best_shelf(self) -> str:
        """The model with the smallest loss that is not ours."""
        return next(name for name in self.ranked if not name.startswith(OURS))


class Run:
    """Measures sets and keeps what it did.

    Args:
        cache: Folder of what was done.
        families: Keys of `shelf.FAMILIES`.
        origins: Last periods that are forecast.
        most: Series of a set; 0 is all.
    """

    def __init__(self, cache: Path, families: Sequence[str], origins: int, most: int) -> None:
        self.cache, self.families = cache.resolve(), families
        self.origins, self.most = origins, most

    def measure(self, name: str, path: Path, progress: Callable[[str], None]) -> Measured:
        """All scores of one set."""
        found = sampled(name, path, self.most, self.cache / name.replace("/", "-"))
        history = found.panel.history
        first = max(SHORTEST, SMALLEST_HISTORY, history.T - self.origins - CALIBRATION_ORIGINS)
        every = range(first, history.T)
        tested = [t for t in every if t >= history.T - self.origins]
        rows, scores, seconds, missing = Rows.of(history, tested), {}, {}, {}
        for variant, source in _sources(found).items():
            progress(f"{name}: {variant}")
            arrays = self._ours(found, variant, source, tested)
            absent = np.isnan(arrays["point"])[rows.counted]
            missing[variant] = int(absent.sum())
            told = {key: np.nan_to_num(np.asarray(arrays[key], dtype=np.float64)) for key in ("point", "own")}
            scores[variant] = Score(rows, told["point"][rows.counted], told["own"][rows.counted])
            seconds[variant] = float(arrays["seconds"])
        for family in self.families:
            progress(f"{name}: {family}")
            arrays = self._family(found, family, every)
            seconds[family] = float(arrays.pop("seconds"))
            for key in arrays:
                model, kind = key.split("/")
                if kind == "point":
                    scores |= _shelf_scores(history, model, arrays, every, rows)
        return Measured(name, history, rows, scores, seconds, missing)

    def _ours(self, found: RetailSet, variant: str, source: list[str], tested: Sequence[int]) -> Arrays:
        files = [found.file, *(Path(part) for part in source if part.endswith(".parquet"))]
        made_from = [
            *(_digest(file.read_bytes()) for file in files),
            _code(),
            variant,
            len(tested),
            found.season,
        ]
        return self._kept(found, variant, made_from, lambda: self._backtest(found, variant, source, tested))

    def _backtest(self, found: RetailSet, variant: str, source: list[str], tested: Sequence[int]) -> Arrays:
        out = self.cache / found.name.replace("/", "-") / f"{variant}.parquet"
        command = [
            sys.executable,
            "-m",
            "ml",
            "backtest",
            *source,
            "--origins",
            str(len(tested)),
            "--out",
            str(out),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ML_LOG_LEVEL": "error"}
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
        return _placed(found, pl.read_parquet(out), tested) | {
            "seconds": np.array(time.perf_counter() - started)
        }

    def _family(self, found: RetailSet, family: str, every: range) -> Arrays:
        made_from = [
            _digest(found.file.read_bytes()),
            _digest(Path(shelf.__file__).read_bytes()),
            shelf.versions(),
        ]
        return self._kept(
            found, family, [*made_from, list(every), found.season], lambda: _forecast(found, family, every)
        )

    def _kept(
        self, found: RetailSet, label: str, made_from: Sequence[object], make: Callable[[], Arrays]
    ) -> Arrays:
        name = f"{label.replace(' ', '-')}-{_digest(json.dumps(made_from).encode())[:16]}.npz"
        file = self.cache / found.name.replace("/", "-") / name
        if not file.exists():
            part = file.with_suffix(".part.npz")
            np.savez_compressed(part, allow_pickle=False, **make())
            part.replace(file)
        with np.load(file) as arrays:
            return dict(arrays)


def _sources(found: RetailSet) -> dict[str, list[str]]:
    """Arguments of `ml backtest` for what is known of the set: its totals, and events and a plan if any."""
    panel = ["--panel", str(found.file.resolve()), "--season", str(found.season)]
    sources = {OURS: panel}
    if found.plan is not None and _plans_are_read():
        sources[f"{OURS} with plan"] = [*panel, "--plan", str(found.plan.resolve())]
    if found.events is not None:
        sources[f"{OURS} with events"] = ["--events", str(found.events.resolve())]
    return sources


def _plans_are_read() -> bool:
    asked = [sys.executable, "-m", "ml", "backtest", "--help"]
    return "--plan" in subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _placed(found: RetailSet, forecasts: pl.DataFrame, tested: Sequence[int]) -> Arrays:
    """Forecasts of a file by row of the panel and tested period; NaN where there is none."""
    history, labels = found.panel.history, found.panel.labels
    index = {canonical_product_id(name): i for i, name in enumerate(history.product_ids)}
    column = {labels[t]: k for k, t in enumerate(tested)}
    values = np.full((history.n, len(tested), len(COLUMNS)), np.nan)
    for series, period, *told in forecasts.select("series_id", "period", *COLUMNS).iter_rows():
        at = index.get(canonical_product_id(series)), column.get(period)
        if None not in at:
            values[at] = told
    return {"point": values[..., 0], "own": values[..., 1:]}


def _forecast(found: RetailSet, family: str, every: range) -> Arrays:
    """Forecasts of one family at every origin, of the series that count there."""
    history, started = found.panel.history, time.perf_counter()
    arrays: dict[str, Floats] = {}
    for k, t in enumerate(every):
        rows = np.flatnonzero(judged(history, t))
        for model, told in shelf.FAMILIES[family](history.until(t), rows).items():
            parts = {"point": told.point} if told.own is None else {"point": told.point, "own": told.own}
            for kind, part in parts.items():
                whole = arrays.setdefault(
                    f"{model}/{kind}", np.full((history.n, len(every), *part.shape[1:]), np.nan)
                )
                whole[rows, k] = part
    return {**arrays, "seconds": np.array(time.perf_counter() - started)}


def _shelf_scores(
    history: History, model: str, arrays: Mapping[str, NDArray[np.generic]], every: range, rows: Rows
) -> dict[str, Score]:
    """With its own intervals where it has any, and with our calibration."""
    tested = every[-rows.counted.shape[1] :]
    point = np.nan_to_num(np.asarray(arrays[f"{model}/point"], dtype=np.float64))
    shown = point[:, -len(tested) :][rows.counted]
    calibrated = _calibrated(history, point, every, tested)[rows.counted]
    scores = {f"{model}{CALIBRATED}": Score(rows, shown, calibrated)}
    if f"{model}/own" in arrays:
        own = np.asarray(arrays[f"{model}/own"], dtype=np.float64)[:, -len(tested) :]
        scores[model] = Score(rows, shown, np.nan_to_num(own)[rows.counted])
    return scores


def _calibrated(history: History, point: Floats, every: range, tested: Iterable[int]) -> Floats:
    """(n, K, 3) quantiles from the errors of up to six origins before each."""
    past = {}
    for k, t in enumerate(every):
        actual = np.where(judged(history, t), history.units[:, t], np.nan)
        past[t] = Hindcast(history.until(t), Prediction(point[:, k], None), actual)
    found = []
    for t in tested:
        window = [past[u] for u in every if t - CALIBRATION_WINDOW <= u < t]
        quantiles = Calibration.fit("residuals", window).quantiles(past[t].history, past[t].prediction)
        found.append(quantiles[:, [P10, P50, P90]])
    return np.stack(found, axis=1)


def _code() -> str:
    """Digest of all code that makes our forecasts."""
    return _digest(b"".join(path.read_bytes() for path in sorted((ROOT / "ml").rglob("*.py"))))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
