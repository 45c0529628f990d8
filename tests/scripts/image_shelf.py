"""A registry in memory that speaks the distribution API's manifests: what `scripts.images.image_registry` asks for."""

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

KIND = "application/vnd.oci.image.manifest.v1+json"


class Shelf:
    """Tags by image, as `registry.example.com/shop/<image>`; `moved` counts tags that changed their bytes."""

    def __init__(self) -> None:
        self.tags: dict[tuple[str, str], bytes] = {}
        self.moved = 0
        self.transport = httpx.MockTransport(self._answer)

    def put(self, image: str, tag: str, manifest: bytes) -> None:
        self.moved += self.tags.get((image, tag), manifest) != manifest
        self.tags[image, tag] = manifest

    @contextmanager
    def served(self, user: str, password: str) -> Iterator[str]:
        """Host and port of a server that lets nobody else in."""
        wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                url = f"http://{self.headers['host']}{self.path}"
                found = answer(httpx.Request(self.command, url, headers=dict(self.headers), content=body))
                if self.headers.get("authorization") != wanted:
                    found = httpx.Response(401, headers={"www-authenticate": 'Basic realm="here"'})
                self.send_response(found.status_code)
                for name, value in {**found.headers, "content-length": str(len(found.content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(found.content)

            do_GET = do_PUT = handle_any  # noqa: N815 - names of the base class

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield f"localhost:{server.server_port}"
            finally:
                server.shutdown()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match = re.fullmatch(r"/v2/(.+)/manifests/(.+)", request.url.path)
        assert match is not None, request.url
        image, tag = f"{request.url.netloc.decode()}/{match[1]}", match[2]
        if request.method == "PUT":
            assert request.headers["content-type"] == KIND
            self.put(image, tag, request.content)
            return httpx.Response(201)
        manifest = self.tags.get((image, tag))
        if manifest is None:
            return httpx.Response(404)
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        headers = {"content-type": KIND, "docker-content-digest": digest}
        return httpx.Response(200, content=manifest, headers=headers)
