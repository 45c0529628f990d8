"""A retraining where an episode of drift begins: a workflow with the episode's name, so that asking twice makes one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from scripts.errors import Refused
from scripts.evidence.record import DriftAnswer

FRESH: Final = timedelta(hours=6)
"""An older verdict is of another run: the one that was to be told now did not come about."""

WORKFLOWS: Final = ("argoproj.io/v1alpha1", "workflows")

Create = Callable[[dict[str, Any]], bool]
"""Makes a workflow; False where there is one of that name."""


class Verdict(BaseModel):
    """What is read of the newest report of `python -m ml drift`; more may be in it."""

    model_config = ConfigDict(frozen=True, strict=True)

    answer: DriftAnswer
    episode: str | None = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    retrain: bool
    created_at: AwareDatetime

    @model_validator(mode="after")
    def _of_an_episode(self) -> "Verdict":
        if self.retrain and self.episode is None:
            raise ValueError("a retraining belongs to an episode")
        return self


def retrain(report: bytes | None, create: Create, now: datetime) -> dict[str, Any]:
    """Start a retraining if the newest verdict asks for one: what was done, and on what grounds.

    Args:
        report: The newest report of drift.
        create: Where workflows are made.
        now: UTC.

    Raises:
        Refused: There is no report, it cannot be read, or it is of an earlier run.
    """
    verdict = _read(report)
    age = now - verdict.created_at
    if not timedelta(minutes=-5) <= age <= FRESH:
        said = verdict.created_at.astimezone(UTC).isoformat()
        raise Refused(
            "stale_verdict",
            f"the newest verdict on drift is of {said}, not of the last hours; run `python -m ml drift`",
        )
    told = {"answer": verdict.answer, "episode": verdict.episode}
    if not verdict.retrain:
        return {"action": "none", **told}
    workflow = workflow_of(str(verdict.episode))
    action = "submitted" if create(workflow) else "there already"
    return {"action": action, **told, "workflow": workflow["metadata"]["name"]}


def workflow_of(episode: str) -> dict[str, Any]:
    """The run of the template `retrain` that answers an episode."""
    return {
        "apiVersion": WORKFLOWS[0],
        "kind": "Workflow",
        "metadata": {"name": f"retrain-drift-{episode}"},
        "spec": {"workflowTemplateRef": {"name": "retrain"}},
    }


def _read(report: bytes | None) -> Verdict:
    if report is None:
        raise Refused("no_verdict", "nobody has judged drift yet; run `python -m ml drift`")
    try:
        return Verdict.model_validate_json(report)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise Refused(
            "unreadable_verdict", f"the report of drift cannot be read at {where}: {first['msg']}"
        ) from None
