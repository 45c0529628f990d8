"""A release is confirmed when every pod of every service serves it, twice, and the alias follows only then."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import Broken, Refused
from scripts.evidence.record import Evidence, Model
from scripts.history.repository import temporary_copy
from scripts.manifests.render import NoKustomize
from scripts.release_file import Release, edit, evidence_path_of, path_of
from scripts.running import confirm as confirming
from scripts.running.aliases import CHAMPION
from scripts.running.confirm import Clock, NotServed, Patience, Wait, confirm, expected_of
from scripts.running.kubernetes import ClusterUnavailable, NoAnswer, Pod
from scripts.running.pods import Expected, look
from tests.scripts.stored_rollouts import ABORTED, HEALTHY, stored
from tests.scripts.world import World

ENVIRONMENTS = Path(__file__).parents[2] / "environments"
SERVICES = ("collector", "console", "decision", "forecast")
RELEASE = Release(image_tag="abc1234", model_version=12, model_sha256="5" * 64)
BEFORE = Release(image_tag="abc0000", model_version=11, model_sha256="4" * 64)
PLACE = "registry.example.com/purchase-prediction"
EXPECTED = Expected(
    "shop",
    RELEASE,
    {name: f"{PLACE}/{name}:abc1234" for name in SERVICES},
    {name: f"sha256:{index}{'a' * 63}" for index, name in enumerate(SERVICES)},
)


def pod_of(service: str, number: int = 1, **fields: Any) -> Pod:
    name = f"{service}-{number}"
    image_id = f"{PLACE}/{service}@{EXPECTED.digests[service]}"
    good = Pod(name, f"uid-{name}", service, EXPECTED.images[service], image_id, 8001, True, False, 0)
    return replace(good, **fields)


def reported(release: Release = RELEASE, **fields: Any) -> bytes:
    return json.dumps({**release.model_dump(), "products": 3, **fields}).encode()


@dataclass
class FakeCluster:
    """Two pods of each service, changed by the test; `steps` are run before the looks, one each."""

    listed: list[Pod] = field(default_factory=lambda: [pod_of(name, n) for name in SERVICES for n in (1, 2)])
    answers: dict[str, bytes | Exception] = field(default_factory=dict)
    stored: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    steps: list[Callable[["FakeCluster"], None]] = field(default_factory=list)
    looks: int = 0

    def pods(self, namespace: str) -> list[Pod]:
        assert namespace in {"shop", "purchase-prediction-production", "purchase-prediction-staging"}
        self.looks += 1
        if self.steps:
            self.steps.pop(0)(self)
        return self.listed

    def get(self, namespace: str, pod: Pod, path: str) -> bytes:
        assert (pod.service, path) == ("forecast", "/model-info")
        answer = self.answers.get(pod.name, reported())
        if isinstance(answer, Exception):
            raise answer
        return answer

    def objects(self, namespace: str, group: str, resource: str) -> list[dict[str, Any]]:
        return self.stored.get(resource, [])

    def create(self, namespace: str, group: str, resource: str, made: dict[str, Any]) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def change(self, name: str, **fields: Any) -> None:
        self.listed = [replace(pod, **fields) if pod.name == name else pod for pod in self.listed]


@dataclass
class FakeClock:
    seconds: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.sleep)


def wait_for(cluster: FakeCluster, told: list[str] | None = None, **patience: float) -> float:
    tell = (told if told is not None else []).append
    waiting = Wait(cluster, EXPECTED, Patience(**patience), tell, FakeClock().clock)
    return waiting.until_served()[1]


def test_it_looks_again_after_a_quiet_time() -> None:
    cluster = FakeCluster()
    assert wait_for(cluster, quiet_seconds=10) == 10
    assert cluster.looks == 11
    cluster = FakeCluster()
    assert wait_for(cluster, quiet_seconds=0) == 1  # twice even then
    assert cluster.looks == 2


def change(name: str, **fields: Any) -> Callable[[FakeCluster], None]:
    return lambda cluster: cluster.change(name, **fields)


def answer(name: str, said: bytes | Exception) -> Callable[[FakeCluster], None]:
    return lambda cluster: cluster.answers.update({name: said})


def without(service: str) -> Callable[[FakeCluster], None]:
    def remove(cluster: FakeCluster) -> None:
        cluster.listed = [pod for pod in cluster.listed if pod.service != service]

    return remove


FAULTS: dict[str, tuple[Callable[[FakeCluster], None], str]] = {
    "no pod of a service": (without("collector"), "collector has no pod"),
    "no pod at all": (lambda cluster: cluster.listed.clear(), "forecast has no pod"),
    "an old pod that is ending": (change("forecast-2", ending=True), "forecast-2 is still ending"),
    "an old image": (
        change("console-1", image=f"{PLACE}/console:abc0000"),
        "console-1 runs registry.example.com/purchase-prediction/console:abc0000, not ",
    ),
    "the tag from another registry": (
        change("console-1", image="elsewhere.example.com/console:abc1234"),
        "console-1 runs elsewhere",
    ),
    "not ready": (change("decision-2", ready=False), "decision-2 is not ready"),
    "not pulled": (change("decision-2", ready=False, image_id=""), "decision-2 has not started"),
    "a moved tag": (
        change("forecast-1", image_id=f"{PLACE}/forecast@sha256:{'b' * 64}"),
        "tag abc1234 was moved",
    ),
    "an image nobody can name": (change("forecast-1", image_id=f"sha256:{'c' * 64}"), "the evidence says"),
    "another model": (
        answer("forecast-2", reported(BEFORE)),
        "forecast-2 reports image_tag abc0000, not abc1234",
    ),
    "another version": (answer("forecast-2", reported(model_version=11)), "reports model_version 11, not 12"),
    "other bytes": (answer("forecast-2", reported(model_sha256="4" * 64)), "reports model_sha256 444"),
    "a version as text": (answer("forecast-2", reported(model_version="12")), "cannot be read at model_ver"),
    "no version": (answer("forecast-2", b"{}"), "cannot be read at image_tag"),
    "no JSON": (answer("forecast-2", b"<html>"), "forecast-2 answers what cannot be read at its start"),
    "silence": (
        answer("forecast-2", NoAnswer("does not answer in time")),
        "forecast-2 does not answer in ti",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_pod_that_is_not_as_released_is_named_and_nothing_is_confirmed(name: str) -> None:
    fault, text = FAULTS[name]
    cluster = FakeCluster()
    fault(cluster)
    with pytest.raises(NotServed) as caught:
        wait_for(cluster, timeout_seconds=30)
    assert text in str(caught.value)
    assert str(caught.value).startswith("shop does not serve 12-abc1234 after")
    assert caught.value.reason == "not_served"


@pytest.mark.parametrize("name", ["an old pod that is ending", "not ready", "silence"])
def test_a_pod_that_becomes_as_released_is_waited_for(name: str) -> None:
    fault, text = FAULTS[name]
    cluster = FakeCluster(
        steps=[fault, lambda _: None, lambda cluster: vars(cluster).update(vars(FakeCluster()))]
    )
    told: list[str] = []
    assert wait_for(cluster, told, quiet_seconds=10) == 12
    assert text in told[0]
    assert told[1:] == ["8 pods serve it; quiet for 10 s more"]


@pytest.mark.parametrize("name", ["a moved tag", "an image nobody can name"])
def test_what_waiting_cannot_heal_is_said_at_once(name: str) -> None:
    cluster = FakeCluster(steps=[FAULTS[name][0]])
    with pytest.raises(NotServed, match="after 0 s"):
        wait_for(cluster)


def test_a_service_that_the_evidence_does_not_know_is_refused() -> None:
    digests = {name: digest for name, digest in EXPECTED.digests.items() if name != "console"}
    found = look(FakeCluster(), replace(EXPECTED, digests=digests))
    assert {problem.text for problem in found.problems} == {
        "the evidence has no digest of console, which console-1 runs",
        "the evidence has no digest of console, which console-2 runs",
    }


def test_without_digests_in_the_evidence_only_the_names_are_compared() -> None:
    cluster = FakeCluster()
    cluster.change("forecast-1", image_id=f"sha256:{'c' * 64}")
    assert look(cluster, replace(EXPECTED, digests={})).problems == ()


@pytest.mark.parametrize("fields", [{"restarts": 1}, {"uid": "another"}])
def test_a_pod_that_starts_again_in_the_quiet_time_starts_it_again(fields: dict[str, Any]) -> None:
    steps: list[Callable[[FakeCluster], None]] = [lambda _: None] * 5
    cluster = FakeCluster(steps=[*steps, change("forecast-1", **fields)])
    assert wait_for(cluster, quiet_seconds=10) == 15


def test_pods_that_never_stay_the_same_are_not_confirmed() -> None:
    def restart(cluster: FakeCluster) -> None:
        cluster.change("forecast-1", restarts=cluster.looks)

    with pytest.raises(NotServed, match="did not stay the same for 10 s"):
        wait_for(FakeCluster(steps=[restart] * 100), timeout_seconds=60)


def test_strangers_in_the_namespace_are_not_asked() -> None:
    cluster = FakeCluster()
    cluster.listed.append(replace(pod_of("forecast"), name="database-0", service="database", ready=False))
    assert wait_for(cluster) == 10


def test_an_api_server_that_is_away_for_a_moment_is_asked_again_and_one_that_stays_away_broke() -> None:
    def away(_: FakeCluster) -> None:
        raise ClusterUnavailable("https://x cannot be reached")

    told: list[str] = []
    assert wait_for(FakeCluster(steps=[away, away]), told) == 12
    assert told[0] == "https://x cannot be reached"
    with pytest.raises(ClusterUnavailable):
        wait_for(FakeCluster(steps=[away] * 100), timeout_seconds=20)


ROLLED = replace(EXPECTED, rolled=frozenset({"forecast"}))


@pytest.mark.parametrize(
    ("release", "status", "text", "lasting"),
    [
        (
            RELEASE,
            {"phase": "Paused", "currentStepIndex": 1},
            "rollout forecast is Paused, step 1 of 6",
            False,
        ),
        (RELEASE, ABORTED, "rollout forecast was aborted: p95-seconds Failed", True),
        (BEFORE, ABORTED, "rollout forecast was aborted", False),
        (RELEASE, {}, "rollout forecast is not seen yet", False),
    ],
)
def test_a_rollout_is_confirmed_at_its_end_and_one_that_gave_up_at_once_is_not(
    release: Release, status: dict[str, Any], text: str, *, lasting: bool
) -> None:
    image = f"{PLACE}/forecast:{release.image_tag}"
    cluster = FakeCluster(stored=stored(release, status, image=image))
    (problem,) = look(cluster, ROLLED).problems
    assert problem.text.startswith(text)
    assert problem.lasting is lasting
    cluster.stored = stored(release, HEALTHY, image=image)
    assert look(cluster, ROLLED).problems == ()


def test_pods_that_blue_green_keeps_for_a_way_back_are_nobodys() -> None:
    """Only where the Rollout says so: without it they are old pods that serve."""
    image = EXPECTED.images["forecast"]
    kept = pod_of("forecast", image=f"{PLACE}/forecast:abc0000")
    served = pod_of("forecast")
    others = [pod_of(name) for name in SERVICES if name != "forecast"]
    cluster = FakeCluster(
        [*others, replace(served, name="forecast-5d6f-a"), replace(kept, name="forecast-0ld-b")]
    )
    cluster.stored = stored(RELEASE, HEALTHY | {"blueGreen": {"activeSelector": "5d6f"}}, image=image)
    assert look(cluster, ROLLED).problems == ()
    cluster.stored = stored(RELEASE, HEALTHY, image=image)
    (problem,) = look(cluster, ROLLED).problems
    assert "forecast-0ld-b runs" in problem.text


def test_a_rollout_that_is_not_there_confirms_nothing() -> None:
    (problem,) = look(FakeCluster(), ROLLED).problems
    assert problem.text == "forecast has no Rollout"


def test_hundreds_of_pods_one_of_which_is_wrong() -> None:
    cluster = FakeCluster([pod_of(name, n) for name in SERVICES for n in range(100)])
    cluster.answers["forecast-77"] = reported(model_version=11)
    (problem,) = look(cluster, EXPECTED).problems
    assert problem.text == "forecast-77 reports model_version 11, not 12"


def evidence_for(world: World, environment: str, release: Release, images: dict[str, str]) -> Evidence:
    before = world.live(environment)
    model = Model(
        candidate="mix", family="mixture", data_version="d", last_month="2026-10", code_commit="c",
        run_id="r", registered_at="2026-11-01T00:00:00+00:00",
    )  # fmt: skip
    return Evidence(
        environment=environment, release=release, replaces=before, model=model, verdict=None, benchmark=(),
        gates=(), images=images, requested_by="ada",
    )  # fmt: skip


def release_as_person(world: World, environment: str, release: Release) -> Evidence:
    """A promotion's commit, without what stands before it."""
    evidence = evidence_for(world, environment, release, dict(EXPECTED.digests))
    files = {
        path_of(environment): edit(world.file(environment), release),
        evidence_path_of(environment, release): evidence.to_bytes(),
    }
    world.commit_as_person(f"release\n\nEvidence-Sha256: {evidence.sha256}", files)
    return evidence


