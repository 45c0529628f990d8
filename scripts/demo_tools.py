"""The commands that the demo runs, each the one a person would type, and the environment of each service."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from ml.settings import MlSettings
from scripts.demo_story import Failed
from scripts.local_services import Release

ROOT = Path(__file__).parents[1]
ENVIRONMENT = "local"


class Tools:
    """Runs `python -m ml`, `python -m scripts.promote` and git against one state folder."""

    def __init__(self, state: Path, at: dict[str, int], timezone: str | None) -> None:
        self.state, self.ports, self.timezone = state, at, timezone
        self.settings = MlSettings(state=state)
        self.repository = state / "forge.git"
        self._mlflow: subprocess.Popen[bytes] | None = None

    def ml(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """The JSON that a verb of `python -m ml` prints."""
        return self._json([sys.executable, "-m", "ml", *arguments], ok)

    def promote(self, verb: str, *arguments: str, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """The JSON that a verb of `python -m scripts.promote` prints."""
        fixed = ["--environment", ENVIRONMENT, "--repository", str(self.repository), "--requested-by", "demo"]
        return self._json([sys.executable, "-m", "scripts.promote", verb, *fixed, *arguments], ok)
