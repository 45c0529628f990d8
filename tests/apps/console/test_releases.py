"""A controller rolls back with a reason and one click, by one pull request that they cannot approve."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from apps.console import release_centre
from apps.console.proposals import Outcome, Proposals
from apps.console.propose import Wanted, opened
from apps.console.release_centre import ReleaseCentre
from apps.console.settings import ConsoleSettings
from apps.console.sign_in import Person
from scripts.check.not_as_promised import NotAsPromised
from scripts.check.people import check_people
from scripts.errors import Refused
from scripts.evidence.rules import rules_of
from scripts.forges.local import LocalForge
from scripts.history.repository import TRUNK, temporary_copy
from scripts.release_file import Release, edit
from tests.apps.client import Client
from tests.apps.console.repository import Forge, release
from tests.apps.console.said import english
from tests.apps.console.signed_in import PEOPLE, form_token, signed_in, users_file
from tests.apps.console.test_console import PATIENT_SECONDS
from tests.apps.forecast.store import Shop
from tests.scripts.world import RELEASE

RULES = "needs_approval: true\nimages: false\n"
REASON = "p95 doubled since noon"


@pytest.fixture
def forge(tmp_path: Path, shop: Shop) -> Forge:
    """Model 1, which is in the store, and model 2, which is not."""
    forge = Forge(tmp_path / "forge.git")
    release_two(forge, shop)
    return forge


def release_two(forge: Forge, shop: Shop) -> None:
    one = Release.model_validate(release(1) | {"model_sha256": shop.model_sha256})
    files = {"release.yaml": edit(RELEASE, one).decode(), "promotion.yaml": RULES}
    forge.commit("local: model 1", files)
    forge.commit(
        "local: model 2", {"release.yaml": edit(RELEASE, Release.model_validate(release(2))).decode()}
    )


@pytest.fixture
def settings(forge: Forge, shop: Shop) -> ConsoleSettings:
    nowhere = {f"{name}_url": "http://127.0.0.1:9" for name in ("collector", "forecast", "decision")}
    values = {
        "repository": forge.path,
        "forge": str(forge.path),
        "model_store": str(shop.root),
        "users_file": users_file(forge.path.parent),
        "page_seconds": PATIENT_SECONDS,
    }
    return ConsoleSettings.model_validate(nowhere | values)


@pytest.fixture
def client(settings: ConsoleSettings) -> Iterator[Client]:
    with signed_in(settings, "controller") as client:
        yield client


def until(client: Client, path: str, text: str) -> str:
    """The page, once what is asked for beside it has come."""
    for _ in range(600):
        page = client.get(path).text
        if text in page:
            return page
        time.sleep(0.05)
    raise AssertionError(page)


def fields(client: Client, **changes: str) -> dict[str, str]:
    """What the form of a rollback sends."""
    page = client.get("/releases/roll-back").text
    of = page.partition('name="of" value="')[2].partition('"')[0]
    return {"form": form_token(page), "of": of, "reason": REASON, **changes}


def test_two_submits_of_a_rollback_are_one_pull_request_which_the_asker_cannot_approve(
    client: Client, forge: Forge
) -> None:
    assert 'href="/releases/roll-back"' in client.get("/releases").text
    until(client, "/releases/roll-back", "1-9c0d7e2")
    sent = fields(client)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: client.post("/releases/roll-back", data=sent), range(2)))
    assert [(each.status_code, each.headers.get("location")) for each in answers] == [
        (303, "/releases?proposed=1")
    ] * 2
    (request,) = LocalForge(forge.path, "anybody").pull_requests("")
    assert (request.state, request.author) == ("open", "promoter")
    assert REASON in request.body
    page = client.get("/releases?proposed=1").text
    turkish = client.get("/releases?proposed=1", headers={"Accept-Language": "tr"}).text
    assert english(turkish) == [request.title], "what stands on the forge stays as it was written"
    assert "Pull request #1 is open." in page
    assert "local: back to model 1" in page

    asker = PEOPLE["controller"]
    LocalForge(forge.path, asker).approve(1, request.head)
    approved = LocalForge(forge.path, "anybody").get(1)
    assert approved.approved_by == (asker,)
    with temporary_copy(str(forge.path)) as repository:
        commit, rules = repository.commit(request.head), rules_of(repository, "local", TRUNK)
        assert commit.trailer("Requested-by") == asker
        with pytest.raises(NotAsPromised, match=f"asked for and approved by {asker}"):
            check_people(approved, commit, None, rules, approved=True)


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"reason": " "}, 422, "Write why"),
        ({"reason": "x" * 1_001}, 422, "Write why"),
        ({"of": "0" * 40}, 409, "Another release came meanwhile"),
    ],
)
def test_a_form_that_says_too_little_or_is_old_opens_nothing(
    client: Client, forge: Forge, changes: dict[str, str], status: int, said: str
) -> None:
    answer = client.post("/releases/roll-back", data=fields(client, **changes))
    assert (answer.status_code, said in answer.text) == (status, True)
    assert LocalForge(forge.path, "anybody").pull_requests("") == []


def test_a_viewer_sees_no_button(settings: ConsoleSettings) -> None:
    with signed_in(settings, "viewer") as client:
        text = client.get("/releases").text
    assert "/releases/roll-back" not in text
    assert "A controller can open pull requests here." in text


def wanted(forge: Forge, shop: Shop, **changes: object) -> Wanted:
    usual = {
        "kind": "rollback",
        "environment": "local",
        "requested_by": "connie",
        "reason": REASON,
        "forge": str(forge.path),
        "forge_kind": None,
        "forge_account": "promoter",
        "forge_token": None,
        "model_store": str(shop.root),
        "model_registry": None,
        "prometheus_url": None,
    }
    return Wanted.model_validate(usual | changes)


def test_a_release_whose_model_is_gone_is_not_gone_back_to(forge: Forge, shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be released"):
        opened(wanted(forge, shop, model_store=str(tmp_path / "empty")))


def test_a_rollback_of_what_no_longer_runs_is_refused(forge: Forge, shop: Shop) -> None:
    of = Release.model_validate(release(1))
    with pytest.raises(Refused, match="is at 2-9c0d7e2 by now"):
        opened(wanted(forge, shop, of=of.model_dump()))


@pytest.mark.parametrize("text", ["line\nbreak", "Model-Version: 9\n\nx"])
def test_nobody_writes_trailers_by_way_of_a_reason_or_a_name(forge: Forge, shop: Shop, text: str) -> None:
    for field in ("reason", "requested_by"):
        with pytest.raises(Refused, match="cannot be written into a commit"):
            opened(wanted(forge, shop, **{field: text}))


def asked(settings: ConsoleSettings, **changes: object) -> Outcome:
    proposals = Proposals(
        settings.model_copy(update=changes), str(changes.pop("module", "apps.console.propose"))
    )
    person = Person("connie", frozenset())
    return anyio.run(proposals.roll_back, person, REASON, Release.model_validate(release(2)))


def test_who_takes_too_long_or_says_nothing_is_ended(settings: ConsoleSettings) -> None:
    assert asked(settings, propose_seconds=0.02).reason == "slow"
    assert asked(settings, module="this").reason == "broke"


def test_the_audit_is_a_file_and_the_log_tells_who_and_why(client: Client, forge: Forge) -> None:
    found = json.loads(until(client, "/releases/audit.json", "checked_until"))
    assert (found["environment"], found["ok"]) == ("local", False)
    head = found["checked_until"]
    text = client.get(f"/releases/commits/{head}").text
    assert "What it changed in the cluster" in text
    assert client.get(f"/releases/commits/{'0' * 40}").status_code == 404
    assert "Deployments a week" in client.get("/releases").text


def test_a_reader_of_the_release_centre_never_waits_for_a_forge(settings: ConsoleSettings) -> None:
    gone = settings.model_copy(
        update={"forge": "http://127.0.0.1:9/shop/purchase.git", "forge_kind": "gitea"}
    )
    with signed_in(gone, "viewer") as client:
        answer = client.get("/releases")
    assert answer.status_code == 200
    assert "needs a token" in answer.text or "being asked" in answer.text or "not known" in answer.text


def test_of_a_forge_of_the_network_a_mirror_is_kept_and_what_it_said_last_when_it_is_away(
    settings: ConsoleSettings, forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forge's own protocol is tried in tests/scripts; here it is a folder that can go away."""
    monkeypatch.setattr(release_centre, "forge_at", lambda *_, **__: LocalForge(forge.path, "promoter"))
    remote = {"repository": tmp_path / "mirror", "forge": "https://git.example.com/shop/purchase.git"}
    centre = ReleaseCentre(settings.model_copy(update=remote))
    anyio.run(centre.refresh)
    standing = centre.now.standing.value
    assert standing is not None
    assert (standing.live and standing.live.name, standing.needs_approval) == ("2-9c0d7e2", True)
    forge.commit(
        "local: model 3", {"release.yaml": edit(RELEASE, Release.model_validate(release(3))).decode()}
    )
    anyio.run(centre.refresh)
    newer = centre.now.standing.value
    assert newer is not None
    assert (newer.live and newer.live.name) == "3-9c0d7e2"

    forge.path.rename(tmp_path / "away")
    asked_at = centre.now.proposals.at
    anyio.run(centre.refresh)
    assert centre.now.proposals.problem
    assert (centre.now.proposals.value, centre.now.proposals.at) == ([], asked_at)
    assert centre.now.standing.value == newer
