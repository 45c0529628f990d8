"""The command line of `python -m scripts.promote`."""

import argparse
import getpass
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from scripts import promote_verbs as verbs
from scripts.errors import Refused
from scripts.release_file import environment_name

_EXAMPLES = """examples:
  promote open --to staging --model challenger --image-tag 9c0d7e2      propose the newest model and an image
  promote open --to production                                          propose what staging has run for its soak
  promote check --environment production 17                             is it what promote writes, and may it pass?
  promote merge --environment production 17                             check once more, merge that very commit
  promote confirm --environment production                              do all pods serve it? then champion follows
  promote snapshots                                                     so that a revert finds a snapshot
  promote rollback --environment production --reason "p95 doubled"      propose the release before
  promote watch --environment production                                an aborted rollout becomes a rollback proposed
  promote plan                                                          what could move, what stands in the way
  promote audit --environment production                                can every change be accounted for?

stdout is one JSON object, stderr the log. Exit code 0 is yes, 1 a no whose reason is in the JSON, 70 something
that broke and may work when tried again.

variables: PROMOTE_REPOSITORY, PROMOTE_FORGE, PROMOTE_TOKEN (a forge of the network), PROMOTE_PROMETHEUS and
PROMOTE_PROMETHEUS_TOKEN, PROMOTE_REGISTRY_USER and PROMOTE_REGISTRY_PASSWORD (images), ML_STATE,
ML_TRACKING_URI and ML_MODEL_STORE (models), KUBECONFIG (confirm, watch, retrain).
"""

