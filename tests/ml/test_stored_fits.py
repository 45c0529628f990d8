"""Fits that several processes share out: the same model as by one alone, and nothing that does not belong to it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.distribution import Prediction
from ml.evaluation import backtest, origins
from ml.features import category_totals
from ml.hindcasts import Fit, Hindcasts
from ml.history import History
from ml.model_store import ModelStore
from ml.models import CANDIDATES, mix
from ml.models.base import Model, Servable
from ml.registry import Registry
from ml.settings import MlSettings
from ml.stored_fits import StoredFits, share_of
from ml.training import train
from tests.ml.small_history import small_shop
from tests.ml.small_plan import planned_shop

SEED = 5
SHOP = small_shop(products=26, months=14)
QUICK: dict[str, type[Model]] = {name: CANDIDATES[name] for name in ("naive", "ses", "mix")}


@cache
def planned() -> History:
    return planned_shop(products=26, months=14)[0]


def needed(history: History) -> list[type[Servable]]:
    return [member for member, _ in share_of(history, range(1), (1, 1))]


def bits(prediction: Prediction) -> tuple[bytes, bytes | None]:
    levels = prediction.quantiles
    return prediction.mean.tobytes(), None if levels is None else levels.tobytes()


def stored(folder: Path, history: History = SHOP, seed: int = SEED) -> StoredFits:
    return StoredFits(folder, history, seed)


@pytest.mark.parametrize("history", [SHOP, planned()], ids=["plain", "planned"])
def test_every_fit_comes_back_with_the_same_bits(history: History, tmp_path: Path) -> None:
    fits, t = stored(tmp_path, history), history.T
    hindcasts = Hindcasts(history, SEED)
    for member in needed(history):
        made = hindcasts.fit(member, t)
        fits.put(member, t, made)
        kept = fits.get(member, t)
        assert kept is not None
        again = kept.model.predict(history, category_totals(history))
        assert bits(kept.prediction) == bits(again) == bits(made.prediction), member.name
        assert kept.seconds == made.seconds


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is fitted here and not taken from a file."""
    names: list[str] = []
    fit = Hindcasts.fit

    def noted(self: Hindcasts, candidate: type[Model], t: int) -> Fit:
        names.append(candidate.name)
        return fit(self, candidate, t)

    monkeypatch.setattr(Hindcasts, "fit", noted)
    return names


def fill(fits: StoredFits, history: History, share: tuple[int, int]) -> None:
    first = origins(history)[0]
    hindcasts = Hindcasts(history, SEED, first)
    used = {*QUICK, *(member.name for member in mix.MEMBERS)}
    for member, t in share_of(history, range(first, history.T + 1), share):
        if member.name in used:
            fits.put(member, t, hindcasts.fit(member, t))


def test_a_training_from_shares_has_the_bytes_of_one_alone(
    tmp_path: Path, new_state: Callable[[Path], MlSettings], anew: list[str]
) -> None:
    settings = new_state(tmp_path)
    registry, store = Registry(settings), ModelStore(settings.model_store)
    alone = train(SHOP, registry, store, seed=SEED, candidates=QUICK, forced="mix")
    fits = stored(tmp_path / "fits")
    for index in (1, 2, 3):
        fill(fits, SHOP, (index, 3))
    anew.clear()
    shared = train(SHOP, registry, store, seed=SEED, candidates=QUICK, forced="mix", stored=fits)
    assert shared.sha256 == alone.sha256
    assert set(anew) == {"mix"}, "all that can be fitted by itself was"
    fits.forget()
    anew.clear()
    backtest(SHOP, {"ses": CANDIDATES["ses"]}, seed=SEED, stored=fits)
    assert set(anew) == {"ses"}, "what nobody fitted is fitted here"


def other_units() -> History:
    units = SHOP.units.copy()
    units[3, -1] += 1
    return replace(SHOP, units=units)


@pytest.mark.parametrize(
    ("history", "seed"),
    [
        (other_units(), SEED),
        (SHOP.rows(np.arange(SHOP.n)[::-1]), SEED),
        (SHOP.until(13), SEED),
        (SHOP, SEED + 1),
    ],
    ids=["data", "order", "months", "seed"],
)
def test_fits_of_another_training_are_not_taken(history: History, seed: int, tmp_path: Path) -> None:
    ses = CANDIDATES["ses"]
    stored(tmp_path).put(ses, 10, Hindcasts(SHOP, SEED).fit(ses, 10))
    assert stored(tmp_path).get(ses, 10) is not None
    assert stored(tmp_path, history, seed).get(ses, 10) is None


def test_fits_of_other_code_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ses = CANDIDATES["ses"]
    stored(tmp_path / "fits").put(ses, 10, Hindcasts(SHOP, SEED).fit(ses, 10))
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "theta.py").write_text("ALPHA = 0.3\n")
    monkeypatch.setattr("ml.stored_fits.SOURCE", tmp_path / "ml")
    assert stored(tmp_path / "fits").get(ses, 10) is None


@pytest.mark.parametrize("cut", [0, 100, 400])
def test_a_damaged_file_is_no_fit_and_is_said(
    cut: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ses, fits = CANDIDATES["ses"], stored(tmp_path)
    fits.put(ses, 10, Hindcasts(SHOP, SEED).fit(ses, 10))
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:cut])
    assert fits.get(ses, 10) is None
    assert caplog.messages == ["stored_fit_damaged"]


@given(of=st.integers(1, 9), months=st.integers(1, 14))
def test_shares_are_everything_once_and_a_part_of_every_candidate(of: int, months: int) -> None:
    parts = [share_of(SHOP, range(months), (index, of)) for index in range(1, of + 1)]
    whole = share_of(SHOP, range(months), (1, 1))
    assert sorted((m.name, t) for part in parts for m, t in part) == sorted((m.name, t) for m, t in whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    if of <= months:
        assert all({member for member, _ in part} == set(needed(SHOP)) for part in parts)
