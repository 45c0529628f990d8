"""`python -m scripts.promote`: models and images come by pull request and leave by a revert.

stdout is one JSON object, stderr is the log. Exit code 0 is yes, 1 a refusal whose reason is in the JSON, 70
something that broke and may work when tried again.
"""

import argparse
import getpass
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from ml.errors import MlError, StoreUnavailable
from scripts import merging, report
from scripts.candidate import Models
from scripts.errors import Refused
from scripts.evidence import Line, Person, Waiver
from scripts.local_forge import LocalForge
from scripts.promotion import Bridge, Opened, Wish, open_promotion
from scripts.release_file import environment_name
from scripts.rollback import open_rollback

BROKE, REFUSED, YES = 70, 1, 0

_LOG = logging.getLogger("promote")


def main(arguments: list[str] | None = None, models: Callable[[], Models] | None = None) -> int:
    """Run one verb; the exit code comes back. `models` replaces the registry and store of the settings."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        options = _parser().parse_args(arguments)
        answer, code = options.run(options, models or _models), YES
    except Refused as refusal:
        answer, code = {"error": str(refusal), "reason": refusal.reason}, REFUSED
    except StoreUnavailable as error:
        answer, code = {"error": str(error), "reason": "unavailable"}, BROKE
    except MlError as error:
        answer, code = {"error": str(error), "reason": type(error).__name__}, REFUSED
    except Exception as error:  # noqa: BLE001 - a workflow must tell what broke from what was refused
        _LOG.exception("broke")
        answer, code = {"error": f"{type(error).__name__}: {error}", "reason": "broke"}, BROKE
    print(json.dumps(answer, ensure_ascii=False))
    return code


def _plan(options: argparse.Namespace, _: Callable[[], Models]) -> dict[str, Any]:
    return report.plan(_forge(options))


def _history(options: argparse.Namespace, _: Callable[[], Models]) -> dict[str, Any]:
    return {
        "environment": options.environment,
        "deployments": report.history(_forge(options), options.environment),
    }


def _open(options: argparse.Namespace, models: Callable[[], Models]) -> dict[str, Any]:
    wish = Wish(
        environment=options.environment,
        requested_by=_person(options.requested_by),
        model=options.model,
        image_tag=options.image_tag,
        waivers=_waivers(options),
    )
    return _told(options, open_promotion(Bridge(_forge(options), models()), wish))


def _rollback(options: argparse.Namespace, models: Callable[[], Models]) -> dict[str, Any]:
    reason = _valid(Line, options.reason, "--reason")
    bridge = Bridge(_forge(options), models())
    return _told(options, open_rollback(bridge, options.environment, _person(options.requested_by), reason))


def _merge(options: argparse.Namespace, _: Callable[[], Models]) -> dict[str, Any]:
    forge = _forge(options)
    pull_request = merging.wanted(forge, options.environment, options.number)
    if options.approve_as and pull_request.state == "open":
        forge.acting_as(options.approve_as).approve(pull_request.number, pull_request.head)
    merged = merging.merge(forge, options.environment, pull_request.number)
    return {
        "action": "merged",
        "environment": options.environment,
        "pull_request": merged.number,
        "commit": merged.commit,
        "release": merged.release.model_dump(),
    }


def _told(options: argparse.Namespace, opened: Opened) -> dict[str, Any]:
    shown = opened.pull_request
    return {
        "action": opened.action,
        "environment": options.environment,
        "release": opened.release.model_dump(),
        "replaces": opened.replaces.model_dump(),
        "pull_request": shown.number if shown else None,
        "title": shown.title if shown else None,
        "url": shown.url if shown else None,
        "branch": shown.branch if shown else None,
        "head": shown.head if shown else None,
        "superseded": list(opened.superseded),
    }


def _forge(options: argparse.Namespace) -> LocalForge:
    return LocalForge(Path(options.repository), options.account)


def _waivers(options: argparse.Namespace) -> dict[str, Waiver]:
    if not options.waive:
        return {}
    if not options.by or not options.reason:
        raise Refused("bad_waiver", f'--waive {options.waive[0]} needs --reason "…" and --by NAME')
    waiver = Waiver(by=_person(options.by), reason=_valid(Line, options.reason, "--reason"))
    return dict.fromkeys(options.waive, waiver)


def _person(name: str) -> str:
    return _valid(Person, name, "a person's name")


def _valid(kind: Any, text: str, what: str) -> str:
    try:
        value: str = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"]
        raise Refused("bad_text", f"{what} {text!r} cannot be written into a commit: {message}") from None
    return value


def _models() -> Models:
    """The registry and the store of the settings (`ML_…` variables)."""
    from ml.bundle import Manifest, unpack  # noqa: PLC0415 - plan, history and merge need no models
    from ml.model_store import ModelStore  # noqa: PLC0415
    from ml.registry import Registry  # noqa: PLC0415
    from ml.settings import MlSettings  # noqa: PLC0415
    from ml.snapshot import Snapshot  # noqa: PLC0415

    def load_bundle(data: bytes, sha256: str) -> Manifest:
        return unpack(data, sha256).manifest

    settings = MlSettings()
    return Models(Registry(settings), ModelStore(settings.model_store), load_bundle, Snapshot.from_bytes)


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are a refusal with JSON too."""

    def error(self, message: str) -> NoReturn:
        raise Refused("bad_arguments", f"{message}; `python -m scripts.promote --help` shows what there is")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m scripts.promote", description="Promotions by pull request, rollbacks by revert."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, parser_class=_Parser)
    _verb(verbs, "plan", _plan, "what runs where, what is open, what is held", environment=False)
    _verb(verbs, "history", _history, "every change of an environment's release, newest first")
    opening = _verb(verbs, "open", _open, "open the pull request of a promotion")
    opening.add_argument("--model", help="challenger, champion or a version; without it the model stays")
    opening.add_argument("--image-tag", help="tag of the images; without it they stay")
    opening.add_argument(
        "--waive", action="append", metavar="GATE", help="pass over a closed gate, with --reason and --by"
    )
    opening.add_argument("--reason", help="why a gate is waived")
    opening.add_argument("--by", help="who waives it")
    merging_ = _verb(verbs, "merge", _merge, "merge a checked pull request")
    merging_.add_argument(
        "number", type=int, nargs="?", help="without it the only open one of the environment"
    )
    merging_.add_argument(
        "--approve-as", metavar="ACCOUNT", help="approve as another account first (local forge)"
    )
    back = _verb(verbs, "rollback", _rollback, "open the pull request that restores the release before")
    back.add_argument("--reason", default="rolled back", help="one line for the commit and the reviewer")
    return parser


def _verb(verbs: Any, name: str, run: Any, text: str, *, environment: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    repository = os.environ.get("PROMOTE_REPOSITORY", ".demo/synthetic/forge.git")
    parser.add_argument(
        "--repository", default=repository, help="bare repository of the local forge [%(default)s]"
    )
    parser.add_argument("--account", default="promoter", help="the tool's account on the forge [%(default)s]")
    parser.add_argument(
        "--requested-by", default=getpass.getuser(), help="who asks, kept in evidence and commit"
    )
    if environment:
        parser.add_argument("--environment", "--to", required=True, type=environment_name)
    parser.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