Parser = argparse.ArgumentParser
Add = Callable[..., Parser]


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are a refusal with JSON too."""

    def error(self, message: str) -> NoReturn:
        raise Refused("bad_arguments", f"{message}; `python -m scripts.promote --help` shows what there is")


def parser() -> Parser:
    """Every verb with its options; `run` of the namespace carries it out."""
    top = _Parser(
        prog="promote",
        description="Models and images come by pull request and leave by a revert."
        " `promote` stands for `python -m scripts.promote`.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = _adder(top.add_subparsers(dest="verb", required=True, parser_class=_Parser, metavar="VERB"))
    _look(add)
    _propose(add)
    _pass(add)
    _after(add)
    return top


def _look(add: Add) -> None:
    plan = add("plan", verbs.plan, "what runs, could move, is open and is held", environment=False)
    plan.add_argument("--git-only", action="store_true", help="leave out what only the registry knows")
    _prometheus(plan)
    add("history", verbs.history, "every change of an environment's release, newest first")


def _propose(add: Add) -> None:
    opening = add("open", verbs.open_, "open the pull request of a promotion")
    opening.add_argument("--model", help="challenger, champion or a version; without it the model stays")
    opening.add_argument("--image-tag", help="tag of the images; without it they stay")
    waive = "pass over a closed gate, with --reason and --by"
    opening.add_argument("--waive", action="append", metavar="GATE", help=waive)
    opening.add_argument("--reason", help="why a gate is waived")
    opening.add_argument("--by", help="who waives it")
    _prometheus(opening)
    back = add("rollback", verbs.rollback, "open the pull request that restores the release before")
    back.add_argument("--reason", default="rolled back", help="one line for the commit and the reviewer")


def _pass(add: Add) -> None:
    number = "without it the only open one of the environment"
    check = add(
        "check", verbs.check, "whether a pull request may pass, computed from scratch", environment=False
    )
    check.add_argument("number", type=int, nargs="?", help=number)
    check.add_argument("--head", metavar="SHA", help="the commit that it must (still) have")
    check.add_argument(
        "--environment",
        "--to",
        type=environment_name,
        help="it must be a proposal for this one [what it touches]",
    )
    check.add_argument("--approved", action="store_true", help="refuse it while an approval is missing")
    check.add_argument(
        "--comment", action="store_true", help="say on the forge what a change alters, in place"
    )
    merging = add("merge", verbs.merge, "check a pull request and merge that very commit")
    merging.add_argument("number", type=int, nargs="?", help=number)
    merging.add_argument(
        "--approve-as", metavar="ACCOUNT", help="approve as another first (local forge only)"
    )


def _after(add: Add) -> None:
    confirm = add("confirm", verbs.confirm, "wait until every pod serves the release, then the alias follows")
    confirm.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="[%(default)s]")
    quiet = "how long the pods must then stay as they are [%(default)s]"
    confirm.add_argument("--quiet", type=float, default=10, metavar="SECONDS", help=quiet)
    watch = add("watch", verbs.watch, "propose the rollback of a release that Argo Rollouts aborted")
    watch.add_argument("--once", action="store_true", help="look once; else until it is ended")
    watch.add_argument("--every", type=float, default=15, metavar="SECONDS", help="[%(default)s]")
    aliases = add("aliases", verbs.aliases, "whether champion names what production runs", environment=False)
    aliases.add_argument("--environment", default="production", type=environment_name, help="[%(default)s]")
    aliases.add_argument("--fix", action="store_true", help="set one right that was moved by hand")
    text = "forecast anew with the models that run and those that a revert would bring back"
    snapshots = add("snapshots", verbs.snapshots, text, environment=False)
    snapshots.add_argument(
        "--back", type=int, default=2, metavar="N", help="models before each [%(default)s]"
    )
    text = "start a retraining if the verdict on drift of the last hours asks for one, once per episode"
    retrain = add("retrain", verbs.retrain, text, environment=False)
    retrain.add_argument("--namespace", required=True, help="of the workflow template `retrain`")
    audit = add("audit", verbs.audit, "whether every change can be accounted for")
    audit.add_argument("--after", metavar="SHA", help="a commit until which findings were dealt with")
    kept = add("kept", verbs.kept, "data versions that the lake has to keep for a release", environment=False)
    kept.add_argument(
        "--out", type=Path, metavar="FILE", help="also write it there, for `ml retain --keep-file`"
    )
    metrics = add("metrics", verbs.metrics, "the four DORA figures, from Git alone", environment=False)
    metrics.add_argument("--environment", type=environment_name, help="[all of them]")
    metrics.add_argument("--since", type=time, metavar="TIME", help="ISO 8601 with its zone [the beginning]")
    metrics.add_argument("--until", type=time, metavar="TIME", help="ISO 8601 with its zone [now]")
    metrics.add_argument("--days", type=int, metavar="N", help="the last N days, in the place of --since")
    metrics.add_argument(
        "--keep",
        action="store_true",
        help="also write them to the model store, for the forecast service's metrics",
    )


def time(text: str) -> datetime:
    """A time with a zone; without one nobody knows which is meant."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError(text)
    return parsed


def _prometheus(one: Parser) -> None:
    one.add_argument("--prometheus", default=os.environ.get("PROMOTE_PROMETHEUS"), help="URL [%(default)s]")


def _adder(top: Any) -> Add:
    """A function that adds a verb with the options that all verbs have."""

    def add(name: str, run: Any, text: str, *, environment: bool = True) -> Parser:
        one: Parser = top.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        repository = os.environ.get("PROMOTE_REPOSITORY", ".demo/synthetic/forge.git")
        one.add_argument(
            "--repository", default=repository, help="path or URL of the repository [%(default)s]"
        )
        one.add_argument(
            "--forge",
            choices=["local", "gitea", "github"],
            default=os.environ.get("PROMOTE_FORGE"),
            help="what serves it [a path: local; github.com: github]",
        )
        one.add_argument(
            "--account", default="promoter", help="the tool's account on the forge [%(default)s]"
        )
        one.add_argument(
            "--requested-by",
            default=getpass.getuser(),
            help="who asks, kept in evidence and commit [%(default)s]",
        )
        if environment:
            one.add_argument("--environment", "--to", required=True, type=environment_name)
        one.set_defaults(run=run)
        return one

    return add