@pytest.fixture
def shop(world: World) -> World:
    """The overlays of this checkout with nothing released."""
    files = {
        f"environments/{path.relative_to(ENVIRONMENTS)}": path.read_bytes()
        for path in ENVIRONMENTS.rglob("*.yaml")
        if path.name != "release.yaml"
    }
    for environment in ("staging", "production"):
        files[path_of(environment)] = world.file()
    world.commit_as_person("overlays", files)
    return world


def test_what_is_expected_comes_from_the_manifests_and_the_evidence_on_the_trunk(shop: World) -> None:
    release_as_person(shop, "production", BEFORE)
    release_as_person(shop, "production", RELEASE)
    with temporary_copy(shop.forge.remote) as repository:
        expected = expected_of(repository, "production")
    assert expected == replace(EXPECTED, namespace="purchase-prediction-production")


def test_rollouts_of_the_manifests_are_expected_and_their_pods_are_the_deployments(shop: World) -> None:
    release_as_person(shop, "production", RELEASE)
    path = "environments/production/kustomization.yaml"
    line = "  - ../components/release\n"
    text = (shop.git.read("main", path) or b"").decode()
    shop.commit_as_person(
        "canary", {path: text.replace(line, f"{line}  - ../components/rollout/canary\n").encode()}
    )
    with temporary_copy(shop.forge.remote) as repository:
        expected = expected_of(repository, "production")
    assert expected.images == EXPECTED.images
    assert expected.rolled == {"decision", "forecast"}


