"""What Argo Workflows does with our templates, and nothing more: what is not known here is refused.

Rules from Argo's documentation of 4.1, and from its source where that says more: enhanced `depends`, retries, loops,
fail fast, pods at a time. Pods are run by whom the caller names, so the rules can be tried without a cluster. One
workflow runs at a time: mutexes, deadlines, times between tries and cleaning up are not kept.
"""

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.environments.test_workflows import merged

Document = dict[str, Any]
Phase = Literal["Succeeded", "Failed", "Error", "Omitted"]

LOST = -1
"""What Argo takes for the exit code of a pod that was deleted; the step's phase is then an error."""

SPEC = {
    *("activeDeadlineSeconds", "arguments", "automountServiceAccountToken", "entrypoint", "parallelism"),
    *("podGC", "podMetadata", "securityContext", "serviceAccountName", "synchronization", "templateDefaults"),
    *("templates", "ttlStrategy", "volumes"),
}
LEAF = {"container", "inputs", "name", "retryStrategy", "serviceAccountName"}
DAG, TASK = {"failFast", "tasks"}, {"arguments", "depends", "name", "template", "withSequence"}
RETRY = {"backoff", "expression", "limit", "retryPolicy"}
SEQUENCE = {"count", "start"}

_PARAMETER = re.compile(r"{{(workflow\.parameters|inputs\.parameters)\.([\w-]+)}}|{{(item)}}")
_UNLESS = re.compile(r"asInt\(lastRetry\.exitCode\) != (\d+)")
_TERM = re.compile(r"([\w-]+)(?:\.(Succeeded|Failed))?")


class NotKnown(Exception):
    """The harness does not know what Argo makes of this."""


@dataclass(frozen=True)
class Ended:
    """How a step's command ended, and what it wrote to its standard output and error."""

    code: int
    said: str = ""
    logged: str = ""


@dataclass(frozen=True)
class Step:
    """One attempt at one step: what a pod is made of, all parameters filled in."""

    name: str
    attempt: int
    container: Document
    account: str
    spec: Document


@dataclass
class Outcome:
    """What a run came to: the phase of each task of its entry, and every attempt in the order of their ends."""

    phase: Phase = "Succeeded"
    tasks: dict[str, Phase] = field(default_factory=dict)
    attempts: list[tuple[str, Ended]] = field(default_factory=list)

    def said(self, step: str) -> str:
        """The last words of a step."""
        return [ended.said for name, ended in self.attempts if name == step][-1]

    def codes(self, step: str) -> list[int]:
        """Exit codes of all attempts at a step."""
        return [ended.code for name, ended in self.attempts if name == step]


Run = Callable[[Step], Ended]


def resolved(workflow: Document, templates: Mapping[str, Document]) -> Document:
    """The spec that runs: of a Workflow or CronWorkflow, over that of the template it refers to."""
    own = workflow["spec"].get("workflowSpec", workflow["spec"])
    named = own.get("workflowTemplateRef")
    rest = {name: value for name, value in own.items() if name != "workflowTemplateRef"}
    if named is None:
        return copy.deepcopy(rest)
    only(rest, {"arguments", "entrypoint"}, "a workflow of a template")
    base = templates[named["name"]]["spec"]
    given = {each["name"]: each for each in rest.get("arguments", {}).get("parameters", [])}
    parameters = [given.get(each["name"], each) for each in base["arguments"]["parameters"]]
    return copy.deepcopy(base | rest | {"arguments": {"parameters": parameters}})


def run(spec: Document, pod: Run) -> Outcome:
    """Run the entry of a spec to its end."""
    only(spec, SPEC, "a spec")
    return _Run(spec, pod).whole()


def only(found: Mapping[str, Any], known: set[str], what: str) -> None:
    """Refuse what is not known."""
    if unknown := set(found) - known:
        raise NotKnown(f"{what} with {', '.join(sorted(unknown))}")


def holds(depends: str, phases: Mapping[str, Phase]) -> bool:
    """What `depends` says of tasks that have all ended: `a && b` or `a.Succeeded || a.Failed`, not both at once."""
    operator, terms = _terms(depends)
    found = [phases[name] == phase for name, phase in terms]
    return any(found) if operator == "||" else all(found)


def again(strategy: Mapping[str, Any], code: int, attempt: int) -> bool:
    """Whether a step is tried once more after its attempt, counted from 0, ended with this code."""
    only(strategy, RETRY, "retryStrategy")
    found = _UNLESS.fullmatch(strategy["expression"])
    if strategy["retryPolicy"] != "Always" or found is None:
        raise NotKnown(f"retryStrategy: {strategy}")
    return code != 0 and attempt < int(strategy["limit"]) and code != int(found[1])


def filled(value: Any, parameters: Mapping[str, str]) -> Any:
    """Texts with the parameters in them; `{{…}}` of any other kind is refused."""
    if isinstance(value, Mapping):
        return {key: filled(each, parameters) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, parameters) for each in value]
    if not isinstance(value, str):
        return value

    def of(found: re.Match[str]) -> str:
        return parameters[found[3] or f"{found[1]}.{found[2]}"]

    text = _PARAMETER.sub(of, value)
    if "{{" in text:
        raise NotKnown(text)
    return text


