"""Settings come from variables; an empty variable is one that is not set."""

from pathlib import Path

import pytest

from ml.settings import MlSettings


@pytest.mark.parametrize("name", ["ML_TRACKING_URI", "ML_MODEL_STORE", "ML_STATE", "ML_LATENESS_DAYS"])
def test_an_empty_variable_counts_as_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in MlSettings.model_fields:
        monkeypatch.delenv(f"ML_{field}".upper(), raising=False)
    unset = MlSettings()
    monkeypatch.setenv(name, "")
    assert MlSettings() == unset


def test_a_variable_that_is_set_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ML_STATE", str(tmp_path))
    monkeypatch.setenv("ML_TRACKING_URI", "http://registry:5000")
    assert MlSettings().tracking_uri == "http://registry:5000"
    assert MlSettings().model_store == tmp_path / "models"
