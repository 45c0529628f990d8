"""Training on a small shop with quick candidates: what is chosen, judged, kept and told."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from ml.bundle import unpack
from ml.data_version import data_version_of
from ml.errors import ModelNotFound, NotEnoughHistory
from ml.guardrails import Limits
from ml.model_store import ModelStore
from ml.models import CANDIDATES
from ml.models.base import Model
from ml.registry import Registry
from ml.settings import MlSettings
from ml.training import TrainReport, train
from tests.ml.small_history import small_shop

SHOP = small_shop(products=120, months=24, seed=3)
QUICK: Mapping[str, type[Model]] = {
    name: CANDIDATES[name] for name in ("naive", "seasonal_naive", "ma3", "ses")
}
SEED = 7

NewState = Callable[[Path], MlSettings]


class Place:
    """A registry and a store in one folder."""

    def __init__(self, settings: MlSettings) -> None:
        self.registry, self.store = Registry(settings), ModelStore(settings.model_store)

    def train(self, months: int = 24, forced: str | None = None) -> TrainReport:
        history = SHOP.until(months)
        return train(history, self.registry, self.store, seed=SEED, candidates=QUICK, forced=forced)


@pytest.fixture
def place(tmp_path: Path, new_state: NewState) -> Place:
    return Place(new_state(tmp_path))


def test_the_first_model_is_judged_against_naive_and_becomes_challenger(place: Place) -> None:
    report = place.train()
    assert (report.outcome, report.verdict["against"]) == ("first", "naive")
    assert report.promotable == (report.verdict["answer"] == "better")
    assert report.promotable
    challenger = place.registry.resolve("challenger")
    assert (challenger.version, challenger.sha256) == (report.version, report.sha256)
    assert place.registry.champion() is None


def test_the_bundle_holds_what_the_report_says(place: Place) -> None:
    report = place.train()
    bundle = unpack(place.store.get_bundle(report.sha256), report.sha256)
    manifest = bundle.manifest
    assert (manifest.candidate, manifest.last_month, manifest.target_month) == (
        report.candidate,
        "2025-12",
        "2026-01",
    )
    assert manifest.data_version == data_version_of(SHOP).name == report.data_version
    row = next(row for row in report.benchmark if row["candidate"] == report.candidate)
    assert manifest.metrics["pinball"] == row["pinball"]
    assert manifest.risk_cuts[0] < manifest.risk_cuts[1]
    assert bundle.dependence is not None
    assert 0 < bundle.dependence.months < 1
    assert all(bundle.record.of(product_id, "smooth") is not None for product_id in SHOP.product_ids)
    assert [str(month) for month in bundle.months.months] == [f"2025-{m:02d}" for m in range(7, 13)]


def test_the_same_data_gives_the_same_bytes_in_another_folder(tmp_path: Path, new_state: NewState) -> None:
    first, second = (Place(new_state(tmp_path / name)).train(forced="ses") for name in ("a", "b"))
    assert first.sha256 == second.sha256


def test_boosted_trees_give_the_same_bytes_too(tmp_path: Path, new_state: NewState) -> None:
    quick = {"naive": CANDIDATES["naive"], "lightgbm_tweedie": CANDIDATES["lightgbm_tweedie"]}
    history, reports = SHOP.until(12), []
    for name in ("a", "b"):
        place = Place(new_state(tmp_path / name))
        report = train(
            history, place.registry, place.store, seed=SEED, candidates=quick, forced="lightgbm_tweedie"
        )
        reports.append(report.sha256)
    assert reports[0] == reports[1]


def test_other_data_gives_other_bytes(place: Place) -> None:
    assert place.train(23, forced="ses").sha256 != place.train(24, forced="ses").sha256


def test_training_again_on_the_champions_data_changes_nothing(place: Place) -> None:
    report = place.train()
    place.registry.set_alias("champion", report.version)
    again = place.train(forced=report.candidate)
    assert (again.outcome, again.promotable) == ("unchanged", False)
    assert (again.version, again.sha256) == (report.version, report.sha256)
    assert len(place.registry.versions()) == 1


def test_a_champions_recipe_is_refreshed_when_it_stays_the_best(place: Place) -> None:
    first = place.train(23)
    place.registry.set_alias("champion", first.version)
    second = place.train(24)
    assert (second.candidate, second.outcome, second.version) == (first.candidate, "refreshed", 2)
    assert second.verdict["against"] == "naive"
    assert second.promotable


def test_a_refresh_that_nobody_can_tell_from_naive_is_no_and_still_says_why(
    tmp_path: Path, new_state: NewState
) -> None:
    place, shop = Place(new_state(tmp_path)), small_shop(products=40, months=12, seed=3)
    reports = []
    for months in (11, 12):
        report = train(shop.until(months), place.registry, place.store, seed=SEED, candidates=QUICK)
        place.registry.set_alias("champion", report.version)
        reports.append(report)
    said = json.loads(json.dumps(reports[1].to_json(), allow_nan=False))
    assert (said["outcome"], said["promotable"]) == ("refreshed", False)
    assert said["verdict"]["answer"] == "not_enough_data"
    assert "too wide to see a difference" in said["verdict"]["reasons"][0]


def test_a_champion_hands_on_which_months_its_choice_used(place: Place) -> None:
    first = place.train(23)
    assert first.verdict["used_until"] == "2025-11"
    place.registry.set_alias("champion", first.version)
    other = next(name for name in QUICK if name not in (first.candidate, "naive"))
    second = place.train(24, forced=other)
    assert second.verdict["answer"] == "not_enough_data"
    assert second.verdict["reasons"][0] == "1 months were tested, 3 are needed"
    assert second.verdict["used_until"] == "2025-11"


def test_a_champion_of_a_release_without_that_record_has_used_no_month(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = place.train(23)
    place.registry.set_alias("champion", first.version)
    old = json.dumps({key: value for key, value in first.verdict.items() if key != "used_until"})
    other = next(name for name in QUICK if name not in (first.candidate, "naive"))
    with monkeypatch.context() as patched:
        patched.setattr(place.registry, "artifact", lambda _version, _name: old.encode())
        assert place.train(24, forced=other).verdict["origins"] == 6


def test_a_model_that_is_not_better_than_naive_is_registered_but_not_promotable(place: Place) -> None:
    report = place.train(forced="naive")
    assert report.verdict["ratio"] == 1.0
    assert not report.promotable or report.verdict["answer"] == "non_inferior"


def test_a_model_that_costs_more_than_the_limits_is_not_promotable(place: Place) -> None:
    free = Limits(memory_bytes=1.0)
    report = train(SHOP, place.registry, place.store, seed=SEED, candidates=QUICK, limits=free)
    assert (report.verdict["answer"], report.promotable) == ("refused", False)


def test_what_a_reviewer_needs_is_kept_with_the_run(place: Place) -> None:
    report = place.train()
    kept = {
        name: place.registry.artifact(report.version, name)
        for name in ("benchmark.json", "verdict.json", "money.json", "money.png")
    }
    assert json.loads(kept["benchmark.json"]) == report.benchmark
    assert json.loads(kept["money.json"])["against"] == report.verdict["against"]
    assert kept["money.png"].startswith(b"\x89PNG")
    assert json.loads(kept["verdict.json"]) == json.loads(json.dumps(report.verdict))
    assert place.registry.artifact(report.version, "benchmark.png").startswith(b"\x89PNG")
    assert (
        json.loads(place.registry.artifact(report.version, "manifest.json"))["candidate"] == report.candidate
    )
    metrics = place.registry.resolve(str(report.version)).metrics
    assert metrics["gate.ratio"] == report.verdict["ratio"]
    assert {"naive.pinball", "ma3.wape", "ses.coverage_80"} <= set(metrics)


def test_calibration_and_segments_are_kept_too_and_data_quality_when_it_is_given(place: Place) -> None:
    quality = {"accepted": 9, "refused": 1, "reasons": {"price_too_high": 1}}
    report = train(SHOP, place.registry, place.store, seed=SEED, candidates=QUICK, data_quality=quality)
    papers = {
        name: json.loads(place.registry.artifact(report.version, f"{name}.json"))
        for name in ("calibration", "segments", "data_quality")
    }
    assert papers["data_quality"] == quality
    assert papers["segments"]["against"] == report.verdict["against"]
    row = next(row for row in report.benchmark if row["candidate"] == report.candidate)
    covered = {each["level"]: each["covered"] for each in papers["calibration"]["intervals"]}
    assert covered[0.8] == pytest.approx(row["coverage_80"])
    assert papers["calibration"]["observations"] == row["observations"]


def test_pictures_and_model_card_are_kept_and_the_card_is_in_the_bundle_too(place: Place) -> None:
    report = place.train()
    kept = {
        name: place.registry.artifact(report.version, name)
        for name in ("model_card.md", "backtest.json", "errors.png", "calibration.png", "examples.png")
    }
    bundle = unpack(place.store.get_bundle(report.sha256), report.sha256)
    assert bundle.card == kept["model_card.md"].decode()
    assert report.data_version in bundle.card
    assert f"--until 2025-12 --candidate {report.candidate}" in bundle.card
    assert json.loads(kept["backtest.json"])["candidate"] == report.candidate
    assert all(kept[name].startswith(b"\x89PNG") for name in kept if name.endswith(".png"))


def test_the_report_is_json_even_when_the_gate_could_not_decide(place: Place) -> None:
    few = SHOP.rows(np.arange(5))
    report = train(few, place.registry, place.store, seed=SEED, candidates=QUICK)
    assert report.verdict["answer"] == "not_enough_data"
    assert report.verdict["ratio"] is None
    assert not report.promotable
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["version"] == report.version


def test_an_unknown_recipe_is_refused_with_the_known_ones(place: Place) -> None:
    with pytest.raises(ModelNotFound, match="no candidate 'seed_recipe'; there are naive"):
        place.train(forced="seed_recipe")


def test_two_months_are_not_enough(place: Place) -> None:
    with pytest.raises(NotEnoughHistory, match="2 full months"):
        place.train(months=2)


def test_an_interruption_leaves_no_model(place: Place, tmp_path: Path) -> None:
    def interrupt(done: int, _total: int, _label: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(SHOP, place.registry, place.store, seed=SEED, candidates=QUICK, progress=interrupt)
    assert place.registry.versions() == []
    assert not (tmp_path / "models").exists()
