"""What a caller may show, right and wrong, and which rules each satisfies."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.apps.identity_provider import Provider, public_pem, rsa_key

ENVIRONMENT, ANOTHER = "staging", "production"


@dataclass(frozen=True)
class Shown:
    """Headers of a request, the rules that they satisfy, and how others refuse them."""

    headers: Mapping[str, str]
    satisfies: frozenset[str] = frozenset()
    status: int = 401


def stored(key: str, *roles: str, **changes: Any) -> dict[str, Any]:
    """One line of the file of keys."""
    hashed = hashlib.sha256(key.encode()).hexdigest()
    return {"sha256": hashed, "source": key, "environment": ENVIRONMENT, "roles": roles, **changes}


def key_file(folder: Path) -> Path:
    """Keys that are right, each wrong in one thing, or of another role."""
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    lines = [
        stored("viewer-key", "viewer"),
        stored("controller-key", "controller"),
        stored("sender-key", "sender"),
        stored("expired-key", "viewer", "controller", "sender", not_after=(now - hour).isoformat()),
        stored("early-key", "viewer", "controller", "sender", not_before=(now + hour).isoformat()),
        stored("other-key", "viewer", "controller", "sender", environment=ANOTHER),
    ]
    file = folder / "keys.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def keys() -> dict[str, Shown]:
    """API keys by what they are."""

    def of(key: str, *satisfies: str, status: int = 401) -> Shown:
        return Shown({"X-API-Key": key}, frozenset(satisfies), status)

    return {
        "none": Shown({}),
        "empty key": of(""),
        "unknown key": of("unknown-key"),
        "viewer": of("viewer-key", "viewer", status=403),
        "controller": of("controller-key", "viewer", "controller", status=403),
        "key of another role": of("sender-key", "sender", status=403),
        "expired": of("expired-key"),
        "not yet valid": of("early-key"),
        "other environment": of("other-key", status=403),
        "the hash of a key": of(str(stored("viewer-key")["sha256"])),
    }


def tokens(idp: Provider) -> dict[str, Shown]:
    """Tokens by what they are. Those that are wrong would be a controller's if they were right."""

    def of(token: str, *satisfies: str, status: int = 401) -> Shown:
        return Shown({"Authorization": f"Bearer {token}"}, frozenset(satisfies), status)

    right = idp.token("controller")
    head, claims, signed = right.split(".")
    another = idp.token("controller", sub="somebody-else").split(".")[1]
    hour = 3600
    now = int(datetime.now(UTC).timestamp())
    one = idp.keys["one"]
    return {
        "token of a viewer": of(idp.token("viewer"), "viewer", status=403),
        "token of a controller": of(right, "viewer", "controller", status=403),
        "token on a curve": of(idp.token("viewer", algorithm="ES256", kid="curve"), "viewer", status=403),
        "token without a role": of(idp.token(), status=403),
        "token of another role": of(idp.token("sender", "admin", "browser"), status=403),
        "token expired": of(idp.token("controller", exp=now - hour)),
        "token not yet valid": of(idp.token("controller", nbf=now + hour)),
        "token made in the future": of(idp.token("controller", iat=now + hour)),
        "token of no end": of(idp.token("controller", exp=None)),
        "token of nobody": of(idp.token("controller", sub=None)),
        "token for nobody": of(idp.token("controller", aud=None)),
        "token of no issuer": of(idp.token("controller", iss=None)),
        "token for a wrong audience": of(idp.token("controller", aud="another-service")),
        "token for another environment": of(idp.token("controller", aud=f"purchase-prediction-{ANOTHER}")),
        "token of a wrong issuer": of(idp.token("controller", iss="https://evil.example")),
        "token with alg none": of(idp.token("controller", algorithm="none")),
        "token with alg none and a signature": of(
            f"{idp.token('controller', algorithm='none').rpartition('.')[0]}.{signed}"
        ),
        "token with HS256 by the public key": of(
            idp.token("controller", algorithm="HS256", key=public_pem(one))
        ),
        "token with RS512": of(idp.token("controller", algorithm="RS512", key=one)),
        "token with the key of another algorithm": of(
            idp.token("controller", algorithm="RS256", kid="curve", key=one)
        ),
        "token of an unknown key": of(idp.token("controller", kid="two", key=rsa_key("two"))),
        "token without a key's name": of(idp.token("controller", kid=None)),
        "token signed by somebody else": of(idp.token("controller", key=rsa_key("two"))),
        "token with other claims": of(f"{head}.{another}.{signed}"),
        "token without a signature": of(f"{head}.{claims}."),
        "token with a critical header": of(
            idp.token("controller", header={"crit": ["exp"], "exp": now + hour})
        ),
        "token that brings its key": of(
            idp.token("controller", kid="two", key=rsa_key("two"), header={"jku": "http://evil.example"})
        ),
        "token that is too long": of(idp.token("controller", padding="x" * 9_000)),
        "no token": of("nonsense"),
        "two dots": of(".."),
        "basic authorization": Shown({"Authorization": "Basic dmlld2VyOmtleQ=="}),
        "a token as a key": Shown({"X-API-Key": right}),
        "a key as a token": of("controller-key"),
        "a wrong key beside a right token": Shown(
            {"X-API-Key": "unknown-key", "Authorization": f"Bearer {right}"}
        ),
    }
