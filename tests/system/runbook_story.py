"""The commands of the runbook's blocks, in an order in which each has something to do, with their exit codes."""

from typing import Final

CLUSTER: Final = ("kubectl", "argo ")
"""Programs that need one: `tests/cluster/test_runbook_commands.py` runs what is not below."""

_NO_ARGO: Final = "Argo's programs are not to be had here"
COMPARED: Final = {
    "kubectl argo rollouts abort forecast -n purchase-prediction-production": _NO_ARGO,
    "kubectl -n monitoring port-forward svc/kube-prometheus-stack-prometheus 9090": "never ends by itself",
    "kubectl drain NODE --ignore-daemonsets --delete-emptydir-data": "the test bed has one node",
    "kubectl get --raw /api/v1/namespaces/NAMESPACE/services/SERVICE:http/proxy/ready": "needs the service itself",
    "kubectl -n NAMESPACE logs POD --previous --tail=50": "needs a container that crashed",
}
"""Commands that are checked against the manifests and not run, each with the reason; so are all of `argo`."""

PROMOTE, ML, BACKUP = "python -m scripts.promote ", "python -m ml ", "python -m scripts.backup "

PROMOTIONS: Final = {
    PROMOTE + "plan": 0,
    PROMOTE + "plan --git-only": 0,
    PROMOTE + "open --to production": 0,
    PROMOTE + "check --environment production": 0,
    PROMOTE + "confirm --environment production": 1,  # no pods here; with pods: tests/cluster
    PROMOTE + "aliases --environment production": 0,
    PROMOTE + "open --to staging --model challenger": 0,
    PROMOTE + "check --environment staging": 0,
    PROMOTE + "confirm --environment staging": 1,  # no pods here; with pods: tests/cluster
    PROMOTE + "open --to staging --image-tag IMAGE_TAG": 0,
    PROMOTE + "history --environment production": 0,
    PROMOTE + "watch --environment production --once": 1,  # the same
    PROMOTE + 'rollback --environment production --reason "p95 doubled"': 0,
}
LEARNING: Final = {
    ML + "ingest": 0,
    ML + "panel": 0,
    ML + "panel --check": 0,
    ML + "panel --fresh": 0,
    ML + "quality": 0,
    ML + "train": 0,
    ML + "forecast --model challenger": 0,
    ML + "models": 0,
}
RESTORING: Final = {
    BACKUP + "list --at PLACE": 0,
    BACKUP + "check --at PLACE": 0,
    BACKUP + "restore --from PLACE": 0,
}
STORY: Final = PROMOTIONS | LEARNING | RESTORING
