"""A registry of images (OCI distribution, HTTP API v2): whether a tag exists, and which bytes it names."""

import hashlib
import os
import re
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from scripts.errors import Broken, Refused

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
USER, PASSWORD = "PROMOTE_REGISTRY_USER", "PROMOTE_REGISTRY_PASSWORD"

_TIMEOUT_SECONDS = 10.0
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Images(Protocol):
    """Where images are."""

    def digest(self, image: str, tag: str, /) -> str:
        """`sha256:…` of the manifest that a tag names; `Refused` when there is none."""


class ImageRegistry:
    """The registries named in images, by HTTPS; one on this machine by HTTP.

    A registry that wants to know who asks gets user and password from `PROMOTE_REGISTRY_USER` and
    `PROMOTE_REGISTRY_PASSWORD`, or none where they are not set (public images).
    """

    def __init__(self, transport: httpx.BaseTransport | None = None) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(timeout=_TIMEOUT_SECONDS, limits=limits, transport=transport)

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
            answer = self._ask("PUT", image, new, headers, manifest.content)
            if answer.status_code != httpx.codes.CREATED:
                raise Broken(f"the registry answers {answer.status_code} to tag {new} of {image}") from None
        else:
            if there != _digest(manifest):
                raise Refused("moved_tag", f"{image}:{new} is {there} already, {tag} is {_digest(manifest)}")

    def _manifest(self, image: str, tag: str) -> httpx.Response:
        answer = self._ask("GET", image, tag, {"Accept": ", ".join(MANIFESTS)})
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

    def _ask(
        self, method: str, image: str, tag: str, headers: dict[str, str], content: bytes | None = None
    ) -> httpx.Response:
        host, slash, name = image.partition("/")
        if not slash or not re.search(r"[.:]|^localhost$", host):
            raise Refused("bad_image", f"image {image!r} names no registry, such as registry.example.com/…")
        scheme = "http" if _LOCAL.fullmatch(host) else "https"
        url = f"{scheme}://{host}/v2/{name}/manifests/{tag}"
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


def _digest(manifest: httpx.Response) -> str:
    return f"sha256:{hashlib.sha256(manifest.content).hexdigest()}"
