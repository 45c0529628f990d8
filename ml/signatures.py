"""Who made what lies in the model store: an attestation beside each file, signed by whoever wrote it.

An attestation is an in-toto statement (https://in-toto.io/Statement/v1) of the file's name and sha256 in a DSSE
envelope (https://github.com/secure-systems-lab/dsse). Keys are PEM: a private one (PKCS #8: Ed25519, ECDSA or RSA)
for who writes, any number of public ones, one after the other in a file, for who reads. Both are read at each use, so
they can change.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml.errors import BundleRefused, StoreUnavailable

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:purchase-prediction:model-store:1"
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


def attestation(name: str, sha256: str, key_file: Path) -> bytes:
    """An envelope that says: the file of this name has this digest.

    Args:
        name: In the model store, `bundles/…` or `snapshots/…`.
        sha256: Of the file's bytes, 64 hex digits.
        key_file: Private key in PEM.

    Raises:
        StoreUnavailable: The key cannot be read.
    """
    # Half a second, for who signs or checks only.
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
    from securesystemslib.dsse import Envelope  # noqa: PLC0415
    from securesystemslib.signer import CryptoSigner  # noqa: PLC0415

    try:
        signer = CryptoSigner(load_pem_private_key(key_file.read_bytes(), None))
    except (OSError, ValueError, TypeError) as error:
        raise StoreUnavailable(
            f"{key_file} is no private key in PEM without a password ({error}); nothing was written"
        ) from error
    envelope = Envelope(json.dumps(_statement(name, sha256)).encode(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict()).encode()


def check(name: str, sha256: str, envelope: bytes | None, signers_file: Path) -> None:
    """Nothing, if a key of the file signed that `name` has this digest.

    Args:
        name: As in `attestation`.
        sha256: Of the bytes that were read.
        envelope: What lies beside the file, None if nothing does.
        signers_file: Public keys in PEM.

    Raises:
        BundleRefused: Nobody signed, somebody else did, or something else was signed.
        StoreUnavailable: The keys cannot be read.
    """
    keys = _signers(signers_file)
    if envelope is None:
        raise BundleRefused(
            f"{name} has no signature, and {signers_file} asks for one; `python -m ml sign` gives it"
        )
    try:
        kind, payload = opened(json.loads(envelope), keys)
        said = json.loads(payload)
    except (BundleRefused, ValueError) as error:
        raise BundleRefused(f"{name} is not signed by a key of {signers_file}: {error}") from error
    if kind != PAYLOAD_TYPE or said != _statement(name, sha256):
        raise BundleRefused(f"the signature beside {name} is for something else")


def opened(envelope: dict[str, Any], keys: Sequence["SSlibKey"]) -> tuple[str, bytes]:
    """Payload type and payload of a DSSE envelope that one of the keys signed.

    Raises:
        BundleRefused: None of them did, or it is no envelope.
    """
    from securesystemslib.dsse import Envelope  # noqa: PLC0415
    from securesystemslib.exceptions import Error  # noqa: PLC0415

    try:
        read = Envelope.from_dict(envelope)
        read.verify(list(keys), threshold=1)
    except (Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleRefused(str(error) or "damaged") from error
    return str(read.payload_type), bytes(read.payload)


def public_keys(pem: bytes) -> list["SSlibKey"]:
    """The public keys in PEM, one after the other; `ValueError` for one that is damaged or of another kind."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415
    from securesystemslib.signer import SSlibKey  # noqa: PLC0415

    return [SSlibKey.from_crypto(load_pem_public_key(each)) for each in _PEM.findall(pem)]


def _statement(name: str, sha256: str) -> dict[str, Any]:
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha256}}],
        "predicateType": PREDICATE,
        "predicate": {},
    }


def _signers(path: Path) -> Sequence["SSlibKey"]:
    try:
        found = public_keys(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreUnavailable(f"{path} does not hold public keys in PEM ({error})") from error
    if not found:
        raise StoreUnavailable(f"{path} holds no public key; write one in PEM into it")
    return found
