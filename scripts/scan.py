"""`python -m scripts.scan`: what checkov and detect-secrets find, less what scripts/scan_exceptions.yaml explains.

Terraform, the rendered environments and the Dockerfiles go through checkov, every file of Git through detect-secrets.
stdout is one JSON object; exit 0 when every finding is explained and every explanation is needed, 1 when not, 70 when
a scanner did not run.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.manifests import render

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".venv" / "scan" / "bin"
EXCEPTIONS = ROOT / "scripts" / "scan_exceptions.yaml"
OVERLAYS = ("local", "staging", "production", "platform")


class ScannerFailed(Exception):
    """A scanner ended without a report."""


@dataclass(frozen=True)
class Finding:
    """What a scanner says of a place: a check of checkov at a resource, a kind of secret at `file: line's text`."""

    check: str
    place: str
    text: str


@dataclass(frozen=True)
class Explanation:
    """Findings that are known: `place` is a regular expression of the whole place."""

    check: str
    place: str
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of those."""
        return finding.check == self.check and re.fullmatch(self.place, finding.place) is not None


def main(arguments: list[str] | None = None) -> int:
    """Scan and print the report; the exit code comes back."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.scan",
        description="Scan Terraform, manifests and Dockerfiles (checkov) and every file (detect-secrets).",
        epilog="A finding is mended or explained in scripts/scan_exceptions.yaml: check, place (a regular "
        "expression), reason. An explanation that nothing needs any more is a no too. `make scan` installs both.",
    )
    parser.parse_args(arguments)
    try:
        found = sorted({*_checkov_everything(), *_secrets()}, key=lambda each: (each.check, each.place))
    except (ScannerFailed, OSError, json.JSONDecodeError) as error:
        print(f"scan: {error}", file=sys.stderr)
        return 70
    report = judged(found, explanations(EXCEPTIONS.read_text()))
    print(json.dumps(report, indent=2))
    return 0 if not report["unexplained"] and not report["needless"] else 1


def explanations(text: str) -> list[Explanation]:
    """The exceptions of a file, each with a reason that says something."""
    listed = [Explanation(**each) for each in yaml.safe_load(text)]
    for each in listed:
        if len(each.reason.split()) < 4:  # noqa: PLR2004 - fewer words than that are no reason
            raise ScannerFailed(f"no reason for {each.check} at {each.place}")
    return listed


def judged(found: Iterable[Finding], explained: Iterable[Explanation]) -> dict[str, Any]:
    """Findings that nothing explains, and explanations that explain nothing."""
    found, explained = list(found), list(explained)
    unexplained = [each for each in found if not any(other.covers(each) for other in explained)]
    needless = [each for each in explained if not any(each.covers(other) for other in found)]
    return {
        "findings": len(found),
        "explained": len(found) - len(unexplained),
        "unexplained": [asdict(each) for each in unexplained],
        "needless": [asdict(each) for each in needless],
    }


def _checkov_everything() -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            Path(folder, f"{overlay}.yaml").write_text(render.build(ROOT / "environments" / overlay))
        dockerfiles = [option for path in _tracked("*Dockerfile") for option in ("--file", path)]
        variables = ["--var-file", "terraform/production.tfvars"]
        yield from _checkov("terraform", "--directory", "terraform", *variables)
        yield from _checkov("kubernetes", "--directory", folder)
        yield from _checkov("dockerfile", *dockerfiles)


def _checkov(framework: str, *where: str) -> Iterator[Finding]:
    """Failed checks; checkov's own exit code says only that there are some."""
    options = ["--framework", framework, "--output", "json", "--quiet", "--compact", "--skip-download"]
    report = json.loads(_output([str(TOOLS / "checkov"), *options, *where], fine={0, 1}))
    if "results" not in report or not report["summary"]["passed"] or report["summary"]["parsing_errors"]:
        raise ScannerFailed(f"checkov looked at no {framework}: {report.get('summary', report)}")
    print(f"scan: {framework}: {report['summary']['passed']} checks passed", file=sys.stderr)
    for each in report["results"]["failed_checks"]:
        place = str(each["resource"]).removeprefix(f"{ROOT}/")
        yield Finding(each["check_id"], f"{framework}: {place}", each["check_name"])


def _secrets() -> Iterator[Finding]:
    """Lines that look like a secret, in the files that Git keeps; locks are hashes from end to end."""
    locks = r"^(requirements/.*|tools/(.*/)?(go|schemas)\.sum)$"
    output = _output([str(TOOLS / "detect-secrets"), "scan", "--exclude-files", locks], fine={0})
    results: dict[str, list[dict[str, Any]]] = json.loads(output)["results"]
    for path, found in results.items():
        lines = (ROOT / path).read_text().splitlines()
        for each in found:
            yield Finding(each["type"], f"{path}: {lines[each['line_number'] - 1].strip()}", "a secret?")


def _tracked(pattern: str) -> list[str]:
    return _output(["git", "ls-files", "--", pattern], fine={0}).split()


def _output(command: list[str], *, fine: set[int]) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in fine:
        raise ScannerFailed(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
