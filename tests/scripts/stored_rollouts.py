"""Objects of Argo Rollouts as an API server stores them."""

from typing import Any

from scripts.release_file import Release

Object = dict[str, Any]
Stored = dict[str, list[Object]]

HEALTHY = {"phase": "Healthy", "currentStepIndex": 6}
ABORTED = {
    "phase": "Degraded",
    "abort": True,
    "abortedAt": "2026-11-01T10:00:00Z",
    "currentStepIndex": 0,
    "message": 'RolloutAborted: Rollout aborted update to revision 2: Metric "p95-seconds" assessed Failed',
}


def stored(release: Release, status: Object, *, name: str = "forecast", **changes: Any) -> Stored:
    """One Rollout that tries a release, the ReplicaSet of its pods, and the analysis that they had."""
    newest = str(changes.get("newest", "5d6f"))
    owner = {"uid": f"uid-{name}", "kind": "Rollout", "name": name}
    labels = {"rollouts-pod-template-hash": newest}
    made = {"name": f"{name}-{newest}", "labels": labels, "ownerReferences": [owner]}
    template = {
        "metadata": {
            "labels": {"model-version": str(release.model_version)},
            "annotations": {"model-sha256": release.model_sha256},
        },
        "spec": {
            "containers": [
                {"name": "sidecar", "image": "s:1"},
                {"name": name, "image": changes.get("image", f"shop/{name}:{release.image_tag}")},
            ]
        },
    }
    good = {
        "name": "requests",
        "phase": "Successful",
        "measurements": [{"phase": "Successful", "value": "[9]"}],
    }
    bad = {
        "name": "p95-seconds",
        "phase": "Failed",
        "measurements": [
            {"phase": "Failed", "value": "[0.7]"},
            {"phase": "Failed", "value": "[0.9]"},
            {"phase": "Successful", "value": "[0.1]"},
        ],
    }
    other = made | {"name": "before", "labels": {"rollouts-pod-template-hash": "0ld"}}
    return {
        "rollouts": [
            {
                "metadata": {"name": name, "uid": f"uid-{name}"},
                "spec": {"strategy": {"canary": {"steps": [{}] * 6}}},
                "status": {"currentPodHash": newest, **status},
            }
        ],
        "replicasets": [
            {"metadata": other, "spec": {"template": {}}},
            {"metadata": made, "spec": {"template": template}},
        ],
        "analysisruns": [
            {"metadata": other, "status": {"metricResults": [bad | {"name": "of-an-earlier-one"}]}},
            {"metadata": made | {"name": f"{name}-{newest}-2-2"}, "status": {"metricResults": [good, bad]}},
        ],
    }


def joined(*parts: Stored) -> Stored:
    """Several Rollouts of one namespace."""
    return {kind: [each for part in parts for each in part[kind]] for kind in parts[0]}
