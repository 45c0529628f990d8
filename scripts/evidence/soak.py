"""How an environment ran one release, by the Prometheus that watched it.

The soak is the time for which exactly one release was observed serving, on its own and without a gap; not the
age of a commit, which says nothing about pods.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from scripts.errors import Refused
from scripts.evidence.prometheus import Metrics, NotMeasured, Series
from scripts.evidence.record import Drift, DriftAnswer, Traffic
from scripts.evidence.release_source import Source
from scripts.evidence.rules import Limits
from scripts.release_file import Release

UNCOUNTED = "/health|/ready|/metrics|unmatched"  # routes of probes, scrapes and strangers

DRIFT_ANSWERS: Mapping[str, DriftAnswer] = {
    "found": "drift",
    "unknown": "not enough data",
    "none": "no drift",
}
"""By the label `state` of the forecast service's gauge `forecast_drift`, worst first."""

_IDENTITY = tuple(Release.model_fields)


def queries(namespace: str, seconds: int) -> dict[str, str]:
    """PromQL by the name of the answer, over the last `seconds`.

    A counter that appeared within the window has grown from nothing, which `increase` does not see; so for
    those its highest value counts.
    """
    window, labels = f"[{seconds}s]", f'namespace="{namespace}"'
    counted = f'{{{labels},route!~"{UNCOUNTED}"}}'
    total, buckets = f"http_requests_total{counted}", f"http_request_duration_seconds_bucket{counted}"
    new = f"(max_over_time({total}{window}) unless {total} offset {seconds}s)"
    up = f"up{{{labels}}}{window}"
    return {
        "release": f"release_info{{{labels}}}{window}",
        "requests": f"sum by (status) ({new} or increase({total}{window}))",
        "p95_seconds": f"histogram_quantile(0.95, sum by (le) (rate({buckets}{window})))",
        "available_share": f"sum(sum_over_time({up})) / sum(count_over_time({up}))",
        "drift": f"max by (state) (max_over_time(forecast_drift{{{labels}}}{window}))",
    }


def observed(
    metrics: Metrics, clock: Callable[[], datetime], source: Source, seconds: float, limits: Limits
) -> tuple[Traffic, Drift]:
    """How the source ran its release over the last `seconds`.

    Raises:
        NotMeasured: Prometheus gave no answer that can be relied on.
        Refused: It saw another release, too short a time, a gap, or its clock is not ours.
    """
    until = _agreed_time(metrics, clock, limits)
    watch = _Watch(source, until - timedelta(seconds=seconds), until, limits)
    asked = queries(source.namespace, round(seconds))
    found = metrics.matrix(asked["release"], until)
    gap = watch.longest_gap(found)
    requests, error_share = _requests(metrics.vector(asked["requests"], until), asked["requests"])
    traffic = Traffic(
        environment=source.environment,
        namespace=source.namespace,
        release=source.release,
        since=watch.since,
        until=watch.until,
        pods=len({series.labels["pod"] for series in found}),
        samples=sum(len(series.points) for series in found),
        longest_gap_seconds=round(gap, 1),
        requests=round(requests, 1),
        error_share=round(error_share, 6),
        p95_seconds=round(_one(metrics, asked["p95_seconds"], until), 6),
        available_share=round(_one(metrics, asked["available_share"], until, most=1.0), 6),
        queries={name: query for name, query in asked.items() if name != "drift"},
    )
    return traffic, _drift(metrics.vector(asked["drift"], until), asked["drift"])


def _agreed_time(metrics: Metrics, clock: Callable[[], datetime], limits: Limits) -> datetime:
    """Prometheus' time in whole seconds, once it is known to be ours."""
    there, here = metrics.now(), clock()
    skew = abs((there - here).total_seconds())
    if skew > limits.clock_skew_seconds:
        raise Refused(
            "clock_skew",
            f"Prometheus' clock is {skew:.0f} s from this machine's, {limits.clock_skew_seconds:g} s are"
            " allowed; set the clocks right",
        )
    return there.replace(microsecond=0)


