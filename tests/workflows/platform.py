"""The platform's namespace on the bed: its volume, accounts and workflows, and stand-ins for its services."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from scripts.manifests import render
from scripts.release_file import Release, edit, path_of
from scripts.running.step import NO, YES
from tests.cluster import images, model_store
from tests.cluster.bed import PLATFORM, ROOT, Bed
from tests.cluster.pods import Api, api, seconds_until
from tests.cluster.progress import tell
from tests.cluster.repository import PROMOTER, GiteaRepository
from tests.environments.rendered import documents, named, of_kind
from tests.policies.api_server import kubectl
from tests.workflows import argo, services
from tests.workflows.argo import Document, Ended, Outcome, Step
from tests.workflows.pods import Pods, forwarded

_ACCOUNTS = {"confirm", "retrain", "workflows"}
_BOOTSTRAP = ("platform", "staging", "production")
_CLAIM = f"/api/v1/namespaces/{PLATFORM}/persistentvolumeclaims/lake"
_WORKFLOWS = f"/apis/argoproj.io/v1alpha1/namespaces/{PLATFORM}/workflows"

FIRST_MODEL: Final = """set -e
python -m ml synthesize --out /tmp/all --products 60 --months 31
python - <<'END'
import pathlib, polars
files = sorted(pathlib.Path("/tmp/all").glob("*.parquet"))
for file in files:
    late = file in files[-2:]
    folder = pathlib.Path("/lake/later" if late else "/lake/inbound")
    folder.mkdir(exist_ok=True)
    rows = polars.read_parquet(file)
    dearer = rows.with_columns(unit_price_cents=polars.col("unit_price_cents") * 3)
    (dearer if late else rows).write_parquet(folder / file.name)
END
for verb in "ingest --events /lake/inbound" panel "quality --as-of newest" train "models --champion 1"; do
    python -m ml --log-level error $verb
done"""
"""What a person did before: a shop's events and the model that it runs. Prices of the last full month and of the
running one are three times as high, and wait in /lake/later."""


@dataclass(frozen=True)
class Platform:
    """Workflows run here as they would by their controller.

    Attributes:
        tag: Of the images.
        rendered: Every object of `environments/platform`, with this bed's forge and registry in place of examples.
    """

    tag: str
    api: Api
    pods: Pods
    repository: GiteaRepository
    rendered: list[Document]

    @property
    def templates(self) -> dict[str, Document]:
        """Workflow templates by name."""
        return {each["metadata"]["name"]: each for each in of_kind(self.rendered, "WorkflowTemplate")}

    def spec(self, workflow: Document) -> Document:
        """What runs of a workflow, a cron workflow, or a reference to a template."""
        return argo.resolved(workflow, self.templates)

    def cron(self, name: str) -> Outcome:
        """A run that the clock begins."""
        return self.run(self.spec(named(self.rendered, "CronWorkflow", name)))

    def run(self, spec: Document) -> Outcome:
        """Every step of a spec, as pods."""
        return argo.run(spec, self._told)

    def by_hand(self, script: str, step: str = "train") -> str:
        """The words of a shell script in a pod like that of a step of `retrain`."""
        given = {"parameters": [{"name": "image-tag", "value": self.tag}]}
        spec = self.spec({"spec": {"workflowTemplateRef": {"name": "retrain"}, "arguments": given}})
        entry = {"name": "by-hand", "dag": {"tasks": [{"name": step, "template": step}]}}
        own = next(each for each in spec["templates"] if each["name"] == step)
        own["container"] |= {"command": ["sh", "-c"], "args": [script]}
        spec |= {"entrypoint": "by-hand", "templates": [entry, own]}
        outcome = self.run(spec)
        assert outcome.phase == "Succeeded", outcome
        return outcome.said(step).splitlines()[-1]

    def submitted(self) -> list[Document]:
        """Workflows that somebody made on the API server."""
        found: list[Document] = self.api.get(_WORKFLOWS)["items"]
        return found

    def _told(self, step: Step) -> Ended:
        ended = self.pods(step)
        tell(
            f"{step.name}: {ended.code} {ended.said[:150] if ended.code in (YES, NO) else ended.logged[-1500:]}"
        )
        return ended


@contextmanager
def platform() -> Iterator[Platform]:
    """A platform with a champion, which staging and production run by what Git says; gone afterwards."""
    bed = Bed.from_environment()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="workflows-")))
        repository = GiteaRepository(bed, folder)
        _clean(repository)
        stack.callback(_clean, repository)
        tag = images.built(bed.registry)
        cluster = stack.enter_context(api())
        here = str(urlsplit(bed.gitea_url).hostname)
        port = stack.enter_context(forwarded(here, bed.registry))
        repository.make()
        unreleased = documents(render.build(folder / "environments" / "platform"))
        _install(bed, unreleased, tag, cluster)
        made = Platform(tag, cluster, Pods(cluster, bed.registry, (here, port)), repository, unreleased)
        yield _released(made)


def _released(made: Platform) -> Platform:
    """Production and staging run the first model by what Git says, so workflows run production's image."""
    tell("the first model")
    made.by_hand(FIRST_MODEL, "ingest")
    listed = made.by_hand("python -m ml models")
    (version,) = json.loads(listed)["versions"]
    release = Release(image_tag=made.tag, model_version=version["version"], model_sha256=version["sha256"])

    def change(folder: Path) -> None:
        for environment in ("staging", "production"):
            file = folder / path_of(environment)
            file.write_bytes(edit(file.read_bytes(), release))

    made.repository.merged("staging and production: the first model", change)
    made.repository.git(PROMOTER, "fetch", "-q", made.repository.url, "main")
    made.repository.git(PROMOTER, "checkout", "-q", "-f", "FETCH_HEAD")
    rendered = documents(render.build(made.repository.folder / "environments" / "platform"))
    return replace(made, rendered=rendered)


def _install(bed: Bed, rendered: list[Document], tag: str, cluster: Api) -> None:
    for environment in _BOOTSTRAP:
        kubectl("apply", "-k", str(ROOT / "argo" / "bootstrap" / environment))
    accounts = of_kind(rendered, "ServiceAccount", "Role", "RoleBinding")
    own = [each for each in accounts if each["metadata"]["name"] in _ACCOUNTS]
    kubectl("apply", "-f", "-", given=[*own, *of_kind(rendered, "PersistentVolumeClaim", "WorkflowTemplate")])
    training = f"{bed.registry}/{images.PROJECT}/training:{tag}"
    kubectl("apply", "-f", "-", given=services.manifests(bed, training))
    seconds_until(lambda: cluster.get(_CLAIM)["status"].get("phase") == "Bound", 60, "a volume")
    volume = cluster.get(f"/api/v1/persistentvolumes/{cluster.get(_CLAIM)['spec']['volumeName']}")
    kubectl("apply", "-f", "-", given=[services.opened(volume["spec"]["hostPath"]["path"], training)])
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl("-n", "default", "wait", ended, f"pod/{services.OPENER}", "--timeout=55s")
    for name in services.NAMES:
        kubectl("-n", PLATFORM, "rollout", "status", f"deployment/{name}", "--timeout=55s")
    model_store.make_bucket()


def _clean(repository: GiteaRepository) -> None:
    kubectl("-n", "default", "delete", "pod", services.OPENER, "--ignore-not-found", "--grace-period=1")
    for environment in _BOOTSTRAP:
        folder = str(ROOT / "argo" / "bootstrap" / environment)
        kubectl("delete", "--ignore-not-found", "--timeout=55s", "-k", folder)
    repository.remove()
