"""Production takes what staging has run healthily: every answer of Prometheus that does not say so is a no."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from scripts.errors import Refused
from scripts.evidence import soak
from scripts.evidence.prometheus import Prometheus
from scripts.evidence.record import Waiver
from scripts.history.repository import Repository, temporary_copy
from scripts.promotion.bridge import Bridge, Wish
from scripts.promotion.opening import Opened, open_promotion, prepared
from scripts.promotion.pull_request import evidence_in
from tests.scripts.watched import http_answer
from tests.scripts.world import FROM_STAGING, RELEASE, World

Document = dict[str, Any]
Answer = Callable[[httpx.Request, Document], httpx.Response]
HOUR = timedelta(hours=1)


def bridge(world: World, answer: Answer | None = None) -> Bridge:
    """The world's with the real client, whose answers pass through `answer`."""

    def handler(request: httpx.Request) -> httpx.Response:
        document = http_answer(world.metrics, request)
        return answer(request, document) if answer else httpx.Response(200, json=document)

    metrics = Prometheus("http://prometheus.invalid", transport=httpx.MockTransport(handler))
    return replace(world.bridge, metrics=metrics)


def ask(world: World, answer: Answer | None = None, **wish: Any) -> Opened:
    """Promote to production."""
    return open_promotion(bridge(world, answer), Wish("production", "ada", **wish))


def test_what_staging_ran_for_the_soak_is_proposed_with_what_prometheus_saw(soaked: World) -> None:
    opened = ask(soaked)
    assert opened.pull_request is not None
    assert opened.release == soaked.live("staging")
    evidence = evidence_in(opened.pull_request.body)
    traffic = evidence.traffic
    assert traffic is not None
    assert (traffic.environment, traffic.namespace, traffic.release) == (
        "staging",
        "shop-staging",
        opened.release,
    )
    assert traffic.until - traffic.since == HOUR
    assert (traffic.pods, traffic.samples, traffic.longest_gap_seconds) == (2, 480, 15)
    assert (traffic.requests, traffic.error_share) == (36_012, 0.000333)
    assert (traffic.p95_seconds, traffic.available_share) == (0.045, 1)
    assert sorted(traffic.queries) == ["available_share", "p95_seconds", "release", "requests"]
    assert evidence.drift is not None
    assert evidence.drift.answer == "no drift"
    names = [gate.name for gate in evidence.gates]
    assert names[2:] == ["profit", "images", "soak", "traffic", "latency", "errors", "availability", "drift"]


def test_asked_again_later_it_finds_the_same_pull_request_with_the_first_numbers(soaked: World) -> None:
    first = ask(soaked)
    refs = soaked.refs()
    soaked.now += timedelta(minutes=10)
    soaked.metrics.p95_seconds = 0.05
    again = ask(soaked, model="challenger", image_tag="abc1234")
    assert (again.action, again.pull_request) == ("found", first.pull_request)
    assert soaked.refs() == refs


# -- what Prometheus may answer ---------------------------------------------------------------------------------


def status(code: int, content: str = "", **headers: str) -> Answer:
    return lambda _, __: httpx.Response(code, content=content, headers=headers)


def fault(error: type[httpx.HTTPError]) -> Answer:
    def answer(request: httpx.Request, _: Document) -> httpx.Response:
        raise error("x")

    return answer


def changed(change: Callable[[Document], object], only: str = "") -> Answer:
    """The good document with a change in the answers to queries that start with `only`."""

    def answer(request: httpx.Request, document: Document) -> httpx.Response:
        if request.url.params["query"].startswith(only):
            change(document)
        return httpx.Response(200, content=json.dumps(document))

    return answer


def text(old: str, new: str, only: str = "") -> Answer:
    """The good text with other characters in it."""

    def answer(request: httpx.Request, document: Document) -> httpx.Response:
        written = json.dumps(document)
        wanted = request.url.params["query"].startswith(only)
        return httpx.Response(200, content=written.replace(old, new) if wanted else written)

    return answer


