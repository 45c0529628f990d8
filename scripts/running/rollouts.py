"""What Argo Rollouts (argoproj.io/v1alpha1) says of a namespace: what each Rollout tries and what came of it.

It needs `list` on `rollouts`, `analysisruns` and `replicasets` there. A Rollout's own fields name no release, least of
all where it points at a Deployment, which may be ahead of it: what it tries is the template of the ReplicaSet that
its status names, and a ReplicaSet's template never changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from scripts.running.kubernetes import Cluster, Pod

ARGO, APPS = "argoproj.io/v1alpha1", "apps/v1"
HASH_LABEL = "rollouts-pod-template-hash"

_BAD = ("Failed", "Error")
_TOLD_CHARACTERS = 300

Object = dict[str, Any]


@dataclass(frozen=True)
class Rolling:
    """One Rollout.

    Attributes:
        name: Of the Rollout and of its service.
        attempt: Changes when other pods are tried or the same ones anew: uid, hash of the pods, time of the abort.
        phase: Healthy, Progressing, Paused or Degraded.
        message: Argo's own words for it.
        aborted: Whether it gave its newest pods up and went back to the stable ones.
        step: Step of the canary and their number, None where there are none.
        image: What the main container of its newest pods runs; empty while they are not known.
        model: Label `model-version` and annotation `model-sha256` of its newest pods, empty where they have none.
        serving: Hash of the pods that the Service leads to, None where it leads to all of them.
        failures: What the analyses of its newest pods measured that was bad, one line each.
    """

    name: str
    attempt: tuple[str, str, str]
    phase: str
    message: str
    aborted: bool
    step: tuple[int, int] | None
    image: str
    model: tuple[str, str]
    serving: str | None
    failures: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether the newest pods serve everybody."""
        return self.phase == "Healthy" and not self.aborted

    def leads_to(self, pod: Pod) -> bool:
        """Whether callers of the service reach a pod of it: not those that blue-green keeps for a way back."""
        return self.serving is None or pod.name.startswith(f"{self.name}-{self.serving}-")

    @property
    def told(self) -> str:
        """Where it is, in a line."""
        at = f", step {self.step[0]} of {self.step[1]}" if self.step else ""
        why = "; ".join(self.failures) or self.message
        state = "was aborted" if self.aborted else f"is {self.phase or 'not seen yet'}{at}"
        return _line(f"rollout {self.name} {state}{': ' if why else ''}{why}")


def rollouts(cluster: Cluster, namespace: str) -> list[Rolling]:
    """Every Rollout of a namespace by name; none where Argo Rollouts is not installed.

    Raises:
        ClusterUnavailable: They, or what they tried, cannot be listed.
    """
    found = cluster.objects(namespace, ARGO, "rollouts")
    if not found:
        return []
    sets, runs = cluster.objects(namespace, APPS, "replicasets"), []
    if any(each.get("status", {}).get("abort") for each in found):
        runs = cluster.objects(namespace, ARGO, "analysisruns")
    return sorted((_rolling(each, sets, runs) for each in found), key=lambda each: each.name)


def _rolling(rollout: Object, sets: Iterable[Object], runs: Iterable[Object]) -> Rolling:
    metadata, status = rollout["metadata"], rollout.get("status", {})
    newest = str(status.get("currentPodHash", ""))
    template: Object = next((each["spec"]["template"] for each in _of(sets, metadata, newest)), {})
    pod = template.get("metadata", {})
    steps = rollout["spec"].get("strategy", {}).get("canary", {}).get("steps", ())
    at = status.get("currentStepIndex")
    return Rolling(
        name=metadata["name"],
        attempt=(metadata["uid"], newest, str(status.get("abortedAt", ""))),
        phase=str(status.get("phase", "")),
        message=str(status.get("message", "")),
        aborted=bool(status.get("abort")),
        step=(int(at), len(steps)) if steps and at is not None else None,
        image=_main_image(template, metadata["name"]),
        model=(
            str(pod.get("labels", {}).get("model-version", "")),
            str(pod.get("annotations", {}).get("model-sha256", "")),
        ),
        serving=status.get("blueGreen", {}).get("activeSelector"),
        failures=tuple(line for each in _of(runs, metadata, newest) for line in _failures(each)),
    )


def _of(found: Iterable[Object], owner: Object, newest: str) -> list[Object]:
    """The Rollout's own objects that belong to its newest pods."""
    return [
        each
        for each in found
        if each["metadata"].get("labels", {}).get(HASH_LABEL) == newest
        and any(one["uid"] == owner["uid"] for one in each["metadata"].get("ownerReferences", ()))
    ]


def _main_image(template: Object, service: str) -> str:
    containers = template.get("spec", {}).get("containers", ())
    return next((str(each["image"]) for each in containers if each["name"] == service), "")


def _failures(run: Object) -> list[str]:
    results = run.get("status", {}).get("metricResults", ())
    return [
        f"{each['name']} {each['phase']} in {run['metadata']['name']}, {_measured(each)}"
        for each in results
        if each.get("phase") in _BAD
    ]


def _measured(result: Object) -> str:
    """The newest bad measurement of a metric."""
    bad = [each for each in result.get("measurements", ()) if each.get("phase") in _BAD]
    last = bad[-1] if bad else {}
    return f"measured {last['value']}" if last.get("value") else str(last.get("message") or "no value")


def _line(text: str) -> str:
    return " ".join(text.split())[:_TOLD_CHARACTERS]
