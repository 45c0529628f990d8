"""What the command lines answer and how they end."""

import json
import re
from pathlib import Path

import pytest

from apps.oncall import commands
from apps.oncall.main import create
from apps.oncall.rota_file import BadRota
from tests.apps.oncall.world import KEY, TOKEN, rota, settings, written
from tests.apps.process import listener, running


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, object]]:
    code = commands.main([str(each) for each in arguments])
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return code, found


def test_a_rota_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = answer(capsys, "check", written(tmp_path))
    assert (code, found) == (0, {"ok": True, "people": 3, "channels": 2, "rotas": 2, "unused": ["webhook"]})
    code, found = answer(capsys, "check", written(tmp_path, rota(tmp_path) | {"zone": "Nowhere"}))
    assert (code, found["ok"]) == (1, False)
    assert "Nowhere" in str(found["reason"])


def test_who_is_told_at_a_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path)
    code, found = answer(capsys, "whois", file, "--at", "2026-12-01T03:00+03:00")
    assert code == 0
    assert [(each["person"], each["told_at"]) for each in found["levels"]] == [  # type: ignore[attr-defined]
        ("deniz", "2026-12-01T03:00:00+03:00"),
        ("ayse", "2026-12-01T03:05:00+03:00"),
        ("can", "2026-12-01T03:15:00+03:00"),
    ]
    _, local = answer(capsys, "whois", file, "--at", "2026-12-01T03:00", "--severity", "ticket")
    assert [each["told_at"] for each in local["levels"]] == [  # type: ignore[attr-defined]
        "2026-12-01T08:00:00+03:00",
        "2026-12-01T16:00:00+03:00",
    ]


def test_a_drill_takes_alertmanagers_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings(tmp_path)
    values = {
        "ONCALL_ROTA": str(given.rota),
        "ONCALL_DATABASE": str(given.database),
        "ONCALL_ALERT_TOKEN": TOKEN,
        "ONCALL_API_KEY": KEY,
        "ONCALL_SMTP_HOST": "127.0.0.1",
        "ONCALL_MAIL_FROM": given.mail_from,
    }
    with listener() as bound, running("apps.oncall", values, bound) as process:
        assert process.readiness["ready"], process.ended()
        assert answer(capsys, "test-page", "--url", process.url)[0] == 1
        monkeypatch.setenv("ONCALL_ALERT_TOKEN", TOKEN)
        code, found = answer(capsys, "test-page", "--url", process.url)
        assert (code, found["incident"]) == (0, 1)
        monkeypatch.setenv("ONCALL_ALERT_TOKEN", "another-token-of-nobody")
        code, found = answer(capsys, "test-page", "--url", process.url)
        assert (code, found["status"]) == (1, 401)
    bound.close()
    assert commands.main(["test-page", "--url", process.url]) == 70
    assert capsys.readouterr().out == ""


def test_help_shows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main(["--help"])
    assert ended.value.code == 0
    assert set(re.findall(r"apps\.oncall ([a-z-]+)", capsys.readouterr().out)) >= {
        "check",
        "whois",
        "test-page",
        "verify",
    }


def test_a_service_with_a_wrong_rota_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(BadRota, match="zone"):
        create(settings(tmp_path, rota=written(tmp_path, {"zone": "Nowhere"})))