def result(document: Document) -> list[Any]:
    found: list[Any] = document["data"]["result"]
    return found


def value(new: str) -> Callable[[Document], object]:
    return lambda document: result(document)[0].update(value=[result(document)[0]["value"][0], new])


def drop_samples(first: int, last: int) -> Callable[[Document], object]:
    def change(document: Document) -> None:
        for series in result(document):
            del series["values"][first:last]

    return change


def label(name: str, new: str) -> Callable[[Document], object]:
    return lambda document: result(document)[0]["metric"].update({name: new})


def no_label(name: str) -> Callable[[Document], object]:
    return lambda document: result(document)[0]["metric"].pop(name)


def older(seconds: float) -> Callable[[Document], object]:
    def change(document: Document) -> None:
        for series in result(document):
            series["value"][0] -= seconds

    return change


RELEASE_QUERY, P95, COUNT, UP, STATE = (
    "release_info",
    "histogram",
    "sum by (status)",
    "sum(sum_over",
    "max by",
)

BAD: dict[str, tuple[Answer, str]] = {
    "Prometheus is down": (fault(httpx.ConnectError), "metrics_unreachable"),
    "no answer in time": (fault(httpx.ReadTimeout), "metrics_timeout"),
    "no connection in time": (fault(httpx.ConnectTimeout), "metrics_timeout"),
    "the connection breaks": (fault(httpx.ReadError), "metrics_broken_off"),
    "a body shorter than announced": (fault(httpx.RemoteProtocolError), "metrics_broken_off"),
    "status 500": (status(500, "internal"), "metrics_status"),
    "status 503 in JSON": (status(503, '{"status":"error","error":"starting"}'), "metrics_status"),
    "status 401": (status(401, "who are you"), "metrics_status"),
    "status 204": (status(204), "metrics_not_json"),
    "a redirect elsewhere": (status(302, location="http://elsewhere.invalid/"), "metrics_redirect"),
    "a login page": (status(200, "<html>Sign in</html>"), "metrics_not_json"),
    "empty": (status(200), "metrics_not_json"),
    "half a body": (status(200, '{"status":"success","data":{"resul'), "metrics_not_json"),
    "JSON of another shape": (status(200, '{"series": []}'), "metrics_shape"),
    "JSON that is no object": (status(200, "[1]"), "metrics_shape"),
    "success without data": (status(200, '{"status":"success"}'), "metrics_shape"),
    "an error with status 200": (
        status(200, '{"status":"error","error":"query timed out"}'),
        "metrics_error",
    ),
    "a warning": (changed(lambda d: d.update(warnings=["partial response: a store is gone"])), "metrics_warning"),
    "another kind of result": (text('"vector"', '"matrix"', P95), "metrics_shape"),
    "a kind that does not exist": (text('"vector"', '"table"', P95), "metrics_shape"),
    "no release at all": (changed(lambda d: result(d).clear(), RELEASE_QUERY), "metrics_empty"),
    "no latency": (changed(lambda d: result(d).clear(), P95), "metrics_empty"),
    "no requests": (changed(lambda d: result(d).clear(), COUNT), "metrics_empty"),
    "no scrapes": (changed(lambda d: result(d).clear(), UP), "metrics_empty"),
    "no drift state": (changed(lambda d: result(d).clear(), STATE), "metrics_empty"),
    "a latency that is NaN": (changed(value("NaN"), P95), "metrics_not_finite"),
    "a latency that is +Inf": (changed(value("+Inf"), P95), "metrics_not_finite"),
    "a latency that is -Inf": (changed(value("-Inf"), P95), "metrics_not_finite"),
    "requests that are NaN": (changed(value("NaN"), COUNT), "metrics_not_finite"),
    "a negative latency": (changed(value("-0.1"), P95), "metrics_impossible"),
    "fewer than no requests": (changed(value("-4"), COUNT), "metrics_impossible"),
    "more scrapes answered than made": (changed(value("1.2"), UP), "metrics_impossible"),
    "a value as a word": (changed(value("fast"), P95), "metrics_shape"),
    "a value as a number": (text('"0.045"', "0.045", P95), "metrics_shape"),
    "a value without a time": (changed(lambda d: result(d)[0].update(value=["0.045"]), P95), "metrics_shape"),
    "a series without values": (changed(lambda d: result(d)[0].update(values=[]), RELEASE_QUERY), "metrics_shape"),
    "an answer for an hour ago": (changed(older(3600), P95), "metrics_other_time"),
    "several series for one": (changed(lambda d: result(d).append(result(d)[0]), P95), "metrics_labels"),
    "a latency of one pod": (changed(label("pod", "forecast-0"), P95), "metrics_labels"),
    "requests without a status": (changed(no_label("status"), COUNT), "metrics_labels"),
    "requests with a word for a status": (changed(label("status", "ok"), COUNT), "metrics_labels"),
    "requests of one route": (changed(label("route", "/forecast"), COUNT), "metrics_labels"),
    "a drift state nobody knows": (changed(label("state", "some"), STATE), "metrics_labels"),
    "two drift states only": (changed(lambda d: result(d).pop(), STATE), "metrics_labels"),
    "no drift state that holds": (changed(value("0"), STATE), "metrics_impossible"),
    "a pod of another namespace": (changed(label("namespace", "shop-production"), RELEASE_QUERY), "wrong_labels"),
    "a release of no pod": (changed(no_label("pod"), RELEASE_QUERY), "wrong_labels"),
    "a release that is not 1": (text('"1.0"', '"0"', RELEASE_QUERY), "wrong_labels"),
    "two models at once": (changed(label("model_version", "7"), RELEASE_QUERY), "another_release"),
    "another image on one pod": (changed(label("image_tag", "def5678"), RELEASE_QUERY), "another_release"),
    "other bytes on one pod": (changed(label("model_sha256", "0" * 64), RELEASE_QUERY), "another_release"),
    "another model by its own word": (
        changed(label("exported_model_version", "7"), RELEASE_QUERY),
        "another_release",
    ),
    "no bytes named": (changed(no_label("model_sha256"), RELEASE_QUERY), "another_release"),
    "stale": (changed(drop_samples(-8, 10**6), RELEASE_QUERY), "soak_stale"),
    "too few samples": (changed(drop_samples(0, 120), RELEASE_QUERY), "soak_short"),
    "a gap in the middle": (changed(drop_samples(100, 107), RELEASE_QUERY), "soak_gap"),
}  # fmt: skip


