"""Images are looked up by the distribution API: there or not, and which bytes; nothing is taken on trust."""

import base64
import hashlib
import json
from collections.abc import Callable

import httpx
import pytest

from scripts.errors import Broken, Refused
from scripts.images.image_registry import PASSWORD, USER, ImageRegistry
from scripts.images.release_images import digests, refuse_moved, refuse_untried
from tests.scripts.world import World

IMAGE = "registry.example.com/shop/forecast"
MANIFEST = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"

Handler = Callable[[httpx.Request], httpx.Response]


def registry(handler: Handler) -> ImageRegistry:
    return ImageRegistry(httpx.MockTransport(handler))


def fixed(status: int = 200, digest: str = DIGEST) -> Handler:
    return lambda _: httpx.Response(status, content=MANIFEST, headers={"Docker-Content-Digest": digest})


def test_the_digest_is_of_the_bytes_and_agrees_with_what_the_registry_says() -> None:
    asked: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=MANIFEST, headers={"Docker-Content-Digest": DIGEST})

    assert registry(handler).digest(IMAGE, "9c0d7e2") == DIGEST
    assert str(asked[0].url) == "https://registry.example.com/v2/shop/forecast/manifests/9c0d7e2"
    assert "application/vnd.oci.image.index.v1+json" in asked[0].headers["accept"]


def test_a_registry_on_this_machine_is_asked_by_http() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert str(request.url).startswith("http://localhost:5001/v2/shop/forecast/")
        return httpx.Response(200, content=MANIFEST)

    assert registry(handler).digest("localhost:5001/shop/forecast", "1") == DIGEST


@pytest.mark.parametrize(
    ("image", "handler", "text"),
    [
        (IMAGE, fixed(404), "does not exist; build and push it first"),
        (IMAGE, fixed(digest=f"sha256:{'0' * 64}"), "its bytes are sha256:"),
        ("forecast", fixed(), "names no registry"),
        ("shop/forecast", fixed(), "names no registry"),
    ],
)
def test_what_is_not_there_or_not_what_it_says_is_refused(image: str, handler: Handler, text: str) -> None:
    with pytest.raises(Refused, match=text):
        registry(handler).digest(image, "9c0d7e2")


def refuses_connections(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no")


@pytest.mark.parametrize("handler", [fixed(500), fixed(403), refuses_connections])
def test_a_registry_that_does_not_answer_breaks_and_may_be_asked_again(handler: Handler) -> None:
    with pytest.raises(Broken, match=r"registry"):
        registry(handler).digest(IMAGE, "9c0d7e2")


def guarded(realm: str, seen: list[httpx.Request]) -> Handler:
    """A registry that hands out tokens at `realm`."""

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if str(request.url).startswith(realm):
            return httpx.Response(200, content=json.dumps({"token": "t0k"}))
        if request.headers.get("authorization") == "Bearer t0k":
            return httpx.Response(200, content=MANIFEST)
        challenge = f'Bearer realm="{realm}",service="r",scope="repository:shop/forecast:pull"'
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})

    return handler


def test_a_token_is_fetched_where_the_registry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER, "ci")
    monkeypatch.setenv(PASSWORD, "pa55word")
    seen: list[httpx.Request] = []
    assert registry(guarded("https://auth.example.com/token", seen)).digest(IMAGE, "1") == DIGEST
    token = seen[1]
    assert dict(token.url.params) == {"service": "r", "scope": "repository:shop/forecast:pull"}
    assert token.headers["authorization"] == "Basic " + base64.b64encode(b"ci:pa55word").decode()


def test_public_images_need_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(USER, raising=False)
    seen: list[httpx.Request] = []
    assert registry(guarded("https://auth.example.com/token", seen)).digest(IMAGE, "1") == DIGEST
    assert "authorization" not in seen[1].headers


def test_no_password_goes_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER, "ci")
    seen: list[httpx.Request] = []
    with pytest.raises(Broken, match="which is not HTTPS"):
        registry(guarded("http://auth.example.com/token", seen)).digest(IMAGE, "1")
    assert len(seen) == 1


def test_a_release_has_the_images_that_the_overlay_of_its_environment_names(world: World) -> None:
    found = digests(world.images, world.git, "local", "9c0d7e2")
    assert sorted(found) == ["decision", "forecast"]
    assert world.images.asked == [f"registry.example.com/shop/{name}:9c0d7e2" for name in sorted(found)]
    world.images.missing = {"registry.example.com/shop/forecast:9c0d7e2"}
    with pytest.raises(Refused, match="does not exist"):
        digests(world.images, world.git, "local", "9c0d7e2")


OVERLAYS = {
    "no images": (b"namespace: x\n", "says of no image where it comes from"),
    "only an image with a tag of its own": (
        b"images: [{name: redis, newName: r.example.com/redis, newTag: '7'}]\n",
        "says of no image",
    ),
    "an image without a place": (b"images: [{name: forecast}]\n", "without name or newName"),
    "not YAML": (b"a: [", "is not YAML"),
    "empty": (b"", "is missing or empty"),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_that_does_not_say_where_images_come_from_is_refused(world: World, name: str) -> None:
    data, text = OVERLAYS[name]
    world.commit_as_person("x", {"environments/local/kustomization.yaml": data})
    with pytest.raises(Refused, match=text):
        digests(world.images, world.git, "local", "1")


def test_a_tag_that_moved_or_was_never_recorded_is_refused() -> None:
    refuse_moved({"a": "sha256:1"}, {"a": "sha256:1", "b": "sha256:2"}, "t", "staging")
    refuse_moved({"a": "sha256:1"}, {}, "t", "staging")  # the environment ran none of it
    with pytest.raises(Refused, match="image a:t was sha256:2… in staging and is sha256:1… now"):
        refuse_moved({"a": "sha256:1"}, {"a": "sha256:2"}, "t", "staging")
    with pytest.raises(Refused, match="nobody recorded the bytes of a:t in staging"):
        refuse_untried({"a": "sha256:1"}, {}, "t", "staging")
