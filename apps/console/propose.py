"""Opens one pull request as `scripts.promote` does, in a process of its own: `python -m apps.console.propose`.

It loads the model that a release would bring back and asks forge and registries; the pages need none of that and answer
meanwhile. What is wanted comes as JSON on stdin, since others can see arguments; stdout is one JSON object, stderr the
log. Exit code 0 is yes, 1 a no with its reason, 70 something that broke. Killed anywhere and asked again, it ends the
same.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from apps.console.model_registry import ModelRegistry
from ml.bundle import unpack
from ml.errors import MlError, StoreUnavailable
from ml.model_store import ModelStore
from ml.snapshot import Snapshot
from scripts.errors import Broken, Refused
from scripts.evidence.candidate import Manifest, Models
from scripts.evidence.prometheus import Prometheus
from scripts.evidence.record import Line, Person
from scripts.forges.by_address import forge_at
from scripts.images.image_registry import ImageRegistry
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import Opened, open_promotion
from scripts.promotion.rollback import open_rollback
from scripts.release_file import Release

BROKE, REFUSED, YES = 70, 1, 0

log = logging.getLogger("propose")


class Wanted(BaseModel):
    """What somebody asks for, and where it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["rollback", "promotion"]
    environment: str
    requested_by: str
    reason: str = ""
    of: Release | None = None
    model: str | None = None
    image_tag: str | None = None
    forge: str
    forge_kind: Literal["local", "gitea", "github"] | None
    forge_account: str
    forge_token: str | None
    model_store: str | None
    model_registry: str | None
    prometheus_url: str | None


def opened(wanted: Wanted) -> Opened:
    """The pull request that was asked for, or the one that was there already.

    Raises:
        Refused: Promotion says no.
        Broken: Something cannot be asked.
    """
    bridge = _bridge(wanted)
    asker: str = _valid(Person, wanted.requested_by, "a person's name")
    if wanted.kind == "rollback":
        reason: str = _valid(Line, wanted.reason, "the reason")
        return open_rollback(bridge, wanted.environment, asker, reason, wanted.of)
    wish = Wish(wanted.environment, asker, model=wanted.model, image_tag=wanted.image_tag)
    return open_promotion(bridge, wish)


def main() -> int:
    """Carry out what stdin asks for; the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    try:
        found = opened(Wanted.model_validate_json(sys.stdin.buffer.read()))
        told = {
            "action": found.action,
            "pull_request": found.pull_request.number if found.pull_request else None,
        }
        code = YES
    except Refused as refusal:
        told, code = {"reason": refusal.reason, "error": str(refusal)}, REFUSED
    except (Broken, StoreUnavailable) as error:
        told, code = {"reason": "unavailable", "error": str(error)}, BROKE
    except MlError as error:
        told, code = {"reason": type(error).__name__, "error": str(error)}, REFUSED
    except Exception as error:  # noqa: BLE001 - a page must tell what broke from what was refused
        log.error("broke: %s", type(error).__name__)  # noqa: TRY400 - a trace may show what came in
        told, code = {"reason": "broke", "error": type(error).__name__}, BROKE
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return code


def _bridge(wanted: Wanted) -> Bridge:
    if wanted.model_store is None:
        raise Broken("no model store is set, so nobody knows whether the model can be served")
    store = wanted.model_store
    models = Models(
        ModelRegistry(wanted.model_registry),
        ModelStore(store if "://" in store else Path(store)),
        _manifest,
        Snapshot.from_bytes,
    )
    forge = forge_at(
        wanted.forge, kind=wanted.forge_kind, account=wanted.forge_account, token=wanted.forge_token
    )
    metrics = Prometheus(wanted.prometheus_url, None) if wanted.prometheus_url else None
    return Bridge(forge, models, images=ImageRegistry(), metrics=metrics)


def _manifest(data: bytes, sha256: str) -> Manifest:
    return unpack(data, sha256).manifest


def _valid(kind: Any, text: str, what: str) -> str:
    try:
        value: str = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise Refused("bad_text", f"{what} {text!r} cannot be written into a commit: {message}") from None
    return value


if __name__ == "__main__":
    sys.exit(main())
