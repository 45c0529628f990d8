"""Mails and webhooks as real servers get them, and what is said when they do not."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from apps.oncall.rota_file import read_rota
from apps.oncall.senders import Mail, Message, NotSent, senders, slack_body
from tests.apps.oncall.told import PASSWORD, USER, Hook, Mailbox
from tests.apps.oncall.world import settings, written

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
HOSTILE = "[page] down\r\nBcc: all@shop.example <!channel> & Ayşe"


def message(target: str = "ayse", subject: str = "[page] #1 ServiceDown") -> Message:
    return Message(1, "7.mail.ayse.1", 1, target, subject, "No pod answers\n", AT)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """Of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "mail.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return file, context


def test_a_mail_goes_by_starttls_with_a_login(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    file, context = certificate
    box = Mailbox(context)
    given: dict[str, Any] = {
        "smtp_host": "localhost",
        "smtp_port": box.port,
        "smtp_security": "starttls",
        "smtp_ca_file": file,
        "smtp_user": USER,
        "smtp_password": SecretStr(PASSWORD),
    }
    rota = read_rota(written(tmp_path))
    try:
        Mail(settings(tmp_path, **given))(message(), rota)
        (mail,) = box.mails
        assert (mail.to, mail.subject) == ("ayse@shop.example", "[page] #1 ServiceDown")
        assert mail.message_id == "<7.mail.ayse.1@shop.example>"
        assert mail.text.strip() == "No pod answers"
        wrong: dict[str, dict[str, Any]] = {
            "SMTPAuthenticationError": {"smtp_password": SecretStr("wrong")},
            "SSLCertVerificationError": {"smtp_ca_file": None},
            "Refused|Error|Response": {"smtp_security": "plain", "smtp_user": None},
        }
        for reason, change in wrong.items():
            with pytest.raises(NotSent, match=reason):
                Mail(settings(tmp_path, **given | change))(message(), rota)
        assert len(box.mails) == 1
    finally:
        box.stop()


@pytest.fixture
def box() -> Iterator[Mailbox]:
    box = Mailbox()
    yield box
    box.stop()


def test_a_server_that_refuses_or_is_away_has_not_taken_it(tmp_path: Path, box: Mailbox) -> None:
    mail = Mail(settings(tmp_path, smtp_port=box.port))
    rota = read_rota(written(tmp_path))
    box.refusing = True
    with pytest.raises(NotSent, match="451"):
        mail(message(), rota)
    with pytest.raises(NotSent, match="'ece' is no person of the rota"):
        mail(message("ece"), rota)
    box.stop()
    with pytest.raises(NotSent, match="Refused"):
        mail(message(), rota)


def test_a_subject_cannot_add_a_header(tmp_path: Path, box: Mailbox) -> None:
    """The outbox has one line only; should another text come here, the mail is refused rather than sent."""
    mail = Mail(settings(tmp_path, smtp_port=box.port))
    with pytest.raises((NotSent, ValueError)):
        mail(message(subject=HOSTILE), read_rota(written(tmp_path)))
    assert box.mails == []


def test_channels_get_json_and_their_address_is_in_no_error(tmp_path: Path) -> None:
    hook = Hook()
    rota = read_rota(written(tmp_path))
    by = senders(settings(tmp_path))
    try:
        for kind in ("slack", "webhook"):
            with pytest.raises(NotSent, match="FileNotFoundError"):
                by[kind](message(kind), rota)
            (tmp_path / f"{kind}.url").write_text(hook.url + "\n")
            by[kind](message(kind), rota)
        (slack, _), (plain, key) = hook.posts
        assert slack["text"].startswith("[page] #1 ServiceDown\nNo pod")
        assert (plain["incident"], plain["created_at"], key) == (1, AT.isoformat(), "7.mail.ayse.1")
        hook.status = 500
        with pytest.raises(NotSent) as refused:
            by["slack"](message("slack"), rota)
        assert str(refused.value) == "the answer was 500"
    finally:
        hook.stop()
    with pytest.raises(NotSent) as refused:
        by["slack"](message("slack"), rota)
    assert "secret-path" not in str(refused.value)
    with pytest.raises(NotSent, match="'pager' is no channel"):
        by["slack"](message("pager"), rota)


def test_a_label_calls_nobody_in_slack() -> None:
    assert "<!channel>" not in str(slack_body(message(subject=HOSTILE)))
    assert "&lt;!channel&gt; &amp;" in str(slack_body(message(subject=HOSTILE)))
