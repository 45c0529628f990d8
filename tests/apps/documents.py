"""An OpenAPI document as a judge of answers, by a JSON Schema validator that knows nothing of the services."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
import jsonschema_rs

PROBLEM = "application/problem+json"
NO_ROUTE = frozenset({404, 405})


@dataclass
class Document:
    """What a service says that it answers."""

    openapi: Mapping[str, Any]
    _validators: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def paths(self) -> dict[str, dict[str, Any]]:
        """Operations by method, by path template."""
        return dict(self.openapi["paths"])

    def fault(self, template: str | None, answer: httpx.Response) -> str | None:
        """What is wrong with an answer to a route, or to what is no route; None when nothing is."""
        status, kind = answer.status_code, answer.headers.get("content-type", "").partition(";")[0]
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return f"{status}"
        method = answer.request.method.lower()
        operation = self.paths.get(template or "", {}).get(method)
        if operation is None:
            known = status in NO_ROUTE and kind in {PROBLEM, ""}
            return None if known or (method == "head" and status in NO_ROUTE) else f"{status} of no route"
        documented = operation["responses"].get(str(status))
        if documented is None:
            return f"{status} is not documented"
        if kind not in documented["content"]:
            return f"{status} as {kind!r} is not documented"
        if "json" not in kind:
            return None
        return self._against(documented["content"][kind]["schema"], answer.content)

    def _against(self, schema: Mapping[str, Any], content: bytes) -> str | None:
        name = json.dumps(schema)
        validator = self._validators.get(name)
        if validator is None:
            whole = {**schema, "components": self.openapi["components"]}
            validator = self._validators[name] = jsonschema_rs.Draft202012Validator(whole)
        error = next(iter(validator.iter_errors(json.loads(content))), None)
        return None if error is None else f"another form: {error.message[:200]} at {error.instance_path}"
