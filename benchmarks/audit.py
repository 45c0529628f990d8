"""How long an audit of a long history takes: `python -m benchmarks.audit --promotions 1000`.

The history is that of the tests: two environments, rollbacks, reverts, other commits between them. One JSON object
on stdout; the exit code is 1 when something was found, or when the slowest run took longer than `--at-most` seconds.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from scripts.audit.environment import audit
from scripts.forges.local import LocalForge
from scripts.status.dora import metrics
from tests.scripts import promotions_at_scale

ENVIRONMENT = "production"
Result = TypeVar("Result")


def main() -> int:
    """Write the history, audit it some times, measure it once."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        directory = Path(folder, "forge.git")
        writing, written = _timed(lambda: promotions_at_scale.write(directory, options.promotions))
        forge = LocalForge(directory, "auditor")
        runs = [_timed(lambda: audit(forge, ENVIRONMENT)) for _ in range(options.runs)]
        measuring, _ = _timed(lambda: metrics(forge, until=datetime.now(UTC), environments=[ENVIRONMENT]))
    slowest, report = max(runs, key=lambda run: run[0])
    told = {
        "promotions": options.promotions,
        "commits": len(written),
        "deployments": len(report.deployments),
        "findings": len(report.findings),
        "audit_seconds": [round(seconds, 2) for seconds, _ in runs],
        "metrics_seconds": round(measuring, 2),
        "writing_seconds": round(writing, 2),
    }
    print(json.dumps(told))
    return 0 if report.ok and slowest <= options.at_most else 1


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--promotions", type=int, default=1000, help="of production [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="audits [%(default)s]")
    parser.add_argument("--at-most", type=float, default=10.0, help="seconds for each audit [%(default)s]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