@pytest.fixture(scope="module")
def copy(tried: World) -> Iterator[Repository]:
    """What `open` looks at; made once, since a bad answer changes nothing."""
    with temporary_copy(tried.forge) as repository:
        yield repository


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_refused_with_its_reason_and_nothing_is_prepared(
    tried: World, copy: Repository, name: str
) -> None:
    answer, reason = BAD[name]
    with pytest.raises(Refused) as caught:
        prepared(bridge(tried, answer), copy, Wish("production", "ada"))
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["Prometheus is down", "a latency that is NaN", "stale"])
def test_a_bad_answer_opens_nothing(tried: World, name: str) -> None:
    refs = tried.refs()
    with pytest.raises(Refused) as caught:
        ask(tried, BAD[name][0])
    assert caught.value.reason == BAD[name][1]
    assert tried.refs() == refs
    assert tried.forge.pull_requests("promote/production/") == []


def test_there_are_more_bad_answers_than_twenty_and_many_reasons() -> None:
    assert len(BAD) >= 20
    assert len({reason for _, reason in BAD.values()}) >= 15


def test_without_the_guard_a_bad_answer_would_pass(soaked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the cases above are refused by the guards, not by something else about this world."""
    answer, _ = BAD["two models at once"]
    monkeypatch.setattr(soak._Watch, "_refuse_others", lambda *_: None)
    opened = ask(soaked, answer)
    assert opened.action == "opened"


# -- what staging did -------------------------------------------------------------------------------------------


def other(world: World, **changes: Any) -> None:
    """For ten minutes of the last hour one more pod served something else, or elsewhere."""
    release = world.live("staging").model_copy(update=changes)
    world.metrics.serve("shop-staging", release, world.now - timedelta(minutes=40))
    world.metrics.serve("shop-staging", world.live("staging"), world.now - timedelta(minutes=30))


MEASURED: dict[str, tuple[Callable[[World], object], str]] = {
    "no metrics configured": (lambda w: w, "gate_soak"),
    "too slow": (lambda w: setattr(w.metrics, "p95_seconds", 0.51), "gate_latency"),
    "too many errors": (lambda w: w.metrics.statuses.update({"500": 400.0}), "gate_errors"),
    "no traffic": (lambda w: w.metrics.statuses.update({"200": 0.0, "503": 0.0}), "metrics_no_traffic"),
    "too little traffic": (lambda w: w.metrics.statuses.update({"200": 900.0, "503": 0.0}), "gate_traffic"),
    "pods that were gone": (lambda w: setattr(w.metrics, "available_share", 0.98), "gate_availability"),
    "drift": (lambda w: setattr(w.metrics, "drift", "found"), "gate_drift"),
    "not enough data for drift": (lambda w: setattr(w.metrics, "drift", "unknown"), "gate_drift"),
    "another image for a while": (lambda w: other(w, image_tag="def5678"), "another_release"),
    "another model for a while": (lambda w: other(w, model_version=9), "another_release"),
}


@pytest.mark.parametrize("name", MEASURED)
def test_a_staging_that_was_not_healthy_is_not_promoted(soaked: World, name: str) -> None:
    happened, reason = MEASURED[name]
    happened(soaked)
    metrics = None if name == "no metrics configured" else soaked.metrics
    with pytest.raises(Refused) as caught:
        open_promotion(replace(soaked.bridge, metrics=metrics), Wish("production", "ada"))
    assert caught.value.reason == reason
    assert soaked.file("production") == RELEASE


@pytest.mark.parametrize(("minutes", "answer"), [(58, None), (62, "opened")])
def test_the_soak_is_the_time_alone_and_not_the_age_of_the_commit(
    soaked: World, minutes: int, answer: str | None
) -> None:
    """Git has said for a day what staging runs; a pod with another model was there until `minutes` ago."""
    soaked.now += timedelta(days=1)
    live, then = soaked.live("staging"), soaked.now - timedelta(minutes=minutes)
    soaked.metrics.serve("shop-staging", live.model_copy(update={"model_version": 9}), then - HOUR)
    soaked.metrics.serve("shop-staging", live, then)
    if answer:
        assert ask(soaked).action == answer
        return
    with pytest.raises(Refused) as caught:
        ask(soaked)
    assert caught.value.reason == "another_release"
    assert "the soak of 1-abc1234 is the time that it serves alone" in str(caught.value)


@pytest.mark.parametrize("seconds", [-40, 40])
def test_a_clock_that_is_not_ours_is_refused_in_both_directions(soaked: World, seconds: int) -> None:
    soaked.metrics.clock = lambda: soaked.now + timedelta(seconds=seconds)
    with pytest.raises(Refused, match="set the clocks right") as caught:
        ask(soaked)
    assert caught.value.reason == "clock_skew"
    soaked.metrics.clock = lambda: soaked.now + timedelta(seconds=seconds / 2)
    assert ask(soaked).action == "opened"


def test_a_restarted_pod_among_others_does_not_end_the_soak(soaked: World) -> None:
    later = soaked.now - timedelta(minutes=20)
    first, *others = soaked.metrics.pods
    again = replace(first, pod="forecast-9", since=later)
    soaked.metrics.pods = [replace(first, until=later - timedelta(minutes=5)), *others, again]
    opened = ask(soaked)
    assert opened.pull_request is not None
    traffic = evidence_in(opened.pull_request.body).traffic
    assert traffic is not None
    assert traffic.pods == 3


# -- what Git says ----------------------------------------------------------------------------------------------


def refused(world: World, **wish: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        ask(world, **wish)
    assert world.file("production") == RELEASE
    return caught.value


def test_only_what_staging_runs_can_be_asked_for(soaked: World) -> None:
    soaked.train(2)
    for wish in ({"model": "challenger"}, {"model": "2", "image_tag": "abc1234"}, {"image_tag": "def5678"}):
        refusal = refused(soaked, **wish)
        assert refusal.reason == "other_than_source"
        assert "production takes what staging runs, 1-abc1234" in str(refusal)
    assert ask(soaked, model="1", image_tag="abc1234").action == "opened"


def test_a_release_that_changed_during_the_soak_is_not_promoted(soaked: World) -> None:
    soaked.promote(2, environment="staging")
    refusal = refused(soaked)
    assert refusal.reason == "soak_short"
    assert "staging was given 2-abc1234 0 minutes ago" in str(refusal)


def test_a_staging_without_a_model_has_nothing_to_give(tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(tmp_path_factory.mktemp("w"), ("staging", "production"), rules={"production": FROM_STAGING})
    assert refused(world).reason == "source_is_empty"


def test_a_tag_that_moved_since_staging_got_it_is_refused(soaked: World) -> None:
    soaked.images.moved.add("registry.example.com/shop/forecast:abc1234")
    refusal = refused(soaked)
    assert refusal.reason == "moved_tag"
    assert "image forecast:abc1234 was sha256:" in str(refusal)


def test_an_image_that_is_gone_is_refused(soaked: World) -> None:
    soaked.images.missing.add("registry.example.com/shop/decision:abc1234")
    assert refused(soaked).reason == "no_image"


def test_a_release_that_production_rolled_back_is_held_there(soaked: World) -> None:
    ask(soaked)
    soaked.forge.acting_as("cy").approve(2, soaked.forge.get(2).head)
    soaked.merge(2, "production")
    assert ask(soaked).action == "live"
    soaked.promote(2, environment="staging")
    soaked.soak()
    second = ask(soaked)
    assert second.pull_request is not None
    soaked.forge.acting_as("cy").approve(second.pull_request.number, second.pull_request.head)
    merged = soaked.merge(second.pull_request.number, "production")
    soaked.revert_as_person(merged.commit)
    with pytest.raises(Refused) as caught:
        ask(soaked)
    assert caught.value.reason == "held"


# -- waivers ----------------------------------------------------------------------------------------------------


def test_only_not_knowing_can_be_waived_and_not_by_who_asks(soaked: World) -> None:
    waiver = Waiver(by="cy", reason="the first month of this model is not over")
    soaked.metrics.drift = "unknown"
    opened = ask(soaked, waivers={"drift": waiver})
    assert opened.pull_request is not None
    (gate,) = [each for each in evidence_in(opened.pull_request.body).gates if each.name == "drift"]
    assert (gate.passed, gate.saw, gate.waiver) == (False, "not enough data", waiver)
    soaked.metrics.drift = "found"
    with pytest.raises(Refused) as caught:
        ask(soaked, waivers={"drift": waiver})
    assert caught.value.reason == "gate_drift"
    assert "--waive" not in str(caught.value)
    soaked.metrics.drift = "unknown"
    with pytest.raises(Refused, match="ada asks for the promotion and waives drift; the approver waives"):
        ask(soaked, waivers={"drift": Waiver(by="ada", reason="trust me")})
