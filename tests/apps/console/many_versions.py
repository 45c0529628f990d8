"""Many versions of one model in the database of an MLflow server that does not run yet."""

import json
import warnings
from pathlib import Path

from mlflow import MlflowClient
from sqlalchemy.exc import SADeprecationWarning

from tests.mlflow_server import database

PAPERS = {
    "verdict.json": {"answer": "better", "against": "mix", "ratio": 0.957, "lower": 0.931, "upper": 0.984},
    "calibration.json": {"intervals": [{"level": 0.5, "covered": 0.512}, {"level": 0.9, "covered": 0.889}]},
    "backtest.json": {"levels": [{"level": 0.5, "below": 0.45, "up_to": 0.54}], "pit": [0.1] * 10},
}


def register(folder: Path, versions: int, name: str = "demand") -> None:
    """As a training does it, straight into the database; the newest has the alias `challenger`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SADeprecationWarning)  # as ml.registry does
        _register(folder, versions, name)


def _register(folder: Path, versions: int, name: str) -> None:
    client = MlflowClient(database(folder), database(folder))
    experiment = client.create_experiment(name, artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model(name)
    for version in range(1, versions + 1):
        run = client.create_run(experiment).info
        for file, content in PAPERS.items():
            client.log_text(run.run_id, json.dumps(content), file)
        tags = {"model_sha256": f"{version:064x}", "data_version": "2025-12.0123456789ab", "candidate": "mix"}
        client.create_model_version(name, source=run.artifact_uri, run_id=run.run_id, tags=tags)
    client.set_registered_model_alias(name, "challenger", str(versions))
