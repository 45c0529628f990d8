"""Both forges when they fail: the same end as without the fault, in bounded tries, and nothing twice."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Broken, Refused
from scripts.forges.forge import BranchGone, MergeRefused
from scripts.forges.transport import ForgeRefused, Patience
from tests.scripts.fake_forge import Answer, FakeForge, Fault
from tests.scripts.served_forge import BRANCH, SHAPES, Served, served

TRIES = Patience().tries
NUMBER = r"/\d+"
MESSAGE = "local: model 1 (#1)\n\nRisk: low\n\nRequested-by: ada\n"


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.kind)
def up(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as found:
        yield found


def open_one(up: Served) -> Any:
    return up.forge().open_pull_request(BRANCH, "title", "body")


def close_it(up: Served) -> Any:
    up.forge().close(1, "because")


def approve_it(up: Served) -> Any:
    up.forge("approver").approve(1, up.git.text("rev-parse", BRANCH))


def merge_it(up: Served) -> Any:
    forge = up.forge()
    return forge.merge(1, forge.get(1).head, MESSAGE)


def say_it(up: Served) -> Any:
    up.forge().comment(1, "diff", "one")


def say_more(up: Served) -> Any:
    up.forge().comment(1, "diff", "two")


def rewrite_it(up: Served) -> Any:
    up.forge().rewrite(1, "other", "text")


def nothing_open(up: Served) -> None:
    up.push()


def one_open(up: Served) -> None:
    up.push()
    up.forge().open_pull_request(BRANCH, "title", "body")


def one_said(up: Served) -> None:
    one_open(up)
    say_it(up)


ACTS: dict[str, tuple[Callable[[Served], None], Callable[[Served], Any], str, str]] = {
    "open": (nothing_open, open_one, "POST", "/pulls$"),
    "close, its comment": (one_open, close_it, "POST", "/comments$"),
    "close, itself": (one_open, close_it, "PATCH", f"/pulls{NUMBER}$"),
    "approve": (one_open, approve_it, "POST", "/reviews$"),
    "merge": (one_open, merge_it, "(POST|PUT)", "/merge$"),
    "merge, its branch": (one_open, merge_it, "DELETE", "/promote/"),
    "rewrite": (one_open, rewrite_it, "PATCH", f"/pulls{NUMBER}$"),
    "comment": (one_open, say_it, "POST", "/comments$"),
    "comment again": (one_said, say_more, "PATCH", f"/comments{NUMBER}$"),
}
SECONDARY = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
LIMITS: dict[str, tuple[Answer, float]] = {
    "429 with a time": (Answer(429, {"message": "slow down"}, {"Retry-After": "7"}), 7),
    "403 with a time": (Answer(403, SECONDARY, {"Retry-After": "9"}), 9),
    "403 without a time": (Answer(403, SECONDARY), 60),
    "429 without a time": (Answer(429, {"message": "slow down"}), 60),
}
FAULTS: dict[str, tuple[str, Answer]] = {
    "answered 500": ("refuse", Answer(500, {"message": "no"})),
    "cut": ("cut", Answer(0)),
    "cut after success": ("cut after", Answer(0)),
    "silent after success": ("hang after", Answer(0)),
    "over the rate limit": ("refuse", LIMITS["403 without a time"][0]),
}


def end_state(up: Served) -> object:
    fake = up.fake
    return (
        [
            (pull.title, pull.body, pull.state, pull.branch, pull.author, pull.closed_by)
            for pull in fake.pulls
        ],
        [(review.user, review.state, review.commit) for review in fake.reviews],
        [(comment.user, comment.body) for comment in fake.comments],
        up.git.text("log", "--format=%T %B", "main"),
        up.git.refs("refs/heads/promote"),
    )


@pytest.mark.parametrize(
    ("shape", "act"),
    [
        pytest.param(shape, act, id=f"{shape.kind}-{act}", marks=[pytest.mark.soak] * ((one + other) % 2))
        for one, shape in enumerate(SHAPES)
        for other, act in enumerate(ACTS)
    ],
)
def test_whatever_fails_once_the_end_is_the_same(
    shape: type[FakeForge], act: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prepare, do, method, path = ACTS[act]
    with served(shape, tmp_path_factory.mktemp("whole")) as whole:
        prepare(whole)
        do(whole)
        wanted = end_state(whole)
    for name, (how, answer) in FAULTS.items():
        with served(shape, tmp_path_factory.mktemp("faulty")) as faulty:
            prepare(faulty)
            methods = ["POST", "PUT"] if "|" in method else [method]
            faults = [Fault(each, path, how, answer) for each in methods]
            faulty.fake.faults += faults
            faulty.patience_seconds = 0.4 if how == "hang after" else 10.0
            do(faulty)
            assert sum(fault.met for fault in faults) == 1, name
            assert end_state(faulty) == wanted, name
            assert len(faulty.waits) == 1 or how == "hang after", name


@pytest.mark.parametrize("status", [0, 408, 500, 502, 503, 504])
def test_a_question_that_fails_is_asked_again(up: Served, status: int) -> None:
    fault = Fault("GET", "/user$", "refuse" if status else "cut", Answer(status, {"message": "no"}), times=2)
    up.fake.faults.append(fault)
    assert up.forge().account == "promoter"
    assert (fault.met, len(up.waits)) == (2, 2)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("how", ["refuse", "cut"])
def test_what_fails_for_ever_is_given_up(up: Served, act: str, how: str) -> None:
    prepare, do, _, path = ACTS[act]
    prepare(up)
    faults = [up.fault(each, path, how, times=999) for each in ("POST", "PUT", "PATCH", "DELETE")]
    with pytest.raises(Broken, match=f"given up after {TRIES} tries"):
        do(up)
    assert sum(fault.met for fault in faults) == TRIES
    assert len(up.waits) == TRIES - 1


def test_waits_grow_and_are_not_all_alike(up: Served) -> None:
    up.fault("GET", "/user", "cut", times=999)
    waits = []
    for _ in range(5):
        up.waits.clear()
        with pytest.raises(Broken):
            _ = up.forge().account
        assert [0.5 * 2**n / 2 <= wait <= 0.5 * 2**n for n, wait in enumerate(up.waits)] == [True] * 4
        waits.append(tuple(up.waits))
    assert len(set(waits)) == 5


@pytest.mark.parametrize("name", LIMITS)
def test_the_rest_that_a_forge_asks_for_is_given(up: Served, name: str) -> None:
    answer, seconds = LIMITS[name]
    up.fake.faults.append(Fault("GET", "/user", "refuse", answer))
    assert up.forge().account == "promoter"
    assert [round(wait) for wait in up.waits] == [seconds]


def test_a_spent_hour_is_waited_for_only_if_it_is_nearly_over(up: Served) -> None:
    def spent(seconds: int) -> Answer:
        reset = str(int(time.time()) + seconds)
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
        return Answer(403, {"message": "API rate limit exceeded"}, headers)

    up.fake.faults.append(Fault("GET", "/user", "refuse", spent(30)))
    assert up.forge().account == "promoter"
    assert 25 < up.waits.pop() < 31
    up.fake.faults.append(Fault("GET", "/user", "refuse", spent(3000)))
    with pytest.raises(Broken, match=r"over the rate limit: API rate limit exceeded; try again in \d{4} sec"):
        _ = up.forge().account
    assert up.waits == []


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_a_rest_that_is_a_date_or_nonsense_is_understood(up: Served, after: str) -> None:
    up.fake.faults.append(Fault("GET", "/user", "refuse", Answer(429, {}, {"Retry-After": after})))
    assert up.forge().account == "promoter"
    assert up.waits[0] < 1 if after.endswith("GMT") else up.waits[0] >= 60


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422, 423, 451])
def test_a_no_is_said_in_the_forges_words_and_not_asked_twice(up: Served, status: int) -> None:
    up.push()
    detail = {"resource": "PullRequest", "field": "base", "code": "invalid"}
    fault = Fault(
        "POST", "/pulls$", "refuse", Answer(status, {"message": "No such thing", "errors": [detail]}), 99
    )
    up.fake.faults.append(fault)
    with pytest.raises((ForgeRefused, Broken), match="No such thing; base is invalid"):
        open_one(up)
    assert fault.met == (
        TRIES if status == 404 else 1
    )  # the branch is there, so the forge may not know it yet


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("content", ["a proxy's page", [1], {"number": "x"}, None])
def test_an_answer_that_is_something_else_is_no_answer(up: Served, status: int, content: Any) -> None:
    one_open(up)
    up.fake.faults.append(Fault("GET", "/pulls/1$", "refuse", Answer(status, content), 99))
    with pytest.raises(Broken, match="the forge's pull cannot be read"):
        up.forge().get(1)


def test_a_list_that_is_something_else_is_no_list(up: Served) -> None:
    up.fake.faults.append(Fault("GET", "/pulls$", "refuse", Answer(200, {"rows": []})))
    with pytest.raises(Broken, match="the forge's list cannot be read"):
        up.forge().pull_requests("promote/")


def test_a_branch_that_may_not_be_deleted_is_no_failed_merge(up: Served) -> None:
    one_open(up)
    up.fake.faults.append(Fault("DELETE", "/promote/", "refuse", Answer(403, {"message": "protected"})))
    assert merge_it(up) == up.git.text("rev-parse", "main")


def test_a_repository_that_moved_is_not_followed_with_the_token(up: Served) -> None:
    moved = Answer(301, {"message": "Moved"}, {"Location": "http://elsewhere.invalid/repositories/1"})
    up.fake.faults.append(Fault("GET", "/pulls", "refuse", moved))
    with pytest.raises(ForgeRefused, match=r"moved to http://elsewhere\.invalid"):
        up.forge().pull_requests("promote/")


def test_a_branch_that_was_deleted_is_told_from_other_refusals(up: Served) -> None:
    with pytest.raises(BranchGone):
        open_one(up)
    assert up.fake.pulls == []
    assert up.waits == []


def test_a_branch_deleted_after_a_lost_answer_is_noticed(up: Served) -> None:
    up.push()
    up.fault("POST", "/pulls$", "cut")
    real, pushed = up.waits.append, up.delete

    class Deleting(list[float]):
        def append(self, seconds: float) -> None:
            real(seconds)
            pushed()

    up.waits = Deleting()
    with pytest.raises(BranchGone):
        open_one(up)


def test_without_looking_first_a_lost_answer_would_leave_two_comments(
    up: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the faults above: they bite when nobody looks."""
    one_open(up)
    monkeypatch.setattr(type(up.forge()), "_is_own", lambda *_: False)
    up.fault("POST", "/comments$", "cut after")
    close_it(up)
    assert len(up.fake.comments) == 2


