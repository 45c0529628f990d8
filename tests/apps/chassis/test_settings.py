"""A missing or wrong variable is one sentence that names it."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import ApiKey, BadSettings, Port, ServiceSettings, read_settings


class ReleaseSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="RELEASE_")

    port: Port = 0
    model_version: int = Field(ge=1, description="written by release.yaml")
    api_key: ApiKey


@pytest.fixture(autouse=True)
def complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_MODEL_VERSION", "3")
    monkeypatch.setenv("RELEASE_API_KEY", "k" * 16)


def test_a_complete_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FD", "7")
    settings = read_settings(ReleaseSettings)
    assert (settings.model_version, settings.listen_fd, settings.host) == (3, 7, "127.0.0.1")


def test_a_missing_variable_is_named_with_its_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELEASE_MODEL_VERSION")
    with pytest.raises(BadSettings, match=r"^RELEASE_MODEL_VERSION is not set \(written by release.yaml\)$"):
        read_settings(ReleaseSettings)


def test_a_wrong_variable_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_MODEL_VERSION", "zero")
    monkeypatch.setenv("LISTEN_FD", "1")
    with pytest.raises(BadSettings) as caught:
        read_settings(ReleaseSettings)
    assert "RELEASE_MODEL_VERSION is wrong" in str(caught.value)
    assert "got 'zero'" in str(caught.value)
    assert "LISTEN_FD is wrong" in str(caught.value)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_API_KEY", "hunter2")
    with pytest.raises(BadSettings) as caught:
        read_settings(ReleaseSettings)
    assert "RELEASE_API_KEY is wrong" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_secret_may_be_a_file_and_a_variable_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RELEASE_API_KEY")
    (tmp_path / "release_api_key").write_text(f"{'f' * 16}\n")
    with pytest.raises(BadSettings, match="RELEASE_API_KEY is not set"):
        read_settings(ReleaseSettings)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert read_settings(ReleaseSettings).api_key.get_secret_value() == "f" * 16
    monkeypatch.setenv("RELEASE_API_KEY", "v" * 16)
    assert read_settings(ReleaseSettings).api_key.get_secret_value() == "v" * 16


def test_a_wrong_secret_of_a_file_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RELEASE_API_KEY")
    (tmp_path / "release_api_key").write_text("hunter2")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    with pytest.raises(BadSettings, match="RELEASE_API_KEY is wrong") as caught:
        read_settings(ReleaseSettings)
    assert "hunter2" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    settings = ReleaseSettings(model_version=1, api_key=SecretStr("k" * 16))
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
