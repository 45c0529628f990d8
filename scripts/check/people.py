"""Whether the people of a pull request may play the parts they play."""

from scripts.check.not_as_promised import NotAsPromised
from scripts.evidence.record import Evidence
from scripts.evidence.rules import Rules
from scripts.forges.forge import PullRequest
from scripts.history.git import Commit


def check_people(
    pull_request: PullRequest, commit: Commit, evidence: Evidence | None, rules: Rules, *, approved: bool
) -> str | None:
    """What is still awaited, None when nothing is.

    Raises:
        NotAsPromised: Who asked or opened it approved it, or waived a gate; or `approved` is asked for and an
            approval is missing, or that of who waived a gate.
    """
    number, requester = pull_request.number, commit.trailer("Requested-by")
    if requester is None:
        raise NotAsPromised(number, "does not say who asked: one trailer Requested-by is needed")
    approvers = {name.casefold() for name in pull_request.approved_by}
    for role, name in (("asked for", requester), ("opened", pull_request.author)):
        if name.casefold() in approvers:
            raise NotAsPromised(number, f"was {role} and approved by {name}; another person approves")
    if not rules.needs_approval:
        return None
    waivers = [gate.waiver for gate in evidence.gates if gate.waiver] if evidence else []
    for waiver in waivers:
        if waiver.by.casefold() == requester.casefold():
            raise NotAsPromised(
                number, f"was asked for by {requester}, who waived a gate; the approver waives"
            )
    missing = [waiver.by for waiver in waivers if waiver.by.casefold() not in approvers]
    if approvers and not missing:
        return None
    awaits = (
        f"an approval by {missing[0]}, who waived a gate" if missing else f"an approval, not by {requester}"
    )
    if approved:
        raise NotAsPromised(number, f"needs {awaits}")
    return awaits
