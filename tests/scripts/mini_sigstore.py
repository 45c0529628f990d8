"""A Sigstore of its own: a certificate authority, its log of certificates and the log of signatures, each one key.

What they sign is put together here from RFC 6962, the signed-note format and Rekor's entries, without sigstore's code.
"""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
GITHUB = "https://token.actions.githubusercontent.com"
WORKFLOW = "https://github.com/shop/purchase-prediction/.github/workflows/images.yaml@refs/heads/main"
_ISSUER, _SCTS = ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ORIGIN = "log.invalid - 1"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def signed(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def statement(*digests: str, predicate: str = SIGNATURE) -> bytes:
    """What cosign signs about an image, given as `sha256:…`."""
    subjects = [{"digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests]
    said = {"_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": predicate}
    return json.dumps({**said, "predicate": {}}).encode()


def envelope(key: ec.EllipticCurvePrivateKey, payload: bytes, kind: str = IN_TOTO) -> dict[str, Any]:
    """DSSE, without a name of the key, as cosign writes it."""
    pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind.encode(), len(payload), payload)
    return {"payload": b64(payload), "payloadType": kind, "signatures": [{"sig": b64(signed(key, pae))}]}


def bundle_by_key(key: ec.EllipticCurvePrivateKey, payload: bytes, kind: str = IN_TOTO) -> bytes:
    """As `cosign sign --key` writes it without a log."""
    material = {"publicKey": {"hint": b64(hashlib.sha256(der(key)).digest())}}
    told = {"mediaType": MEDIA_TYPE, "verificationMaterial": material}
    return json.dumps({**told, "dsseEnvelope": envelope(key, payload, kind)}).encode()


@dataclass(frozen=True)
class MiniSigstore:
    """Everything is signed at `at`; certificates hold for ten minutes."""

    at: datetime = datetime(2026, 11, 1, 9, tzinfo=UTC)
    authority: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    certificates: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=new_key)

    def trusted_root(self) -> bytes:
        """What a verifier is given."""
        since = (self.at - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")

        def instance(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {
                "rawBytes": b64(der(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": since},
            }
            return {
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": public,
                "logId": {"keyId": b64(hashlib.sha256(der(key)).digest())},
            }

        chain = {"certificates": [{"rawBytes": b64(self._root().public_bytes(Encoding.DER))}]}
        authority = {
            "subject": {"organization": "test", "commonName": "test"},
            "uri": "https://ca.invalid",
            "certChain": chain,
            "validFor": {"start": since},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [instance(self.log)],
                "certificateAuthorities": [authority],
                "ctlogs": [instance(self.certificates)],
                "timestampAuthorities": [],
            }
        ).encode()

    def bundle(self, payload: bytes, *, issuer: str = GITHUB, subject: str = WORKFLOW) -> bytes:
        """As `cosign sign` writes it in a workflow that is `subject` by the word of `issuer`."""
        key = new_key()
        leaf = self._leaf(key, issuer, subject)
        made = envelope(key, payload)
        material = {
            "certificate": {"rawBytes": b64(leaf.public_bytes(Encoding.DER))},
            "tlogEntries": [self._entry(made, payload, leaf.public_bytes(Encoding.PEM))],
        }
        told = {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": made}
        return json.dumps(told).encode()

    def _root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = _usage(signs_certificates=True)
        return (
            self._builder(name, self.authority.public_key(), timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key()), critical=False
            )
            .sign(self.authority, hashes.SHA256())
        )

    def _leaf(self, key: ec.EllipticCurvePrivateKey, issuer: str, subject: str) -> x509.Certificate:
        builder = (
            self._builder(x509.Name([]), key.public_key(), timedelta(0))
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject)]), critical=True
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()),
                critical=False,
            )
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
        )
        precertificate = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        listed = x509.UnrecognizedExtension(_SCTS, self._timestamps(precertificate))
        return builder.add_extension(listed, critical=False).sign(self.authority, hashes.SHA256())

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, before: timedelta
    ) -> x509.CertificateBuilder:
        authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority)
            .public_key(key)
            .serial_number(int(self.at.timestamp()))
            .not_valid_before(self.at - before - timedelta(minutes=1))
            .not_valid_after(self.at + before + timedelta(minutes=10))
        )

    def _timestamps(self, precertificate: bytes) -> bytes:
        """The list of one signed certificate timestamp (RFC 6962, 3.2 and 3.3), as an OCTET STRING."""
        milliseconds = int(self.at.timestamp() * 1000)
        issuer = hashlib.sha256(der(self.authority)).digest()
        entry = struct.pack(">BBQH", 0, 0, milliseconds, 1) + issuer
        entry += len(precertificate).to_bytes(3, "big") + precertificate + b"\0\0"
        signature = signed(self.certificates, entry)
        log = hashlib.sha256(der(self.certificates)).digest()
        one = b"\0" + log + struct.pack(">QH", milliseconds, 0)
        one += bytes([4, 3]) + len(signature).to_bytes(2, "big") + signature  # SHA-256, ECDSA
        several = len(one).to_bytes(2, "big") + one
        content = len(several).to_bytes(2, "big") + several
        length = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
        return b"\x04" + length + content

    def _entry(self, made: dict[str, Any], payload: bytes, certificate: bytes) -> dict[str, Any]:
        """The only entry of the log, with its proof, its checkpoint and the promise."""
        body = json.dumps(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(json.dumps(made).encode()),
                    "payloadHash": _hash(payload),
                    "signatures": [{"signature": made["signatures"][0]["sig"], "verifier": b64(certificate)}],
                },
            }
        ).encode()
        log = hashlib.sha256(der(self.log)).digest()
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"{_ORIGIN}\n1\n{b64(root)}\n"
        checkpoint = f"{note}\n\u2014 log.invalid {b64(log[:4] + signed(self.log, note.encode()))}\n"
        at = int(self.at.timestamp())
        promise = {"body": b64(body), "integratedTime": at, "logID": log.hex(), "logIndex": 0}
        canonical = json.dumps(promise, sort_keys=True, separators=(",", ":")).encode()
        proof = {"logIndex": "0", "rootHash": b64(root), "treeSize": "1", "hashes": []}
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(log)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {"signedEntryTimestamp": b64(signed(self.log, canonical))},
            "inclusionProof": {**proof, "checkpoint": {"envelope": checkpoint}},
            "canonicalizedBody": b64(body),
        }


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}
