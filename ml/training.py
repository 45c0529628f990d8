"""Train: judge every candidate on past months, choose a recipe, fit it on all months, register the model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from ml import planned
from ml.bundle import CARD, SBOM, Manifest, members, pack, state_digest
from ml.card import model_card
from ml.choice import Choice, Outcome, choose, number
from ml.code_commit import code_commit
from ml.data_version import data_version_of
from ml.decisions.risk import risk_cuts
from ml.demand_class import CLASSES, demand_class
from ml.errors import ModelNotFound
from ml.evaluation import SCORES, Backtest, Row, backtest
from ml.guardrails import Limits
from ml.hindcasts import Fits
from ml.history import History
from ml.model_store import ModelStore
from ml.models import CANDIDATES
from ml.models.base import Model
from ml.models.reference import SeedRecipe
from ml.money.dependence import of_backtest
from ml.money.evidence import money_papers
from ml.month_record import MonthRecord, month_statistics
from ml.papers import by_month_and_class, segments
from ml.papers import calibration as calibration_paper
from ml.progress import Progress, silent
from ml.registry import ModelVersion, Registry
from ml.report import backtest_files, benchmark_png
from ml.sbom import bundle_sbom, installed
from ml.track_record import TrackRecord

VERDICT: Final = "verdict.json"
MOST_RISKS: Final = 5_000
"""The risk cuts are taken from at most this many products, evenly spread over the portfolio."""


@dataclass(frozen=True)
class TrainReport:
    """What was trained, why this recipe, and whether it may be proposed.

    Attributes:
        outcome: `first` (no champion yet), `new_recipe` (the champion's was beaten), `refreshed` (the
            champion's on newer data), `forced` (asked for by name), `unchanged` (the champion's bytes).
        promotable: The gate lets it pass and it is not the champion already.
        verdict: The gate's answer on the candidate `against` another, see `Choice.to_json`.
        version: Registry number.
        benchmark: One row per candidate, see `Backtest.table`.
    """

    outcome: Outcome
    promotable: bool
    candidate: str
    version: int
    sha256: str
    data_version: str
    target_month: str
    verdict: Mapping[str, Any]
    benchmark: list[Row]

    def to_json(self) -> dict[str, object]:
        """The report as plain values for `json.dumps`."""
        return asdict(self)


def train(
    history: History,
    registry: Registry,
    store: ModelStore,
    *,
    seed: int,
    candidates: Mapping[str, type[Model]] | None = None,
    forced: str | None = None,
    data_quality: Mapping[str, Any] | None = None,
    quality_override: str | None = None,
    limits: Limits | None = None,
    stored: Fits | None = None,
    progress: Progress = silent,
) -> TrainReport:
    """Train on all months of a history and make the model the challenger.

    The same history, code and champion give the same bundle, byte for byte. Nothing is stored before the
    model is whole.

    Args:
        history: The panel up to the last month to learn from.
        registry: Where the champion is looked up and the challenger registered.
        store: Where the bundle goes.
        seed: Of every fit and of the gate.
        candidates: Recipes by name; by default all, and the yardstick that cannot be promoted.
        forced: Train this recipe, whatever the backtest says.
        data_quality: Of the events behind the history, kept with the model for its reviewer.
        quality_override: Why this history is learned from although it failed the quality gate.
        limits: What a model may cost to be promoted.
        stored: Fits that other processes made of the same history; they change nothing but the time.
        progress: Called with fits done, fits in all, and what was fitted.

    Raises:
        ModelNotFound: No candidate has the forced name.
        NotEnoughHistory: Fewer than 3 months.
    """
    candidates = candidates or {**CANDIDATES, SeedRecipe.name: SeedRecipe}
    if forced is not None and forced not in CANDIDATES:
        raise ModelNotFound(f"no candidate {forced!r}; there are {', '.join(CANDIDATES)}")
    champion = registry.champion()
    tested = backtest(history, candidates, seed=seed, stored=stored, progress=progress)
    recipe, used_until = (champion.candidate, _used_until(registry, champion)) if champion else (None, None)
    choice = choose(tested, recipe, forced, seed, used_until=used_until, limits=limits)
    table = {str(row["candidate"]): row for row in tested.table()}
    paper = by_month_and_class(tested, choice.candidate)
    manifest, texts, data = _packed(tested, paper, table[choice.candidate], seed, quality_override)
    sha256 = store.put_bundle(data)
    artifacts = _artifacts(tested, table, choice, manifest) | backtest_files(tested, paper, texts[CARD])
    artifacts["sbom.json"] = texts[SBOM]
    if data_quality is not None:
        artifacts["data_quality.json"] = json.dumps(data_quality, indent=1)
    version = registry.register(sha256, manifest, _metrics(table, choice), artifacts)
    registry.set_alias("challenger", version)
    unchanged = champion is not None and champion.sha256 == sha256
    return TrainReport(
        outcome="unchanged" if unchanged else choice.outcome,
        promotable=choice.promotable and not unchanged,
        candidate=choice.candidate,
        version=version,
        sha256=sha256,
        data_version=manifest.data_version,
        target_month=manifest.target_month,
        verdict=choice.to_json(),
        benchmark=list(table.values()),
    )


def _used_until(registry: Registry, champion: ModelVersion) -> str | None:
    """The last month that the champion's choice rested on, by its verdict; verdicts before 2026-11 say nothing."""
    try:
        used = json.loads(registry.artifact(champion.version, VERDICT)).get("used_until")
    except ModelNotFound:
        return None
    return None if used is None else str(used)


