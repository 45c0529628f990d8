"""Asks a real API server the same requests, as dry runs by the users they name.

`KUBECONFIG` names a cluster's administrator and `KUBECTL` the program, else the one on the PATH.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.policies.judge import Document

# Samples say what admission thinks of a request, so every user is let through to it.
AUTHORIZED = "policy-samples"

_DENIED = re.compile(
    r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)", re.DOTALL
)
_CONFLICT = "Error from server (Conflict)"
_TIMEOUT_SECONDS = 60.0


def kubectl(*arguments: str, given: Iterable[Document] = (), may_fail: bool = False) -> tuple[str, str]:
    """Standard output and error of kubectl with `given` as its input; empty error when it succeeds."""
    done = subprocess.run(
        [os.environ.get("KUBECTL", "kubectl"), *arguments],
        input="\n---\n".join(json.dumps(document) for document in given),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_SECONDS,
    )
    assert may_fail or done.returncode == 0, done.stderr
    return done.stdout, done.stderr.strip() if done.returncode else ""


def refusal(review: Document) -> tuple[str, str] | None:
    """The policy that refuses the request and its message; None when the request passes.

    Raises:
        AssertionError: The server refuses for another reason than a policy.
    """
    request = review["request"]
    error = send(request)
    if not error:
        return None
    denied = _DENIED.search(error)
    assert denied, f"{request['operation']} {request['name']}: {error}"
    return denied[1], denied[2]


def create(manifest: Document, review: Document) -> None:
    """Make what a request will change or delete; one that is being deleted waits for its finalizers."""
    kubectl("create", "--raw", _collection(review["request"]), "-f", "-", given=[manifest])
    if "deletionTimestamp" in manifest["metadata"]:
        kubectl("delete", "--raw", _path(review["request"]))


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Return when `holds` does; policies take effect about a second after they are applied."""
    until = time.monotonic() + _TIMEOUT_SECONDS
    while not holds():
        assert time.monotonic() < until, f"{what} not within {_TIMEOUT_SECONDS:.0f} seconds"
        time.sleep(0.2)


def send(request: Document) -> str:
    """The server's error, empty when it accepts; an update is read and sent again when the kubelet came between."""
    while _CONFLICT in (error := _send_once(request)):
        pass
    return error


def _send_once(request: Document) -> str:
    user = request["userInfo"]
    who = ["--as", user["username"], *(f"--as-group={group}" for group in (*user["groups"], AUTHORIZED))]
    path = _path(request)
    match request["operation"]:
        case "CREATE":
            to = path if request.get("subResource") else _collection(request)
            verb, given = ["create", "-f", "-", "--raw", to], [request["object"]]
        case "UPDATE":
            live = json.loads(kubectl("get", "--raw", path)[0])
            changed = _changed(live, request["oldObject"], request["object"])
            verb, given = ["replace", "-f", "-", "--raw", path], [changed]
        case "DELETE":
            verb, given = ["delete", "--raw", path], []
    verb[-1] += "?dryRun=All"
    return kubectl(*verb, *who, given=given, may_fail=True)[1]


def _collection(request: Document) -> str:
    resource = request["resource"]
    root = f"/apis/{resource['group']}" if resource["group"] else "/api"
    namespace = f"/namespaces/{request['namespace']}" if "namespace" in request else ""
    return f"{root}/{resource['version']}{namespace}/{resource['resource']}"


def _path(request: Document) -> str:
    subresource = request.get("subResource")
    return f"{_collection(request)}/{request['name']}" + (f"/{subresource}" if subresource else "")


def _changed(live: Any, old: Any, new: Any) -> Any:
    """The live object with what differs between `old` and `new` changed, so that the server's own fields stay."""
    if new == old:
        return live
    if isinstance(live, dict) and isinstance(old, dict) and isinstance(new, dict):
        kept = {key: value for key, value in live.items() if key not in old}
        return kept | {key: _changed(live.get(key), old.get(key), value) for key, value in new.items()}
    return new
