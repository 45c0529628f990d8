"""The keys of the story's services: one that reads, which all of them and the tests show."""

import hashlib
import json

READER = "a-key-that-reads-for-the-tests-only"
HEADERS = {"X-API-Key": READER}
"""What a test shows to a forecast or decision service."""


def key_file(environment: str) -> str:
    """The file of keys of an environment, for its Secret `api-keys`."""
    stored = {
        "sha256": hashlib.sha256(READER.encode()).hexdigest(),
        "source": "tests",
        "environment": environment,
        "roles": ["viewer"],
        "requests_per_second": 10_000,
    }
    return json.dumps(stored)
