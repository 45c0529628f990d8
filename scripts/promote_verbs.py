"""What each verb of `python -m scripts.promote` does with its options; the answer is JSON and yes or no."""

import argparse
import json
import logging
import os
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from ml.errors import StoreUnavailable
from scripts.check import merging
from scripts.errors import Refused
from scripts.evidence.record import Line, Person, Waiver
from scripts.forges.by_address import forge_at
from scripts.forges.forge import Forge
from scripts.forges.local import LocalForge
from scripts.outside import TOKEN, Outside
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import Opened, open_promotion
from scripts.promotion.rollback import open_rollback
from scripts.running import aliases as champion
from scripts.status import report

Options = argparse.Namespace

_LOG = logging.getLogger("promote")


class Said(NamedTuple):
    """What is printed, and whether it is a yes."""

    fields: dict[str, Any]
    yes: bool = True


def plan(options: Options, outside: Outside) -> Said:
    """What runs where and what could move."""
    from scripts.status.plan import plan as planned  # noqa: PLC0415 - named like the verb

    bridge, missing = None, None
    try:
        bridge = None if options.git_only else _bridge(options, outside)
    except StoreUnavailable as error:
        missing = str(error)
    return Said({**planned(_forge(options), bridge, outside.clock()), "registry_missing": missing})


def history(options: Options, _: Outside) -> Said:
    """The deployment log."""
    deployments = report.history(_forge(options), options.environment)
    return Said({"environment": options.environment, "deployments": deployments})


def open_(options: Options, outside: Outside) -> Said:
    """Propose a release."""
    wish = Wish(
        environment=options.environment,
        requested_by=_person(options.requested_by),
        model=options.model,
        image_tag=options.image_tag,
        waivers=_waivers(options),
    )
    return _opened(options, open_promotion(_bridge(options, outside), wish))


def rollback(options: Options, outside: Outside) -> Said:
    """Propose the release before."""
    reason = _valid(Line, options.reason, "--reason")
    asker = _person(options.requested_by)
    return _opened(options, open_rollback(_bridge(options, outside), options.environment, asker, reason))


def check(options: Options, outside: Outside) -> Said:
    """Judge a pull request, whatever it is."""
    from scripts.check.required import MARKER, Question  # noqa: PLC0415 - named like the verb
    from scripts.check.required import check as judged  # noqa: PLC0415

    forge = _forge(options)
    question = Question(options.number, options.head, options.environment, options.approved)
    told = judged(forge, lambda: _bridge(options, outside), question).to_json()
    if options.comment and "comment" in told:
        forge.comment(told["pull_request"], MARKER, told["comment"])
    return Said(told)


def merge(options: Options, outside: Outside) -> Said:
    """Check and merge."""
    bridge = _bridge(options, outside)
    pull_request = merging.wanted(bridge.forge, options.environment, options.number)
    if options.approve_as and pull_request.state == "open":
        if not isinstance(bridge.forge, LocalForge):
            raise Refused(
                "bad_arguments", "--approve-as is for the local forge; approve on the forge's own page"
            )
        bridge.forge.acting_as(options.approve_as).approve(pull_request.number, pull_request.head)
    merged = merging.merge(bridge, options.environment, pull_request.number)
    fields = {
        "action": "merged",
        "environment": options.environment,
        "pull_request": merged.number,
        "commit": merged.commit,
        "release": merged.release.model_dump(),
    }
    return Said(fields)


def confirm(options: Options, outside: Outside) -> Said:
    """Ask the pods, and let the alias follow."""
    from scripts.running.confirm import Patience  # noqa: PLC0415 - half a second of Kubernetes
    from scripts.running.confirm import confirm as confirmed  # noqa: PLC0415

    with closing(outside.cluster()) as cluster:
        found = confirmed(
            _forge(options),
            cluster,
            options.environment,
            registry=lambda: outside.models().registry,
            patience=Patience(options.timeout, options.quiet),
            tell=_LOG.info,
        )
    return Said({"action": "confirmed", "environment": options.environment, **found.to_json()})


def watch(options: Options, outside: Outside) -> Said:
    """Answer aborted rollouts; ends by itself only after one look, or when it cannot look any more."""
    from scripts.running.watch import Watch, keep_looking  # noqa: PLC0415 - half a second of Kubernetes

    asker = _person(options.requested_by)
    with closing(outside.cluster()) as cluster:
        watching = Watch(
            _forge(options), lambda: _bridge(options, outside), cluster, options.environment, asker
        )
        if not options.once:
            keep_looking(watching, options.every, lambda seen: _LOG.info("%s", seen))
        return Said({"environment": options.environment, **watching.look().to_json()})


def aliases(options: Options, outside: Outside) -> Said:
    """Compare the alias with Git."""
    registry = outside.models().registry
    state, fixed = champion.reconciled(_forge(options), registry, options.environment, fix=options.fix)
    told = {"environment": options.environment, **state.to_json(), "fixed": fixed}
    return Said(told, fixed or state.state == "agrees")


def snapshots(options: Options, outside: Outside) -> Said:
    """Forecast anew with every model that runs or may come back."""
    from scripts.running.snapshots import refreshed  # noqa: PLC0415 - beside what it needs

    written = refreshed(_forge(options), outside.publish, options.back)
    return Said({"action": "refreshed", "models": written}, not any("error" in each for each in written))


def retrain(options: Options, outside: Outside) -> Said:
    """Start the retraining that a new episode of drift asks for."""
    from scripts.running.retraining import WORKFLOWS  # noqa: PLC0415 - beside what it needs
    from scripts.running.retraining import retrain as retrained  # noqa: PLC0415 - named like the verb

    with closing(outside.cluster()) as cluster:
        create = partial(cluster.create, options.namespace, *WORKFLOWS)
        return Said(retrained(outside.drift(), create, outside.clock()))


def audit(options: Options, _: Outside) -> Said:
    """Account for every change."""
    from scripts.audit.environment import audit as audited  # noqa: PLC0415 - named like the verb

    found = audited(_forge(options), options.environment, after=options.after)
    return Said(found.to_json(), found.ok)


def kept(options: Options, _: Outside) -> Said:
    """What the lake has to keep; no if a release does not say what it was trained on."""
    from scripts.status import kept_data  # noqa: PLC0415 - the others need nothing of it

    found = kept_data.kept_data(_forge(options))
    if options.out and not found["unknown"]:
        kept_data.write(found, options.out)
    return Said(found, not found["unknown"])


def metrics(options: Options, outside: Outside) -> Said:
    """The four figures."""
    from scripts.status.dora import metrics as figures  # noqa: PLC0415 - named like the verb

    environments = [options.environment] if options.environment else []
    until = options.until or outside.clock()
    since = options.since if options.days is None else until - timedelta(days=options.days)
    found = figures(_forge(options), until=until, since=since, environments=environments)
    if options.keep:
        outside.keep_delivery(json.dumps(found).encode())
    return Said(found)


def _opened(options: Options, opened: Opened) -> Said:
    shown = opened.pull_request
    fields = {
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
    return Said(fields)


def _forge(options: Options) -> Forge:
    return forge_at(
        options.repository, kind=options.forge, account=options.account, token=os.environ.get(TOKEN)
    )


def _bridge(options: Options, outside: Outside) -> Bridge:
    url = getattr(options, "prometheus", None)
    metrics_ = outside.metrics(url) if url else None
    return Bridge(
        _forge(options), outside.models(), clock=outside.clock, images=outside.images(), metrics=metrics_
    )


def _waivers(options: Options) -> dict[str, Waiver]:
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