@dataclass(frozen=True)
class _Watch:
    """What was to be seen from `since` to `until`: the release of the source, alone."""

    source: Source
    since: datetime
    until: datetime
    limits: Limits

    def longest_gap(self, found: Sequence[Series]) -> float:
        """Seconds for which the release was not seen, once nothing else is known to have served."""
        for series in found:
            self._refuse_others(series)
        times = sorted(time for series in found for time, _ in series.points)
        gaps = [
            after - before
            for before, after in pairwise([self.since.timestamp(), *times, self.until.timestamp()])
        ]
        if max(gaps) > self.limits.longest_gap_seconds:
            raise self._not_covered(gaps)
        return max(gaps)

    def _refuse_others(self, series: Series) -> None:
        """Refuse a series of another namespace or release, or without the labels that tell.

        A label that the scrape sets too comes as `exported_…` in the pod's own word, which counts.
        """
        labels, source = series.labels, self.source
        if labels.get("namespace") != source.namespace or not labels.get("pod"):
            shown = f"Prometheus shows release_info of {dict(labels)}, not of pods of {source.namespace}"
            raise Refused("wrong_labels", shown)
        wanted = {name: str(getattr(source.release, name)) for name in _IDENTITY}
        said = {name: labels.get(f"exported_{name}", labels.get(name, "")) for name in _IDENTITY}
        if said != wanted:
            last = datetime.fromtimestamp(series.points[-1][0], UTC)
            other = f"model {said['model_version']}, image {said['image_tag']} ({said['model_sha256'][:12]})"
            raise Refused(
                "another_release",
                f"{source.environment} also served {other} until {last:%H:%M:%S} UTC; the soak of"
                f" {source.release.name} is the time that it serves alone",
            )
        if any(value != 1 for _, value in series.points):
            raise Refused("wrong_labels", f"release_info of {labels['pod']} is not 1, so it says nothing")

    def _not_covered(self, gaps: Sequence[float]) -> Refused:
        """Why observations with these gaps, the first and the last at the ends, do not cover the time."""
        name, allowed = self.source.release.name, self.limits.longest_gap_seconds
        seen, needed = f"in {self.source.environment}", f"at most {allowed:g} s are allowed"
        if gaps[-1] > allowed:
            return Refused("soak_stale", f"{name} was last seen {seen} {gaps[-1]:.0f} s ago, {needed}")
        if gaps[0] > allowed:
            minutes, missing = sum(gaps[1:]) / 60, f"the first {gaps[0]:.0f} s of the soak are missing"
            return Refused("soak_short", f"{name} was seen {seen} for {minutes:.1f} minutes only, {missing}")
        return Refused("soak_gap", f"{name} was not seen {seen} for {max(gaps):.0f} s, {needed}")


def _requests(found: Sequence[Series], query: str) -> tuple[float, float]:
    """Requests answered, and the share of them with status 5xx."""
    counts: dict[str, float] = {}
    for series in found:
        status = series.labels.get("status", "")
        if set(series.labels) != {"status"} or not (len(status) == 3 and status.isdecimal()):  # noqa: PLR2004
            raise NotMeasured("labels", f"answers with the labels {dict(series.labels)}, not a status", query)
        if series.value < 0:
            raise NotMeasured("impossible", f"counts {series.value:g} requests with status {status}", query)
        counts[status] = series.value
    total = sum(counts.values())
    if total <= 0:
        raise NotMeasured("no_traffic", "counts no request at all", query)
    return total, sum(count for status, count in counts.items() if status.startswith("5")) / total


def _one(metrics: Metrics, query: str, at: datetime, most: float | None = None) -> float:
    """The only value of an expression without labels, >= 0."""
    found = metrics.vector(query, at)
    if len(found) != 1 or found[0].labels:
        raise NotMeasured(
            "labels", f"answers with {len(found)} series where one without labels is needed", query
        )
    value = found[0].value
    if value < 0 or (most is not None and value > most):
        raise NotMeasured("impossible", f"answers {value:g}", query)
    return value


def _drift(found: Sequence[Series], query: str) -> Drift:
    """The worst state of the soak: drift, then not knowing, then none."""
    states = {series.labels.get("state", ""): series.value for series in found}
    if set(states) != set(DRIFT_ANSWERS) or len(found) != len(states):
        raise NotMeasured("labels", f"answers with the drift states {sorted(states)}", query)
    for state, answer in DRIFT_ANSWERS.items():
        if states[state] == 1:
            return Drift(answer=answer, query=query)
    raise NotMeasured("impossible", "shows no drift state as the present one", query)