@pytest.mark.parametrize("times", [1, 3])
def test_a_merge_that_the_forge_is_not_ready_for_is_asked_again(up: Served, times: int) -> None:
    one_open(up)
    (sentence,) = [each for each in up.forge().passing_refusals if each.startswith(("Please", "Base"))]
    up.fake.merge_refusals += [sentence] * times
    assert merge_it(up) == up.git.text("rev-parse", "main")
    assert len(up.waits) == times


def test_a_merge_that_never_gets_ready_is_refused_in_bounded_time(up: Served) -> None:
    one_open(up)
    (sentence,) = [each for each in up.forge().passing_refusals if each.startswith(("Please", "Base"))]
    up.fake.merge_refusals += [sentence] * 99
    with pytest.raises(MergeRefused, match=sentence):
        merge_it(up)
    assert len(up.fake.merge_refusals) == 99 - TRIES


def test_an_approval_that_would_not_count_is_refused(up: Served) -> None:
    one_open(up)
    head = up.push(text="newer\n")
    with pytest.raises(Refused, match="not open at"):
        up.forge("approver").approve(1, up.git.text("rev-parse", "main"))
    up.forge("approver").approve(1, head)
    assert [review.commit for review in up.fake.reviews] == [head]


def test_a_forge_that_is_down_breaks_and_names_it(tmp_path: Path) -> None:
    shape: type[FakeForge] = SHAPES[0]
    with served(shape, tmp_path) as up:
        pass
    with pytest.raises(Broken, match="GET /user got no answer: ConnectError"):
        _ = up.forge().account
