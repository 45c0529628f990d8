"""A registry of images (OCI distribution, HTTP API v2): whether a tag exists, its bytes, and who refers to them."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from scripts.errors import Broken, Refused

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
BUNDLE = "application/vnd.dev.sigstore.bundle."
"""Start of the media type of a sigstore bundle, whose version follows."""
MAX_BUNDLE_BYTES = 1024 * 1024
USER, PASSWORD = "PROMOTE_REGISTRY_USER", "PROMOTE_REGISTRY_PASSWORD"

_TIMEOUT_SECONDS = 10.0
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_PREDICATE = "dev.sigstore.bundle.predicateType"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Images(Protocol):
    """Where images are."""

    def digest(self, image: str, tag: str, /) -> str:
        """`sha256:…` of the manifest that a tag names; `Refused` when there is none."""

    def bundles(self, image: str, digest: str, predicate: str, /) -> list[bytes]:
        """Sigstore bundles beside a manifest whose statement says it is of this predicate type."""


class ImageRegistry:
    """The registries named in images, by HTTPS; one on this machine by HTTP.

    A registry that wants to know who asks gets user and password from `PROMOTE_REGISTRY_USER` and
    `PROMOTE_REGISTRY_PASSWORD`, or none where they are not set (public images).
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(  # a blob may lie elsewhere; httpx takes no password there
            timeout=_TIMEOUT_SECONDS, limits=limits, transport=transport, follow_redirects=True
        )

    def digest(self, image: str, tag: str, /) -> str:
        """Digest of the manifest, or index, that `<image>:<tag>` names now.

        Args:
            image: With its registry, for example `registry.example.com/shop/forecast`.
            tag: Of the release.

        Raises:
            Refused: There is no such image, or its bytes are not those of the digest in the answer.
            Broken: The registry cannot be reached or does not let us in.
        """
        return _digest(self._manifest(image, tag))

    def bundles(self, image: str, digest: str, predicate: str, /) -> list[bytes]:
        """Sigstore bundles that refer to a manifest, by the referrers of OCI 1.1 or their tag; nobody checked them.

        Args:
            image: With its registry.
            digest: `sha256:…` of the manifest.
            predicate: Type of the statement in the bundle; those that say another one are left out.

        Raises:
            Refused: What is listed is not there, is larger than `MAX_BUNDLE_BYTES`, or has other bytes.
            Broken: The registry cannot be reached, does not let us in, or answers nonsense.
        """
        try:
            return [
                self._blob(image, layer)
                for each in self._referrers(image, digest)
                if str(each.get("artifactType", "")).startswith(BUNDLE)
                and each.get("annotations", {}).get(_PREDICATE, predicate) == predicate
                for layer in json.loads(self._manifest(image, each["digest"]).content)["layers"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"the registry's list of what refers to {image}@{digest} cannot be read: {error!r}"
            raise Broken(message) from None

    def give_tag(self, image: str, tag: str, new: str, /) -> None:
        """Let one more tag name the bytes that `<image>:<tag>` names now.

        Raises:
            Refused: There is no such image, or the new tag names other bytes already; a tag is never moved.
            Broken: The registry cannot be reached or does not take it.
        """
        manifest = self._manifest(image, tag)
        try:
            there = self.digest(image, new)
        except Refused as refusal:
            if refusal.reason != "no_image":
                raise
            headers = {"Content-Type": manifest.headers["content-type"]}
            answer = self._ask("PUT", image, f"manifests/{new}", headers, manifest.content)
            if answer.status_code != httpx.codes.CREATED:
                raise Broken(f"the registry answers {answer.status_code} to tag {new} of {image}") from None
        else:
            if there != _digest(manifest):
                raise Refused("moved_tag", f"{image}:{new} is {there} already, {tag} is {_digest(manifest)}")

    def _manifest(self, image: str, tag: str) -> httpx.Response:
        answer = self._ask("GET", image, f"manifests/{tag}", {"Accept": ", ".join(MANIFESTS)})
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Refused("no_image", f"image {image}:{tag} does not exist; build and push it first")
        if answer.status_code != httpx.codes.OK:
            raise Broken(f"the registry answers {answer.status_code} for {image}:{tag}")
        said = answer.headers.get("docker-content-digest", _digest(answer))
        if said != _digest(answer):
            raise Refused(
                "bad_image", f"the registry says {image}:{tag} is {said}, its bytes are {_digest(answer)}"
            )
        return answer

    def _referrers(self, image: str, digest: str) -> Iterator[dict[str, Any]]:
        """Descriptors of the manifests whose subject is this one; a registry without the API keeps them under a tag."""
        answer = self._ask("GET", image, f"referrers/{digest}", {"Accept": MANIFESTS[0]})
        if answer.status_code == httpx.codes.NOT_FOUND:
            tag = f"manifests/{digest.replace(':', '-')}"
            answer = self._ask("GET", image, tag, {"Accept": MANIFESTS[0]})
            if answer.status_code == httpx.codes.NOT_FOUND:
                return
        if answer.status_code != httpx.codes.OK:
            raise Broken(f"the registry answers {answer.status_code} for what refers to {image}@{digest}")
        yield from json.loads(answer.content)["manifests"]

    def _blob(self, image: str, descriptor: dict[str, Any]) -> bytes:
        """Bytes of a blob, which have the digest and the size of its descriptor."""
        digest, size = str(descriptor["digest"]), int(descriptor["size"])
        if size > MAX_BUNDLE_BYTES:
            raise Refused(
                "bad_image", f"a bundle of {image} has {size} bytes, {MAX_BUNDLE_BYTES} are allowed"
            )
        answer = self._ask("GET", image, f"blobs/{digest}", {})
        if answer.status_code != httpx.codes.OK:
            raise Broken(f"the registry answers {answer.status_code} for {digest} of {image}")
        if _digest(answer) != digest:
            raise Refused("bad_image", f"{image} has a bundle {digest} whose bytes are {_digest(answer)}")
        return answer.content

    def _ask(
        self, method: str, image: str, path: str, headers: dict[str, str], content: bytes | None = None
    ) -> httpx.Response:
        host, slash, name = image.partition("/")
        if not slash or not re.search(r"[.:]|^localhost$", host):
            raise Refused("bad_image", f"image {image!r} names no registry, such as registry.example.com/…")
        scheme = "http" if _LOCAL.fullmatch(host) else "https"
        url = f"{scheme}://{host}/v2/{name}/{path}"
        try:
            answer = self._client.request(method, url, headers=headers, content=content)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                authorization = self._authorization(answer.headers.get("www-authenticate", ""))
                headers = {**headers, "Authorization": authorization}
                answer = self._client.request(method, url, headers=headers, content=content)
        except httpx.HTTPError as error:
            raise Broken(f"the registry of {image} cannot be reached: {type(error).__name__}") from None
        return answer

    def _authorization(self, challenge: str) -> str:
        """The header that a registry's challenge asks for: ours, or a token that was given for it."""
        kind, _, rest = challenge.partition(" ")
        basic = httpx.BasicAuth(os.environ.get(USER, ""), os.environ.get(PASSWORD, ""))
        if kind.lower() != "bearer":
            return str(next(basic.auth_flow(httpx.Request("GET", "https://unused"))).headers["Authorization"])
        asked = dict(_CHALLENGE.findall(rest))
        realm = asked.pop("realm", "")
        parts = urlsplit(realm)
        if parts.scheme != "https" and not _LOCAL.fullmatch(parts.netloc):
            raise Broken(f"the registry wants a password sent to {realm!r}, which is not HTTPS")
        wanted = {key: asked[key] for key in ("service", "scope") if key in asked}
        auth = basic if os.environ.get(USER) else None
        answer = self._client.get(realm, params=wanted, auth=auth)
        if answer.status_code != httpx.codes.OK:
            raise Broken(f"{parts.netloc} gives no token for the registry, it answers {answer.status_code}")
        token = answer.json()
        return f"Bearer {token.get('token') or token.get('access_token')}"


def _digest(answer: httpx.Response) -> str:
    return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
