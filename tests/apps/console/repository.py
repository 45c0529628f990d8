"""A bare repository as promotions leave it: releases, evidence and a rollback."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

FIRST = {"image_tag": "9c0d7e2", "model_version": 0, "model_sha256": "0" * 64}


def row(candidate: str, family: str, wape: float, coverage: float, bias: float) -> dict[str, Any]:
    return {
        "candidate": candidate,
        "family": family,
        "wape": wape,
        "rmsse": round(wape * 1.6, 3),
        "pinball": round(wape * 0.9, 3),
        "coverage_80": coverage,
        "bias": bias,
        "seconds": 1.5,
    }


BENCHMARK = [
    row("mix", "combination", 0.412, 0.804, 0.006),
    row("lightgbm_quantile", "boosting", 0.425, 0.791, -0.012),
    row("tsb", "intermittent", 0.468, 0.812, 0.031),
    row("ma3", "baseline", 0.493, 0.786, 0.002),
    row("seasonal_naive", "baseline", 0.641, 0.803, -0.004),
    row("naive", "baseline", 0.602, 0.797, 0.001),
]


def evidence(candidate: str, **changes: Any) -> dict[str, Any]:
    """An evidence file as `scripts.evidence.record` writes it; a field that the console does not know is among them."""
    return {
        "format": 1,
        "environment": "local",
        "model": {
            "candidate": candidate,
            "family": "combination",
            "data_version": "2025-12.0123456789ab",
            "last_month": "2025-12",
            "code_commit": "4f1c2d3e5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d",
            "run_id": "r1",
            "registered_at": "2026-01-05T08:00:00+00:00",
        },
        "verdict": {
            "answer": "better",
            "against": "ma3",
            "ratio": 0.913,
            "lower": 0.889,
            "upper": 0.941,
            "reasons": [],
        },
        "benchmark": BENCHMARK,
        "gates": [
            {
                "name": "better_than_champion",
                "passed": True,
                "saw": "better against ma3",
                "needs": "a finite ratio",
                "waiver": None,
            },
            {
                "name": "benchmark",
                "passed": False,
                "saw": "mix alone",
                "needs": "a baseline",
                "waiver": {"by": "Ada", "reason": "first model"},
            },
        ],
        "requested_by": "Ada",
        **changes,
    }


class Forge:
    """Writes commits on `main` of a bare repository, one release each."""

    def __init__(self, path: Path) -> None:
        self.path, self._clock = path, 1_767_600_000
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(path), bare=False)

    def release(
        self, subject: str, values: dict[str, Any], files: dict[str, Any] | None = None, author: str = "Ada"
    ) -> str:
        """Commit a release and other files under `environments/local`; its id comes back."""
        lines = "".join(f'  {name}: "{value}"\n' for name, value in values.items())
        return self.commit(
            subject, {"release.yaml": f"kind: ConfigMap\ndata:\n{lines}"} | (files or {}), author
        )

    def commit(self, subject: str, files: dict[str, Any], author: str = "Ada") -> str:
        """Commit files, as text or as JSON, under `environments/local`; None removes one."""
        stream = [f"commit refs/heads/main\ncommitter {author} <a@b.example> {self._clock} +0000\n"]
        stream.append(f"data {len(subject.encode())}\n{subject}\n")
        if self._git("for-each-ref"):
            stream.append("from refs/heads/main^0\n")
        for name, content in files.items():
            if content is None:
                stream.append(f"D environments/local/{name}\n")
                continue
            text = content if isinstance(content, str) else json.dumps(content)
            stream.append(f"M 100644 inline environments/local/{name}\ndata {len(text.encode())}\n{text}\n")
        self._clock += 86_400
        self._git("fast-import", "--quiet", stdin="".join(stream))
        return self._git("rev-parse", "refs/heads/main").strip()

    def files(self) -> str:
        """Paths on `main`, one a line."""
        return self._git("ls-tree", "-r", "--name-only", "refs/heads/main")

    def _git(self, *arguments: str, stdin: str = "", bare: bool = True) -> str:
        where = ["--git-dir", str(self.path)] if bare else []
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(
            ["git", *where, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout


def release(version: int, image: str = "9c0d7e2") -> dict[str, Any]:
    return {"image_tag": image, "model_version": version, "model_sha256": f"{version:x}" * 64}


def promoted(path: Path) -> Forge:
    """First release, two promotions and a rollback to the first model."""
    forge = Forge(path)
    first = {"evidence/1-9c0d7e2.json": evidence("ma3", verdict=None)}
    second = {"evidence/2-b4e5f60.json": evidence("mix")}
    forge.release("local: first release", FIRST)
    forge.release("local: model 1, image 9c0d7e2", release(1), first)
    forge.release("local: model 2, image b4e5f60", release(2, "b4e5f60"), second)
    taken_back = dict.fromkeys(second)
    forge.release('Revert "local: model 2, image b4e5f60"', release(1), taken_back, author="Grace")
    return forge