class _Run:
    def __init__(self, spec: Document, pod: Run) -> None:
        self.spec, self.pod, self.outcome = spec, pod, Outcome()
        self.templates = {each["name"]: each for each in spec["templates"]}
        given = spec.get("arguments", {}).get("parameters", [])
        self.parameters = {f"workflow.parameters.{each['name']}": str(each["value"]) for each in given}

    def whole(self) -> Outcome:
        entry = self.templates[self.spec["entrypoint"]]
        only(entry, {"dag", "name"}, "an entry")
        only(entry["dag"], DAG, "a dag")
        tasks = {each["name"]: each for each in entry["dag"]["tasks"]}
        phases, fail_fast = self.outcome.tasks, entry["dag"].get("failFast", True)
        while waiting := [name for name in tasks if name not in phases]:
            stopped = fail_fast and _stops(tasks, phases)
            ready = [name for name in waiting if _waits_for(tasks[name]) <= set(phases)]
            ready = ready[: self.spec.get("parallelism", len(ready))]
            with ThreadPoolExecutor(len(ready)) as pool:
                ended = pool.map(self._task, [tasks[name] for name in ready], [stopped] * len(ready))
                phases |= dict(zip(ready, ended, strict=True))
        waited_for = {name for each in tasks.values() for name in _waits_for(each)}
        self.outcome.phase = _worst(_branch(tasks, phases, name) for name in sorted(set(tasks) - waited_for))
        return self.outcome

    def _task(self, task: Document, stopped: bool) -> Phase:
        only(task, TASK, "a task")
        if stopped or ("depends" in task and not holds(task["depends"], self.outcome.tasks)):
            return "Omitted"
        items = [""]
        if "withSequence" in task:
            sequence = filled(task["withSequence"], self.parameters)
            only(sequence, SEQUENCE, "withSequence")
            items = [str(int(sequence["start"]) + i) for i in range(int(sequence["count"]))]
        with ThreadPoolExecutor(len(items)) as pool:
            ended = list(pool.map(lambda item: self._step(task, item), items))
        return _worst(reversed(ended))

    def _step(self, task: Document, item: str) -> Phase:
        """The phase of the last attempt."""
        template = self.templates[task["template"]]
        only(template, LEAF, f"template {template['name']}")
        inputs = filled(task.get("arguments", {}).get("parameters", []), self.parameters | {"item": item})
        own = {f"inputs.parameters.{each['name']}": each["value"] for each in inputs}
        wanted = {
            f"inputs.parameters.{each['name']}" for each in template.get("inputs", {}).get("parameters", [])
        }
        if set(own) != wanted:
            raise NotKnown(f"{task['name']} gives {sorted(own)} to a template of {sorted(wanted)}")
        container = merged(self.spec["templateDefaults"]["container"], template["container"])
        name = task["name"] + (f"-{item}" if item else "")
        for attempt in range(100):
            step = Step(
                name,
                attempt,
                filled(container, self.parameters | own),
                template.get("serviceAccountName", self.spec["serviceAccountName"]),
                self.spec,
            )
            ended = self.pod(step)
            self.outcome.attempts.append((name, ended))
            if not again(template["retryStrategy"], ended.code, attempt):
                return "Succeeded" if ended.code == 0 else "Error" if ended.code == LOST else "Failed"
        raise NotKnown(f"{name}: a hundred attempts")


def _terms(depends: str) -> tuple[str, list[tuple[str, str]]]:
    """The operator, and each task with the phase that is asked for."""
    parts = re.split(r" (\|\||&&) ", depends)
    found = [each for part in parts[::2] if (each := _TERM.fullmatch(part))]
    if len(set(parts[1::2])) > 1 or len(found) < len(parts[::2]):
        raise NotKnown(f"depends: {depends}")
    return "".join(parts[1:2]), [(each[1], each[2] or "Succeeded") for each in found]


def _waits_for(task: Document) -> set[str]:
    return {name for name, _ in _terms(task["depends"])[1]} if "depends" in task else set()


def _stops(tasks: Mapping[str, Document], phases: Mapping[str, Phase]) -> bool:
    """Whether a task failed that no other one takes a failure of."""
    asked = [term for each in tasks.values() if "depends" in each for term in _terms(each["depends"])[1]]
    return any(phase == "Failed" and (name, "Failed") not in asked for name, phase in phases.items())


def _branch(tasks: Mapping[str, Document], phases: Mapping[str, Phase], name: str) -> Phase:
    """The phase of a task; of one that was left out, what those before it came to."""
    if phases[name] != "Omitted":
        return phases[name]
    return _worst(_branch(tasks, phases, each) for each in sorted(_waits_for(tasks[name])))


def _worst(phases: Iterable[Phase]) -> Phase:
    """The first that is no success."""
    return next((phase for phase in phases if phase != "Succeeded"), "Succeeded")
