"""Drift: quiet in months like the others, loud when demand jumps, silent without the data to judge."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ml.bundle import Bundle, Predictor
from ml.drift.evidently_report import picture
from ml.drift.forecast_drift import multiplied
from ml.drift.judging import judge
from ml.errors import PictureNotDrawn
from ml.evaluation import backtest
from ml.history import History
from ml.models import CANDIDATES
from ml.month_record import MonthRecord, month_statistics
from ml.track_record import TrackRecord
from ml.unusual import SMALLEST_VOLUME_EFFECT
from tests.ml.small_history import small_shop
from tests.ml.small_models import manifest

MONTHS = 30
SEED = 7


def shop(seed: int, months: int = MONTHS) -> History:
    """A shop whose products share a season and the ups and downs of each month."""
    calm = small_shop(products=200, months=months, seed=seed)
    rng = np.random.default_rng([seed, 1])
    season = 0.1 * np.sin(2 * np.pi * np.arange(months) / 12)
    return replace(
        calm, units=np.round(calm.units * np.exp(season + rng.normal(0, 0.05, months))).astype(np.float64)
    )


def trained(history: History) -> Bundle:
    """A model with its record, trained on the whole history as `ml.training` does."""
    tested = backtest(history, {"ses": CANDIDATES["ses"]}, seed=SEED)
    months = {
        history.months[t]: month_statistics(history, t, tested.predictions["ses"][k], tested.eligible[:, k])
        for k, t in enumerate(tested.origins)
    }
    predictor = Predictor(CANDIDATES["ses"].fit(history, SEED), tested.calibrations["ses"])
    made = manifest("ses", last_month=str(history.months[-1]), target_month=str(history.next_month))
    return Bundle("a" * 64, made, predictor, TrackRecord({}, {}), MonthRecord.of(months))


def last_month_unseen(seed: int) -> tuple[History, Bundle]:
    history = shop(seed)
    return history, trained(history.until(MONTHS - 1))


def test_months_like_the_others_raise_no_alarm() -> None:
    answers = [judge(*last_month_unseen(seed)).answer for seed in range(8)]
    assert answers == ["no drift"] * 8


def test_nearly_doubled_demand_is_found() -> None:
    """In nearly every shop: six months to compare with leave a chance of missing even this."""
    found = 0
    for seed in range(8):
        history, bundle = last_month_unseen(seed)
        found += judge(multiplied(history, 1.8), bundle).answer == "drift"
    assert found >= 7


def test_the_reason_names_the_effect_and_the_json_the_features() -> None:
    history, bundle = last_month_unseen(0)
    report = judge(multiplied(history, 1.8), bundle)
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert "shop:volume" in told["features"]
    volume = next(finding for finding in told["findings"] if finding["name"] == "shop:volume")
    assert volume["effect"] == pytest.approx(np.log(1.8), abs=0.35)
    assert volume["p_value"] <= 0.05


def test_a_sure_but_small_change_is_no_drift() -> None:
    """Months that never move make any change sure; only its size can hold the alarm back."""
    history = shop(0)
    still = replace(history, units=np.where(np.isnan(history.units), np.nan, 40.0))
    bundle = trained(still.until(MONTHS - 1))
    small = float(np.exp(SMALLEST_VOLUME_EFFECT)) - 0.05
    volume = {f.name: f for f in judge(multiplied(still, small), bundle).forecasts.findings}["shop:volume"]
    assert volume.p_value < 0.05
    assert not volume.drifted
    assert judge(multiplied(still, small + 0.15), bundle).answer == "drift"


def test_a_strong_season_alone_is_no_drift() -> None:
    """Each month moves by more than the floor, and so did the same month a year before."""
    history = shop(1)
    season = np.where(np.arange(MONTHS) % 3 == 2, 1.5, 1.0)
    moving = replace(history, units=np.round(history.units * season).astype(np.float64))
    assert judge(moving, trained(moving.until(MONTHS - 1))).answer == "no drift"


def test_months_since_training_join_the_months_to_compare_with() -> None:
    history = shop(2)
    report = judge(history, trained(history.until(MONTHS - 4)))
    assert report.forecasts.reference_months == 6 + 3


def test_a_model_that_learned_from_the_month_cannot_judge_it() -> None:
    history = shop(3)
    report = judge(history, trained(history))
    assert report.answer == "not enough data"
    assert "learned from 2026-06" in report.reason


def test_a_short_history_cannot_judge() -> None:
    history = shop(4, months=8)
    report = judge(history, trained(history.until(7)))
    assert report.answer == "not enough data"
    assert "6 are needed" in report.reason


def test_a_few_products_cannot_judge() -> None:
    history = shop(5).rows(np.arange(12))
    bundle = trained(history.until(MONTHS - 1))
    whole = trained(shop(5).until(MONTHS - 1))
    report = judge(history, replace(bundle, months=whole.months))
    assert report.answer == "not enough data"
    assert "products sell often enough" in report.reason


def test_the_category_whose_prices_jump_is_named() -> None:
    """Ten times in one of three; without it, a negative control, none is named."""
    history, bundle = last_month_unseen(8)
    price = history.price_cents.copy()
    toys = np.array(history.categories) == "toys"
    price[toys, -1] *= 10
    found = judge(replace(history, price_cents=price), bundle)
    assert found.categories == ("toys",)
    assert "input:price_cents" in found.features
    assert found.to_json()["parts"]["inputs"]["categories"] == ["toys"]
    assert judge(history, bundle).categories == ()


def test_multiplying_touches_the_last_month_only() -> None:
    history = shop(6)
    more = multiplied(history, 2.0)
    assert np.array_equal(more.units[:, :-1], history.units[:, :-1], equal_nan=True)
    assert more.units[:, -1].tolist() == (2 * history.units[:, -1]).tolist()


def test_the_picture_is_one_html_file() -> None:
    text = picture(shop(7)).decode()
    assert text.lstrip().lower().startswith("<!doctype html>") or "<html" in text
    assert "price_cents" in text


def test_a_picture_that_needs_too_much_is_given_up_and_nothing_else_ends() -> None:
    with pytest.raises(PictureNotDrawn, match=r"drawing ended with -?\d+: \w+"):
        picture(shop(7), most_bytes=64 << 20)
    with pytest.raises(PictureNotDrawn, match=r"longer than 0\.01 s"):
        picture(shop(7), most_seconds=0.01)
