"""Secrets in text that everybody will read: found by the shape of known tokens and by this process' own values."""

import os
import re

from scripts.errors import Refused
from scripts.manifests.render import HIDDEN

SHAPES = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{22,}",
    "a GitLab token": r"\bglpat-[\w-]{20,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a JSON web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password in a URL": r"\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@",
}
_SECRET_NAMES = re.compile(r"(TOKEN|PASSWORD|SECRET|SECRET_ACCESS_KEY|API_KEY)$")
_SHORTEST = 8  # of a value worth looking for; shorter ones are in every text


def refuse_secrets(text: str, what: str) -> None:
    """Refuse text that shows a secret; the refusal says where, and never what.

    Raises:
        Refused: It does.
    """
    for name, pattern in _patterns().items():
        match = pattern.search(text)
        if match:
            line = text.count("\n", 0, match.start()) + 1
            message = (
                f"{what} would show {name} in line {line}; take it out, and change it where it was stored"
            )
            raise Refused("secret_in_text", message)


def hidden(text: str) -> str:
    """The text with every secret in it replaced."""
    for pattern in _patterns().values():
        text = pattern.sub(HIDDEN, text)
    return text


def _patterns() -> dict[str, re.Pattern[str]]:
    """Pattern by what it finds: the known shapes, and the values of this process' secret variables."""
    values = {
        f"the value of {name}": re.escape(value)
        for name, value in os.environ.items()
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST
    }
    return {name: re.compile(shape, re.DOTALL) for name, shape in {**SHAPES, **values}.items()}
