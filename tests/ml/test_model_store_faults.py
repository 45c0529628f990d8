"""A model store in S3 that misbehaves: a refusal that names the place, in bounded time, and no secret in it."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from werkzeug.serving import make_server

from ml.errors import StoreUnavailable
from ml.model_store import ModelStore
from tests.s3 import BUCKET, KEYS, S3, Answer, Environ, saying

URL = f"s3://{BUCKET}/shop"
MODEL = "a" * 64
NAME = "2025-12.000000000000"
DATA = b'{}\n{"created_at":"2026-01-05"}\n' + b"line\n" * 200_000


@pytest.fixture
def store(s3: S3) -> ModelStore:
    store = ModelStore(URL)
    store.put_snapshot(MODEL, NAME, DATA)
    s3.requests.clear()
    return store


def uses(store: ModelStore) -> dict[str, Callable[[], object]]:
    return {
        "read": lambda: store.get_bundle(MODEL),
        "list": lambda: store.newest_snapshot(MODEL),
        "write": lambda: store.put_bundle(b"model"),
    }


def refused(use: Callable[[], object]) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        use()
    text = str(caught.value)
    assert URL in text
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in repr(caught.value)
    assert len(text) < 700
    return text


@pytest.mark.parametrize("status", ["500 Internal", "503 Slow Down", "429 Too Many", "400 Bad", "418 Teapot"])
@pytest.mark.parametrize("verb", ["read", "list", "write"])
def test_an_answer_that_is_an_error_is_a_refusal_after_three_tries_at_most(
    store: ModelStore, s3: S3, verb: str, status: str
) -> None:
    s3.misbehave = saying(status, b"<Error>" + b"x" * 10_000 + b"</Error>")
    started = time.monotonic()
    assert status[:3] in refused(uses(store)[verb])
    assert time.monotonic() - started < 5
    assert 1 <= len(s3.requests) <= 3


def test_a_server_that_recovers_between_two_tries_is_not_noticed(store: ModelStore, s3: S3) -> None:
    def once(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        s3.misbehave = None
        return saying("503 Slow Down")(environ, start_response)

    s3.misbehave = once
    assert store.newest_snapshot(MODEL) == (NAME, DATA)


@pytest.mark.parametrize("verb", ["read", "list", "write"])
def test_an_account_without_rights_is_told_so(store: ModelStore, s3: S3, verb: str) -> None:
    s3.misbehave = saying("403 Forbidden")
    assert "check the account's rights" in refused(uses(store)[verb])


@pytest.mark.parametrize("verb", ["read", "list", "write"])
def test_a_missing_bucket_is_told_apart_from_a_missing_model(s3: S3, verb: str) -> None:
    with pytest.raises(StoreUnavailable, match="there is no such bucket"):
        uses(ModelStore("s3://elsewhere/shop"))[verb]()


@pytest.mark.parametrize("verb", ["read", "list", "write"])
def test_a_server_that_is_gone_is_a_refusal_at_once(
    s3: S3, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    started = time.monotonic()
    refused(uses(ModelStore(URL))[verb])
    assert time.monotonic() - started < 5


def test_a_server_that_never_answers_is_given_up_within_ten_seconds(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        refused(uses(ModelStore(URL))["list"])
        assert time.monotonic() - started < 10.5


def test_a_body_that_stops_is_given_up(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopping(_: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "1000")])
        yield b"half"
        time.sleep(1)

    monkeypatch.setattr("ml.bucket._SILENCE", timedelta(seconds=0.2))
    store = ModelStore(URL)
    s3.misbehave = stopping
    started = time.monotonic()
    refused(uses(store)["read"])
    assert time.monotonic() - started < 5


def test_a_body_that_ends_early_is_never_taken_for_whole(store: ModelStore, s3: S3) -> None:
    s3.misbehave = saying("200 OK", b"half", length=1000)
    refused(uses(store)["read"])


@pytest.mark.parametrize("body", [b"", b"<html>", b"<ListBucketResult>", b"\xff\xfe"])
def test_a_listing_that_is_none_is_a_refusal(store: ModelStore, s3: S3, body: bytes) -> None:
    s3.misbehave = saying("200 OK", body)
    refused(uses(store)["list"])


def test_a_slow_body_that_keeps_coming_is_waited_for(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(_: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(
            "200 OK",
            [("Content-Length", "5"), ("ETag", '"e"'), ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")],
        )
        for letter in b"model":
            time.sleep(0.15)
            yield bytes([letter])

    monkeypatch.setattr("ml.bucket._SILENCE", timedelta(seconds=0.4))
    store = ModelStore(URL)
    sha256 = store.put_bundle(b"model")
    s3.misbehave = slowly
    assert store.get_bundle(sha256) == b"model"


def test_plain_http_needs_an_endpoint_that_says_so(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url.replace("http://", "https://"))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    refused(uses(ModelStore(URL))["read"])
    assert s3.requests == []


def test_a_pod_identity_is_used_and_its_token_is_not_shown(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("token-of-the-pod")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{s3.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token))
    given = {
        "AccessKeyId": "OFTHEPOD",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": "2099-01-01T00:00:00Z",
    }

    def agent(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        assert environ["HTTP_AUTHORIZATION"] == "token-of-the-pod"
        s3.misbehave = None
        return saying("200 OK", json.dumps(given).encode())(environ, start_response)

    s3.misbehave = agent
    ModelStore(URL).put_bundle(b"model")
    assert s3.accounts == ["", "OFTHEPOD"]

    s3.misbehave = saying("500 Internal")
    assert "token-of-the-pod" not in refused(uses(ModelStore(URL))["read"])


def as_role(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """What EKS sets in a pod whose service account stands for a role."""
    token = folder / "token"
    token.write_text("token-of-the-account")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/forecast")


def self_signed(folder: Path) -> Path:
    """A key and its certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sts")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = folder / "sts.pem"
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(encoding)
    )
    return path


@contextmanager
def behind_tls(answer: Answer, certificate: Path) -> Iterator[str]:
    """The address of a server that answers so."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = make_server("127.0.0.1", 0, answer, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_web_identity_is_used_and_its_token_is_not_shown(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_role(monkeypatch, tmp_path)
    asked: list[str] = []
    given = (
        b"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
        b"<AccessKeyId>OFTHEROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        b"<Expiration>2099-01-01T00:00:00Z</Expiration>"
        b"</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )

    def sts(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked.extend(parse_qs(environ["QUERY_STRING"])["WebIdentityToken"])
        return saying("200 OK", given)(environ, start_response)

    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with behind_tls(sts, certificate) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        ModelStore(URL).put_bundle(b"model")
    assert asked == ["token-of-the-account"]
    assert s3.accounts == ["OFTHEROLE"]
    refused_text = refused(uses(ModelStore(URL))["read"])
    assert "token-of-the-account" not in refused_text


def test_the_token_of_a_web_identity_never_travels_without_tls(
    s3: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_role(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3.url)
    assert "token-of-the-account" not in refused(uses(ModelStore(URL))["read"])
    assert s3.requests == []
