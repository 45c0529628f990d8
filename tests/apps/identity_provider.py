"""An identity provider on the loopback: keys that rotate, and tokens, right and wrong, put together by hand."""

import base64
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from apps.chassis import signing_keys

AUDIENCE = "purchase-prediction-staging"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key pair, the same for the same name within a run."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """As `rsa_key`, on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int) -> str:
    return base64url(value.to_bytes(size, "big"))


def jwk(key_id: str, key: PrivateKey) -> dict[str, Any]:
    """The public half as RFC 7517 writes it."""
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "kid": key_id,
            "use": "sig",
            "n": number(public.n, key.key_size // 8),
            "e": number(public.e, 3),
        }
    point = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "kid": key_id,
        "x": number(point.x, 32),
        "y": number(point.y, 32),
    }


def signature(algorithm: str, key: Any, content: bytes) -> bytes:
    """As RFC 7518 has it."""
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        return hmac.digest(key, content, "sha256")
    if algorithm == "ES256":
        r, s = decode_dss_signature(key.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    digest = hashes.SHA512() if algorithm == "RS512" else hashes.SHA256()
    return bytes(key.sign(content, padding.PKCS1v15(), digest))


def public_pem(key: PrivateKey) -> bytes:
    """What is published of a key, in the form that an attacker would take for a secret."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


class Provider:
    """Answers its configuration and its keys; `down` takes it away, `keys` are what it publishes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, PrivateKey] = {"one": rsa_key("one"), "curve": ec_key("curve")}
        self.down, self.fetches = False, 0
        self.answers: dict[str, Any] = {}
        self.slow: Event | None = None

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        if self.slow is not None:
            self.slow.wait(20)
        if self.down:
            return 500, b"away"
        if path in self.answers:
            return 200, json.dumps(self.answers[path]).encode()
        if path == "/keys":
            self.fetches += 1
            return 200, json.dumps({"keys": [jwk(name, key) for name, key in self.keys.items()]}).encode()
        return 200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()

    def token(
        self,
        *roles: str,
        algorithm: str = "RS256",
        kid: str | None = "one",
        key: Any = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token of a viewer that is right, but for what is given; a claim that is None is left out."""
        now = time.time()
        usual = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": now,
            "exp": now + 600,
            "roles": list(roles),
        }
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        named = {"typ": "JWT", "alg": algorithm} | ({} if kid is None else {"kid": kid}) | dict(header or {})
        content = f"{base64url(json.dumps(named).encode())}.{base64url(json.dumps(said).encode())}"
        signed = signature(algorithm, key or self.keys.get(kid or "one"), content.encode())
        return f"{content}.{base64url(signed)}"


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that answers on a free port of this machine; one under load must not look like one that is away."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = found.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
            """Say nothing."""

    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        patch.setattr(signing_keys, "TIMEOUT_SECONDS", 60.0)
        found = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            if found.slow is not None:
                found.slow.set()
            server.shutdown()
            thread.join()