def test_after_a_revert_the_digests_are_those_of_the_promotion_that_had_brought_it(shop: World) -> None:
    release_as_person(shop, "production", BEFORE)
    release_as_person(shop, "production", RELEASE)
    shop.revert_as_person("main")
    shop.commit_as_person("tidy", {evidence_path_of("production", BEFORE): b"{}"})
    with temporary_copy(shop.forge.remote) as repository:
        expected = expected_of(repository, "production")
    assert (expected.release, expected.digests) == (BEFORE, EXPECTED.digests)


def test_evidence_that_is_not_what_its_commit_says_confirms_nothing(shop: World) -> None:
    path = evidence_path_of("production", RELEASE)
    other = evidence_for(shop, "production", RELEASE, {}).to_bytes()
    files = {path_of("production"): edit(shop.file("production"), RELEASE), path: other}
    shop.commit_as_person(f"release\n\nEvidence-Sha256: {'0' * 64}", files)
    with temporary_copy(shop.forge.remote) as repository, pytest.raises(Refused, match="not what its commit"):
        expected_of(repository, "production")


def test_nothing_is_expected_before_the_first_release_or_where_nobody_can_report(
    shop: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_copy(shop.forge.remote) as repository, pytest.raises(Refused, match="no model yet"):
        expected_of(repository, "production")
    shop.commit_as_person("release", {path_of("local"): edit(shop.file("local"), RELEASE)})
    shop.commit_as_person("no overlay", {"environments/local/kustomization.yaml": b"resources: []\n"})
    with temporary_copy(shop.forge.remote) as repository, pytest.raises(Refused, match="local runs nothing"):
        expected_of(repository, "local")

    def missing(*_: object) -> str:
        raise NoKustomize("kustomize is not installed")

    monkeypatch.setattr(confirming, "build_at", missing)
    with temporary_copy(shop.forge.remote) as repository, pytest.raises(Broken, match="not installed"):
        expected_of(repository, "local")


AT_ONCE = Patience(quiet_seconds=0, poll_seconds=0)


def confirm_at_once(world: World, cluster: FakeCluster, environment: str) -> confirming.Confirmed:
    return confirm(
        world.forge,
        cluster,
        environment,
        registry=lambda: world.registry,
        patience=AT_ONCE,
        tell=lambda _: None,
    )


def register(world: World, release: Release) -> None:
    world.train(release.model_version)
    entry = world.registry.entries[release.model_version]
    world.registry.entries[release.model_version] = replace(entry, sha256=release.model_sha256)


def test_the_alias_follows_production_once_it_is_served_and_staging_never(shop: World) -> None:
    register(shop, RELEASE)
    release_as_person(shop, "staging", RELEASE)
    confirm_at_once(shop, FakeCluster(), "staging")
    assert CHAMPION not in shop.registry.aliases
    release_as_person(shop, "production", RELEASE)
    broken = FakeCluster()
    broken.change("forecast-1", image_id=f"x@sha256:{'b' * 64}")
    with pytest.raises(NotServed):
        confirm_at_once(shop, broken, "production")
    assert CHAMPION not in shop.registry.aliases
    confirmed = confirm_at_once(shop, FakeCluster(), "production")
    assert shop.registry.aliases[CHAMPION] == 12
    told = confirmed.to_json()
    assert told["release"] == RELEASE.model_dump()
    assert told["digests_compared"] is True
    assert [pod["name"] for pod in told["pods"]][:2] == ["collector-1", "collector-2"]


def test_a_release_that_changed_while_it_was_confirmed_is_not_crowned(shop: World) -> None:
    register(shop, BEFORE)
    release_as_person(shop, "production", BEFORE)
    release_as_person(shop, "production", RELEASE)

    def merged(_: FakeCluster) -> None:
        shop.revert_as_person("main")

    with pytest.raises(Refused, match="production became 11-abc0000 while 12-abc1234"):
        confirm_at_once(shop, FakeCluster(steps=[merged]), "production")
    assert CHAMPION not in shop.registry.aliases
