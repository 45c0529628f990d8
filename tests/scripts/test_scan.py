"""A finding is mended or explained, an explanation is needed or gone, a scanner that did not look is no clean bill."""

import json
from pathlib import Path

import pytest
import yaml

from scripts import scan
from scripts.manifests import render
from scripts.scan import Explanation, Finding, ScannerFailed, explanations, judged

FOUND = Finding("CKV_1", "terraform: aws_s3_bucket.logs", "what it asks for")
KNOWN = Explanation("CKV_1", r"terraform: aws_s3_bucket\.\w+", "one region is a stated limit")


def test_what_nothing_explains_and_what_explains_nothing_are_both_told() -> None:
    clean = judged([FOUND], [KNOWN])
    assert (clean["findings"], clean["explained"], clean["unexplained"], clean["needless"]) == (1, 1, [], [])
    other = Finding("CKV_2", FOUND.place, "another check")
    assert [each["check"] for each in judged([FOUND, other], [KNOWN])["unexplained"]] == ["CKV_2"]
    assert [each["check"] for each in judged([], [KNOWN])["needless"]] == ["CKV_1"]


@pytest.mark.parametrize("place", ["terraform: aws_s3_bucket.logs.more", "x terraform: aws_s3_bucket.logs"])
def test_an_explanation_is_of_the_whole_place(place: str) -> None:
    assert not KNOWN.covers(Finding("CKV_1", place, ""))


def test_every_exception_of_the_tree_has_a_reason_and_none_is_of_everything() -> None:
    listed = explanations(scan.EXCEPTIONS.read_text())
    assert not [each for each in listed if each.covers(Finding(each.check, "any/file.py: any line", ""))]
    with pytest.raises(ScannerFailed, match="no reason"):
        explanations(yaml.safe_dump([{"check": "CKV_1", "place": "x", "reason": "is fine"}]))


@pytest.fixture
def scanners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that say what a file beside them says."""
    monkeypatch.setattr(scan, "TOOLS", tmp_path)
    monkeypatch.setattr(scan, "EXCEPTIONS", tmp_path / "exceptions.yaml")
    monkeypatch.setattr(render, "build", lambda _: "")
    (tmp_path / "exceptions.yaml").write_text("[]")
    for name in ("checkov", "detect-secrets"):
        (tmp_path / f"{name}.json").write_text("{}")
        (tmp_path / name).write_text(f"#!/bin/sh\nexec cat {tmp_path}/{name}.json\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "detect-secrets.json").write_text(json.dumps({"results": {}}))
    return tmp_path


def report(*failed: str) -> str:
    checks = [{"check_id": each, "resource": "a.b", "check_name": "x"} for each in failed]
    return json.dumps({"summary": {"passed": 3, "parsing_errors": 0}, "results": {"failed_checks": checks}})


def test_the_exit_code_says_whether_something_is_unexplained(
    scanners: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scanners / "checkov.json").write_text(report())
    assert scan.main([]) == 0
    (scanners / "checkov.json").write_text(report("CKV_9"))
    assert scan.main([]) == 1
    assert "CKV_9" in capsys.readouterr().out


def test_a_line_that_looks_like_a_secret_is_told_with_its_file(
    scanners: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scanners / "checkov.json").write_text(report())
    found = {"results": {"LICENSE": [{"type": "Secret Keyword", "line_number": 1}]}}
    (scanners / "detect-secrets.json").write_text(json.dumps(found))
    assert scan.main([]) == 1
    (only,) = json.loads(capsys.readouterr().out)["unexplained"]
    assert only["place"].startswith("LICENSE: ")


@pytest.mark.parametrize(
    "said",
    ["", "{}", json.dumps({"passed": 0, "failed": 0}), report().replace('"passed": 3', '"passed": 0')],
)
def test_a_scanner_that_looked_at_nothing_is_broken_and_not_clean(scanners: Path, said: str) -> None:
    (scanners / "checkov.json").write_text(said)
    assert scan.main([]) == 70


def test_a_scanner_that_is_not_there_is_broken(scanners: Path) -> None:
    (scanners / "checkov").unlink()
    assert scan.main([]) == 70