def _packed(
    tested: Backtest, paper: Mapping[str, Any], row: Row, seed: int, quality_override: str | None
) -> tuple[Manifest, dict[str, str], bytes]:
    """The recipe fitted on all months, with its calibration and its record: manifest, texts and bundle."""
    name = paper["candidate"]
    history, hindcasts, candidate = tested.history, tested.hindcasts, CANDIDATES[name]
    model, calibration = hindcasts.model(candidate, history.T), tested.calibrations[name]
    prediction = calibration.apply(history, model.predict(history, hindcasts.categories(history.T)))
    classes = [CLASSES[i] for i in demand_class(history)]
    record = TrackRecord.measure(history.product_ids, classes, tested.losses(name))
    months, dependence = _months(tested, name), of_backtest(tested, name, seed)
    version = data_version_of(history)
    manifest = Manifest(
        candidate=name,
        family=candidate.family,
        features=planned.names(planned=bool(history.plan)),
        first_month=str(history.months[0]),
        last_month=str(history.months[-1]),
        target_month=str(history.next_month),
        products=history.n,
        data_version=version.name,
        data_digest=version.digest,
        code_commit=code_commit(),
        metrics={score: number(row[score]) for score in SCORES},
        calibration_id=state_digest(calibration.state())[:12],
        risk_cuts=risk_cuts(prediction.levels[:: 1 + history.n // MOST_RISKS]),
        seed=seed,
        planned=bool(history.plan),
        quality_override=quality_override,
    )
    texts = {CARD: _card(tested, paper, manifest)}
    states = {
        "model": model.state(),
        "calibration": calibration.state(),
        "record": record.state() | texts,
        "months": {**months.state(), **(dependence.state() if dependence else {})},
    }
    texts[SBOM] = bundle_sbom(manifest, members(manifest, **states), installed())
    states["record"] |= {SBOM: texts[SBOM]}
    return manifest, texts, pack(manifest, **states)


def _card(tested: Backtest, paper: Mapping[str, Any], manifest: Manifest) -> str:
    facts = ("data_version", "data_digest", "code_commit", "calibration_id", "seed", "quality_override")
    told = {name: value for name in facts if (value := getattr(manifest, name)) is not None}
    return model_card(
        tested,
        paper,
        title=f"Model card: {manifest.candidate} for {manifest.target_month}",
        facts={name.replace("_", " "): str(value).replace("|", "\\|") for name, value in told.items()},
        command=f"ML_RANDOM_SEED={manifest.seed} python -m ml train --until {manifest.last_month}"
        f" --candidate {manifest.candidate}",
    )


def _months(tested: Backtest, name: str) -> MonthRecord:
    """How the tested months went against forecasts that had not seen them: what drift compares with."""
    found = {}
    for k, t in enumerate(tested.origins):
        prediction = tested.predictions[name][k]
        found[tested.history.months[t]] = month_statistics(
            tested.history, t, prediction, tested.eligible[:, k]
        )
    return MonthRecord.of(found)


def _artifacts(
    tested: Backtest, table: Mapping[str, Row], choice: Choice, manifest: Manifest
) -> dict[str, bytes | str]:
    rows = list(table.values())
    return {
        "benchmark.json": json.dumps(rows, indent=1),
        "benchmark.png": benchmark_png(rows, choice.candidate),
        "calibration.json": json.dumps(calibration_paper(tested, choice.candidate), indent=1),
        "manifest.json": manifest.model_dump_json(indent=1),
        "segments.json": json.dumps(segments(tested, choice.candidate, choice.against), indent=1),
        VERDICT: json.dumps(choice.to_json(), indent=1),
        **money_papers(tested, choice.candidate, choice.against, manifest.seed),
    }


def _metrics(table: Mapping[str, Row], choice: Choice) -> dict[str, float]:
    """The chosen recipe's scores by name, every candidate's by `candidate.score`, and the gate's ratio."""
    found: dict[str, Any] = {score: table[choice.candidate][score] for score in SCORES}
    for name, row in table.items():
        found |= {f"{name}.{key}": row[key] for key in (*SCORES, "seconds")}
    found |= {f"gate.{key}": getattr(choice.verdict, key) for key in ("ratio", "lower", "upper")}
    return {key: known for key, value in found.items() if (known := number(value)) is not None}
