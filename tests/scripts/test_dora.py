"""The four figures of DORA, against a history whose every figure was worked out by hand.

    2026, UTC        staging                       production
    Mon  5 Jan 00:00 nothing released              nothing released
    Mon  5 Jan 08:00 the code of image A is committed
    Tue  6 Jan 12:00 model 1, image A
    Wed  7 Jan 12:00                               model 1, image A
    Thu  8 Jan 12:00 model 2
    Fri  9 Jan 12:00 model 3
    Sat 10 Jan 12:00                               model 3: model 2 is skipped
    Sat 10 Jan 15:00                               back to model 1
    Sun 11 Jan 09:00                               model 3: the revert is reverted
    Mon 12 Jan 10:00 the code of image B is committed
    Tue 13 Jan 12:00 image B
    Wed 14 Jan 12:00                               image B
    Wed 14 Jan 12:30                               back to image A
    Fri 16 Jan 12:00                               model 4, image B
    Sat 17 Jan 12:00                               image hotfix-1, whose code is elsewhere
    Sun 18 Jan 12:00                               back to image B
    Sun 18 Jan 13:00                               back to model 3, image A

Training ended: model 1 on 6 Jan 06:00, 2 on 8 Jan 11:00, 3 on 9 Jan 00:00, 4 on 15 Jan 12:00.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Refused
from scripts.forges.local import LocalForge
from scripts.history.git import Git, Identity
from scripts.history.repository import TRUNK
from scripts.release_file import path_of
from scripts.status.dora import metrics
from tests.scripts.world import RELEASE, World

NONE = {"count": 0, "median": None, "p90": None}
TRAINED = {1: (6, 6), 2: (8, 11), 3: (9, 0), 4: (15, 12)}


def january(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, minute, tzinfo=UTC)


class Line:
    """A trunk whose commits get the dates that a test says."""

    def __init__(self, folder: Path) -> None:
        tree = folder / "tree"
        for name in ("staging", "production"):
            (tree / path_of(name)).parent.mkdir(parents=True)
            (tree / path_of(name)).write_bytes(RELEASE)
        self.forge = LocalForge.create(folder / "forge.git", tree, "promoter", clock=lambda: january(5))
        self.git = Git(folder / "forge.git")

    def commit(self, at: datetime, files: dict[str, bytes], message: str = "x") -> str:
        """A commit on the trunk; its id comes back."""
        old = self.git.ref(TRUNK) or ""
        entries = {path: f"100644 {self.git.write_blob(data)}" for path, data in files.items()}
        tree = self.git.tree_with(old, entries)
        new = self.git.commit_tree(tree, [old], message, Identity("x", "x@x.invalid"), at)
        self.git.run("update-ref", TRUNK, new, old)
        return new

    def code(self, at: datetime) -> str:
        """A commit of code; the tag of its image comes back."""
        return self.commit(at, {"app.py": at.isoformat().encode()})[:12]

    def release(self, environment: str, at: datetime, model: int, image: str) -> None:
        """A release file, and evidence beside it as a promotion writes it."""
        data = RELEASE.replace(b"unreleased", image.encode()).replace(b'"0"', f'"{model}"'.encode())
        release = {"image_tag": image, "model_version": model, "model_sha256": "0" * 64}
        evidence = {
            "environment": environment,
            "release": release,
            "replaces": release,
            "model": {"registered_at": january(*TRAINED[model]).isoformat()},
            "gates": [],
            "requested_by": "ada",
        }
        path = f"environments/{environment}/evidence/{model}-{image}.json"
        self.commit(at, {path_of(environment): data, path: json.dumps(evidence).encode()})


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = Line(tmp_path_factory.mktemp("line"))
    a = line.code(january(5, 8))
    line.release("staging", january(6, 12), 1, a)
    line.release("production", january(7, 12), 1, a)
    line.release("staging", january(8, 12), 2, a)
    line.release("staging", january(9, 12), 3, a)
    line.release("production", january(10, 12), 3, a)
    line.release("production", january(10, 15), 1, a)
    line.release("production", january(11, 9), 3, a)
    b = line.code(january(12, 10))
    line.release("staging", january(13, 12), 3, b)
    line.release("production", january(14, 12), 3, b)
    line.release("production", january(14, 12, 30), 3, a)
    line.release("production", january(16, 12), 4, b)
    line.release("production", january(17, 12), 4, "hotfix-1")
    line.release("production", january(18, 12), 4, b)
    line.release("production", january(18, 13), 3, a)
    return line


def seconds(hours: float) -> float:
    return round(hours * 3600, 3)


def one(hours: float) -> dict[str, Any]:
    return {"count": 1, "median": seconds(hours), "p90": seconds(hours)}


def test_production_equals_the_truth_by_hand(line: Line) -> None:
    told = metrics(line.forge, until=january(26))["environments"]["production"]
    assert told == {
        "weeks": 3.0,
        "all": {
            "deployments": 6,  # 7, 10, 11, 14, 16 and 17 January
            "deployments_per_week": 2.0,
            "lead_time_seconds": {
                # 24, 30 and 36 hours; 30 + 0.8 * 6
                "model": {"count": 3, "median": seconds(30), "p90": seconds(34.8)},
                # 50 and 52 hours; image B is not new on the 16th, hotfix-1 is not known
                "image": {"count": 2, "median": seconds(51), "p90": seconds(51.8)},
            },
            "failed": 4,  # 10, 14, 16 and 17 January
            "change_failure_rate": 0.6667,
            # 0.5, 3, 24 and 49 hours; 24 + 0.7 * 25
            "time_to_restore_seconds": {"count": 4, "median": seconds(13.5), "p90": seconds(41.5)},
        },
        "model_only": {
            "deployments": 2,  # 10 and 11 January
            "deployments_per_week": 0.6667,
            "lead_time_seconds": {"model": one(36), "image": NONE},
            "failed": 1,
            "change_failure_rate": 0.5,
            "time_to_restore_seconds": one(3),
        },
        "image_only": {
            "deployments": 2,  # 14 and 17 January
            "deployments_per_week": 0.6667,
            "lead_time_seconds": {"model": NONE, "image": one(50)},
            "failed": 2,
            "change_failure_rate": 1.0,
            # 0.5 and 24 hours; 0.5 + 0.9 * 23.5
            "time_to_restore_seconds": {"count": 2, "median": seconds(12.25), "p90": seconds(21.65)},
        },
        "both": {
            "deployments": 2,  # 7 and 16 January
            "deployments_per_week": 0.6667,
            "lead_time_seconds": {
                # 24 and 30 hours; 24 + 0.9 * 6
                "model": {"count": 2, "median": seconds(27), "p90": seconds(29.4)},
                "image": one(52),
            },
            "failed": 1,
            "change_failure_rate": 0.5,
            "time_to_restore_seconds": one(49),
        },
    }


def test_staging_equals_the_truth_by_hand(line: Line) -> None:
    told = metrics(line.forge, until=january(26), environments=["staging"])["environments"]
    assert set(told) == {"staging"}
    everything = told["staging"]["all"]
    assert everything == {
        "deployments": 4,
        "deployments_per_week": 1.3333,
        "lead_time_seconds": {
            # 1, 6 and 12 hours; 6 + 0.8 * 6
            "model": {"count": 3, "median": seconds(6), "p90": seconds(10.8)},
            # 26 and 28 hours
            "image": {"count": 2, "median": seconds(27), "p90": seconds(27.8)},
        },
        "failed": 0,
        "change_failure_rate": 0.0,
        "time_to_restore_seconds": NONE,
    }
    assert [told["staging"][name]["deployments"] for name in ("model_only", "image_only", "both")] == [
        2,
        1,
        1,
    ]


def test_a_window_sees_neither_deployments_before_it_nor_rollbacks_after_it(line: Line) -> None:
    told = metrics(line.forge, since=january(10), until=january(17))
    assert (told["since"], told["until"]) == ("2026-01-10T00:00:00+00:00", "2026-01-17T00:00:00+00:00")
    assert told["read_until"] == line.git.ref(TRUNK)
    production = told["environments"]["production"]
    assert production["weeks"] == 1.0
    everything = production["all"]
    assert everything["deployments"] == everything["deployments_per_week"] == 4
    assert everything["failed"] == 2  # that of the 16th is taken back on the 18th
    assert everything["change_failure_rate"] == 0.5
    assert everything["lead_time_seconds"]["model"]["count"] == 2  # 36 and 24 hours


def test_a_window_from_before_the_environment_starts_with_it(line: Line) -> None:
    whole, longer = (metrics(line.forge, since=since, until=january(26)) for since in (None, january(1)))
    assert longer["environments"] == whole["environments"]


def test_an_instant_is_in_the_window_that_begins_with_it(line: Line) -> None:
    before = metrics(line.forge, until=january(7, 12))["environments"]["production"]["all"]
    after = metrics(line.forge, since=january(7, 12), until=january(8))["environments"]["production"]["all"]
    assert (before["deployments"], after["deployments"]) == (0, 1)


EMPTY = {
    "deployments": 0,
    "lead_time_seconds": {"model": NONE, "image": NONE},
    "failed": 0,
    "change_failure_rate": None,
    "time_to_restore_seconds": NONE,
}


@pytest.mark.parametrize(
    ("environment", "until", "weeks", "frequency"),
    [
        ("production", january(4), None, None),
        ("moon", january(26), None, None),
        ("production", january(5, 12), 0.071, 0.0),
    ],
)
def test_where_nothing_was_deployed_counts_are_0_and_the_rest_is_null(
    line: Line, environment: str, until: datetime, weeks: float | None, frequency: float | None
) -> None:
    told = metrics(line.forge, until=until, environments=[environment])["environments"][environment]
    assert told.pop("weeks") == weeks
    assert set(told) == {"all", "model_only", "image_only", "both"}
    assert all(split == {**EMPTY, "deployments_per_week": frequency} for split in told.values())


def test_times_without_a_zone_and_empty_windows_are_refused(line: Line) -> None:
    naive = january(6).replace(tzinfo=None)
    with pytest.raises(Refused, match="until 2026-01-06T00:00:00 has no zone"):
        metrics(line.forge, until=naive)
    with pytest.raises(Refused, match="since 2026-01-06T00:00:00 has no zone"):
        metrics(line.forge, since=naive, until=january(9))
    with pytest.raises(Refused, match="is not before until"):
        metrics(line.forge, since=january(9), until=january(9))


def test_a_time_in_another_zone_is_the_same_instant(line: Line) -> None:
    zone = datetime.fromisoformat("2026-01-26T03:00:00+03:00")
    assert (
        metrics(line.forge, until=zone)["environments"]
        == metrics(line.forge, until=january(26))["environments"]
    )


def image_lead(folder: Path, image: str, *, branch: str | None = None) -> object:
    """Lead time of an image with this tag, in a repository that may have a branch of some name."""
    line = Line(folder)
    if branch:
        line.git.run("update-ref", f"refs/heads/{branch}", line.git.ref(TRUNK) or "")
    line.release("staging", january(7), 1, image)
    told = metrics(line.forge, until=january(9))["environments"]["staging"]["all"]
    return told["lead_time_seconds"]["image"]


def test_an_image_tag_that_names_no_commit_has_no_lead_time(tmp_path: Path) -> None:
    for index, tag in enumerate(("v1.2.0", "abcdef1", "HEAD", "main")):
        assert image_lead(tmp_path / str(index), tag) == NONE
    assert image_lead(tmp_path / "branch", "abcdef1", branch="abcdef1") == NONE  # a branch is no commit's id


def test_what_began_after_it_was_live_has_no_lead_time(tmp_path: Path) -> None:
    line = Line(tmp_path)
    line.release("staging", january(5, 1), 1, line.code(january(5, 2)))
    told = metrics(line.forge, until=january(9))["environments"]["staging"]["all"]
    assert (told["deployments"], told["lead_time_seconds"]) == (1, {"model": NONE, "image": NONE})


def test_a_newer_model_with_an_older_image_is_a_deployment_and_a_failure_of_the_image(tmp_path: Path) -> None:
    line = Line(tmp_path)
    for day, model, image in ((6, 1, "one"), (7, 1, "two"), (9, 2, "one")):
        line.release("staging", january(day, 12), model, image)
    told = metrics(line.forge, until=january(12))["environments"]["staging"]
    assert (told["all"]["deployments"], told["all"]["failed"]) == (3, 1)
    assert told["image_only"]["time_to_restore_seconds"] == one(48)


def test_two_steps_back_at_once_are_the_failure_of_the_newest(tmp_path: Path) -> None:
    line = Line(tmp_path)
    for day, model in ((6, 1), (7, 2), (8, 3), (9, 1)):
        line.release("staging", january(day, 12), model, "one")
    told = metrics(line.forge, until=january(12))["environments"]["staging"]
    assert told["all"]["time_to_restore_seconds"] == one(24)


def test_promotions_and_rollbacks_by_the_tool_are_measured_alike(two_live: World) -> None:
    """The evidence that promote writes says when the model was registered."""
    at = two_live.now - timedelta(hours=2)
    two_live.train(3)
    two_live.registry.entries[3] = replace(two_live.registry.entries[3], created_at=at)
    merged = two_live.promote(3)
    live = two_live.git.commit(merged.commit).at
    two_live.now += timedelta(hours=5)
    back = two_live.git.commit(two_live.revert_as_person(merged.commit)).at
    told = metrics(two_live.forge, since=live, until=back + timedelta(days=7))["environments"]["local"]
    assert told["model_only"]["lead_time_seconds"]["model"]["median"] == (live - at).total_seconds()
    assert told["model_only"]["time_to_restore_seconds"] == {
        "count": 1,
        "median": (back - live).total_seconds(),
        "p90": (back - live).total_seconds(),
    }
    assert told["model_only"]["change_failure_rate"] == 1.0
