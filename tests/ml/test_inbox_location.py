"""An inbox is named by a path or a URL, and no text that shows one has a password in it."""

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from apps.chassis.settings import BadSettings, read_settings
from apps.collector.settings import CollectorSettings
from ml.__main__ import main
from ml.errors import StoreUnavailable
from ml.inbox_location import DatabaseUrl, Password, inbox_location
from ml.migrations.inbox import migrations_of
from ml.open_inbox import open_inbox
from ml.settings import MlSettings

SECRET = "what-nobody-may-read"


def test_a_path_becomes_absolute_and_a_url_a_database() -> None:
    assert inbox_location("state/inbox.sqlite") == Path.cwd() / "state/inbox.sqlite"
    found = inbox_location("postgresql://web%40shop@db.example.com/in%20box")
    assert found == DatabaseUrl("db.example.com", 5432, "in box", "web@shop")
    assert inbox_location(found) is found
    assert str(inbox_location("postgres://u@h:6000/d")) == "postgresql://u@h:6000/d"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://u@h/d", "not a path and not postgresql"),
        ("postgresql://h/d", "not a path and not postgresql"),
        ("postgresql://u@h", "not a path and not postgresql"),
        ("postgresql://u@h/d?sslmode=require", "knows no sslmode 'require'"),
        ("postgresql://u@h/d?password=x", "knows no option 'password'"),
        (f"postgresql://u:{SECRET}@h/d", "holds a password"),
    ],
)
def test_another_url_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        inbox_location(url)
    assert SECRET not in str(caught.value)


def test_a_password_in_the_url_is_refused_and_not_repeated_by_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLLECTOR_API_KEY", "k" * 16)
    monkeypatch.setenv("COLLECTOR_INBOX", f"postgresql://u:{SECRET}@h/d")
    with pytest.raises(BadSettings, match=r"COLLECTOR_INBOX is wrong .*holds a password") as caught:
        read_settings(CollectorSettings)
    assert SECRET not in str(caught.value)


def test_settings_take_a_url_and_keep_the_password_to_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ML_INBOX", "postgresql://u@h/d")
    monkeypatch.setenv("ML_INBOX_PASSWORD", SECRET)
    settings = MlSettings(state=tmp_path)
    assert settings.inbox == DatabaseUrl("h", 5432, "d", "u")
    assert settings.inbox_login.read() == SECRET
    assert SECRET not in f"{settings!r} {settings.inbox_login!r} {settings.model_dump_json()}"
    monkeypatch.delenv("ML_INBOX")
    assert MlSettings(state=tmp_path).inbox == tmp_path / "inbox.sqlite"
    monkeypatch.setenv("ML_INBOX", "ftp://h/d")
    with pytest.raises(ValidationError, match="not a path and not postgresql"):
        MlSettings(state=tmp_path)


def test_the_command_line_refuses_a_password_in_the_url_and_does_not_repeat_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_INBOX", f"postgresql://u:{SECRET}@h/d")
    assert main(["migrate", "--check"]) == 1
    said = "".join(capsys.readouterr())
    assert "ML_INBOX is 'postgresql://u:…@h/d'" in said
    assert SECRET not in said


def test_a_password_file_is_read_at_each_use_and_a_missing_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "password"
    password = Password(SecretStr("other"), file)
    url = DatabaseUrl("127.0.0.1", 1, "d", "u")
    for opens in (lambda: open_inbox(url, password), lambda: migrations_of(url, password).run()):
        with pytest.raises(StoreUnavailable, match=r"postgresql://u@127\.0\.0\.1:1/d"):
            opens()
    for text in ("one", "two\n"):
        file.write_text(text)
        assert password.read() == text.strip()
    assert Password().read() is None


def test_tls_checks_the_servers_name(tmp_path: Path) -> None:
    assert DatabaseUrl("h", 1, "d", "u").tls() is None
    context = DatabaseUrl("h", 1, "d", "u", "verify-full").tls()
    assert context is not None
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    with pytest.raises(OSError, match="No such file"):
        DatabaseUrl("h", 1, "d", "u", "verify-full", str(tmp_path / "absent")).tls()
