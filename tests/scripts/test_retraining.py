"""A retraining is started where an episode of drift begins: once, on a fresh verdict, and on nothing else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.outside import Outside
from scripts.promote import main
from scripts.running.kubernetes import ClusterUnavailable
from scripts.running.retraining import FRESH
from tests.scripts.test_confirm import FakeCluster
from tests.scripts.test_kubernetes import api_server, say

NOW = datetime(2026, 11, 5, 4, tzinfo=UTC)
ARGUMENTS = ["retrain", "--namespace", "platform", "--repository", "nowhere"]


class Workflows(FakeCluster):
    """Workflows by name."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[dict[str, Any]] = []

    def create(self, namespace: str, group: str, resource: str, made: dict[str, Any]) -> bool:
        assert (namespace, group, resource) == ("platform", "argoproj.io/v1alpha1", "workflows")
        if any(each["metadata"]["name"] == made["metadata"]["name"] for each in self.made):
            return False
        self.made.append(made)
        return True


def verdict(**changes: Any) -> bytes:
    said = {
        "answer": "drift",
        "episode": "2026-10",
        "retrain": True,
        "created_at": NOW.isoformat(),
        "report": {},
    }
    return json.dumps(said | changes).encode()


@pytest.fixture
def workflows() -> Workflows:
    return Workflows()


def ask(
    workflows: Workflows, report: bytes | None, capsys: pytest.CaptureFixture[str], now: datetime = NOW
) -> tuple[int, dict[str, Any]]:
    code = main(ARGUMENTS, Outside(cluster=lambda: workflows, drift=lambda: report, clock=lambda: now))
    return code, json.loads(capsys.readouterr().out)


def test_an_episode_is_answered_by_one_run_of_the_template(
    workflows: Workflows, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ask(workflows, verdict(), capsys)
    assert (code, said["action"], said["workflow"]) == (0, "submitted", "retrain-drift-2026-10")
    code, said = ask(workflows, verdict(), capsys)
    assert (code, said["action"]) == (0, "there already")
    (made,) = workflows.made
    assert made["spec"] == {"workflowTemplateRef": {"name": "retrain"}}
    ask(workflows, verdict(episode="2026-12"), capsys)
    assert len(workflows.made) == 2, "another episode is another run"


@pytest.mark.parametrize(
    "changes",
    [
        {"retrain": False},
        {"retrain": False, "episode": None, "answer": "no drift"},
        {"retrain": False, "episode": None, "answer": "not enough data"},
    ],
)
def test_nothing_is_started_where_no_episode_begins(
    workflows: Workflows, capsys: pytest.CaptureFixture[str], changes: dict[str, Any]
) -> None:
    code, said = ask(workflows, verdict(**changes), capsys)
    assert (code, said["action"], workflows.made) == (0, "none", [])


@pytest.mark.parametrize(
    ("report", "error"),
    [
        (None, "no_verdict"),
        (b"{", "unreadable_verdict"),
        (verdict(retrain="yes"), "unreadable_verdict"),
        (verdict(episode="../x"), "unreadable_verdict"),
        (verdict(episode=None), "unreadable_verdict"),
        (verdict(created_at="2026-11-05T04:00:00"), "unreadable_verdict"),
        (verdict(created_at=(NOW - FRESH - timedelta(seconds=1)).isoformat()), "stale_verdict"),
        (verdict(created_at=(NOW + timedelta(hours=1)).isoformat()), "stale_verdict"),
    ],
)
def test_no_verdict_an_old_or_an_unreadable_one_is_a_no(
    workflows: Workflows, capsys: pytest.CaptureFixture[str], report: bytes | None, error: str
) -> None:
    code, said = ask(workflows, report, capsys)
    assert (code, said["reason"], workflows.made) == (1, error, [])


def test_what_the_api_server_says_is_told_apart() -> None:
    path = "/apis/argoproj.io/v1alpha1/namespaces/platform/workflows"
    where = ("platform", "argoproj.io/v1alpha1", "workflows", {"kind": "Workflow"})
    with api_server({path: say(201, {})}) as cluster:
        assert cluster.create(*where)
    with api_server({path: say(409, {"reason": "AlreadyExists"})}) as cluster:
        assert not cluster.create(*where)
    with (
        api_server({path: say(403, {"message": "no"})}) as cluster,
        pytest.raises(ClusterUnavailable, match="no"),
    ):
        cluster.create(*where)
