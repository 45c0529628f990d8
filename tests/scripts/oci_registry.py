"""A registry in memory with manifests, blobs and what refers to a manifest (OCI distribution 1.1)."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.scripts.mini_sigstore import MEDIA_TYPE, SIGNATURE

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class OciRegistry:
    """One repository; `referrers=False` is a registry from before the API, whose clients keep a tag instead.

    `answers` overrides the answer to a path.
    """

    referrers: bool = True
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    referring: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def attach(
        self, subject: str, bundle: bytes, *, predicate: str | None = SIGNATURE, kind: str = MEDIA_TYPE
    ) -> None:
        """Put a bundle beside a manifest, as cosign does."""
        layer = {"mediaType": kind, "digest": sha256(bundle), "size": len(bundle)}
        notes = {} if predicate is None else {"dev.sigstore.bundle.predicateType": predicate}
        manifest = json.dumps({"artifactType": kind, "layers": [layer], "annotations": notes}).encode()
        self.blobs[sha256(bundle)] = bundle
        self.manifests[sha256(manifest)] = manifest
        entry = {"digest": sha256(manifest), "artifactType": kind, "annotations": notes}
        self.referring.setdefault(subject, []).append(entry)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match = re.fullmatch(r"/v2/[^?]+/(manifests|blobs|referrers)/([^/]+)", request.url.path)
        assert match is not None, request.url
        kind, name = match.groups()
        if f"{kind}/{name}" in self.answers:
            return self.answers[f"{kind}/{name}"]
        found = {"manifests": self.manifests, "blobs": self.blobs, "referrers": {}}[kind].get(name)
        listed = name if kind == "referrers" else name.replace("sha256-", "sha256:")
        if kind == "referrers" and self.referrers:
            return self._index(listed)
        if (
            kind == "manifests"
            and not self.referrers
            and name.startswith("sha256-")
            and listed in self.referring
        ):
            return self._index(listed)
        return httpx.Response(404) if found is None else httpx.Response(200, content=found)

    def _index(self, subject: str) -> httpx.Response:
        content = json.dumps({"mediaType": INDEX, "manifests": self.referring.get(subject, [])})
        return httpx.Response(200, content=content, headers={"content-type": INDEX})
