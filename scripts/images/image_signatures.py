"""Whether somebody whose word counts signed an image: the sigstore bundles beside it, as cosign 3 writes them.

A bundle (https://docs.sigstore.dev/about/bundle/) holds an in-toto statement about the image's digest in a DSSE
envelope, and what shows who signed: a certificate with its entry in a public log, or the name of a key.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from ml import signatures
from ml.errors import BundleRefused
from scripts.errors import Broken, Refused
from scripts.images.image_registry import Images
from scripts.images.signers import PATH, Cosign, Signers

PREDICATE: Final = "https://sigstore.dev/cosign/sign/v1"

Keyless = Callable[[bytes, Cosign], tuple[str, bytes]]
"""Payload type and payload of a bundle that one of the identities signed; `BundleRefused` for any other."""


def refuse_unsigned(
    images: Images,
    names: Mapping[str, str],
    digests: Mapping[str, str],
    signers: Signers,
    keyless: Keyless | None = None,
) -> None:
    """Nothing, if every image of a release has a signature that counts.

    Args:
        images: Where the signatures are.
        names: Image by service, with its registry and tag.
        digests: `sha256:…` by service, of what the tag names.
        signers: Whose signature counts.
        keyless: Who judges certificates; by default sigstore's public good instance.

    Raises:
        Refused: An image has no signature, or none that counts; or the cluster's rule does not speak of it.
        Broken: The registry, or the source of sigstore's roots, cannot be asked.
    """
    judge = keyless or _public_good
    for service, digest in sorted(digests.items()):
        image, named = names[service].rpartition(":")[0], f"image {names[service]} ({digest[:19]}…)"
        if not signers.cover(names[service]):
            message = f"{named} is none that the cluster asks a signature of; add it to {PATH}"
            raise Refused("uncovered_image", message)
        found = images.bundles(image, digest, PREDICATE)
        if not found:
            raise Refused("unsigned_image", f"{named} has no signature in its registry; build it again")
        faults = [_fault(bundle, digest, signers, judge) for bundle in found]
        if all(faults):
            raise Refused("foreign_signature", f"{named} has no signature that counts: {faults[0]}")


def _fault(bundle: bytes, digest: str, signers: Signers, keyless: Keyless) -> str | None:
    """Why a bundle does not show that one of the signers signed this digest; None when it does."""
    faults = []
    for attestor in signers.attestors:
        cosign = attestor.cosign
        try:
            kind, payload = keyless(bundle, cosign) if cosign.keyless else _by_key(bundle, cosign)
            _check_statement(kind, payload, digest)
        except BundleRefused as error:
            faults.append(f"{attestor.name}: {error}")
        else:
            return None
    return "; ".join(faults)


def _by_key(bundle: bytes, cosign: Cosign) -> tuple[str, bytes]:
    assert cosign.key is not None  # noqa: S101 - the other kind is keyless
    try:
        (key,) = signatures.public_keys(cosign.key.data.encode())
    except ValueError as error:
        raise Refused("bad_signers", f"the rule does not hold one public key in PEM ({error})") from None
    try:
        envelope = json.loads(bundle)["dsseEnvelope"]
        # cosign names no key, and a name proves nothing.
        named = [{"sig": each["sig"], "keyid": key.keyid} for each in envelope["signatures"][:1]]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleRefused(f"the bundle holds no envelope ({error!r})") from None
    return signatures.opened({**envelope, "signatures": named}, [key])


def _public_good(bundle: bytes, cosign: Cosign) -> tuple[str, bytes]:
    return by_certificate(_verifier(), bundle, cosign)


@cache
def _verifier() -> Any:
    # Seconds and a download: for who meets a certificate only.
    from sigstore.errors import Error  # noqa: PLC0415
    from sigstore.verify import Verifier  # noqa: PLC0415

    try:
        return Verifier.production()
    except (Error, OSError) as error:
        raise Broken(f"sigstore's roots cannot be had: {error}") from error


def by_certificate(verifier: Any, bundle: bytes, cosign: Cosign) -> tuple[str, bytes]:
    """Payload type and payload of a bundle whose certificate, log entry and identity a verifier of sigstore accepts.

    Raises:
        BundleRefused: It does not.
    """
    from sigstore.errors import Error  # noqa: PLC0415
    from sigstore.models import Bundle, InvalidBundle  # noqa: PLC0415
    from sigstore.verify.policy import AnyOf, Identity, VerificationPolicy  # noqa: PLC0415

    wanted: list[VerificationPolicy] = [
        Identity(identity=each.subject, issuer=each.issuer) for each in cosign.identities
    ]
    try:
        kind, payload = verifier.verify_dsse(Bundle.from_json(bundle), AnyOf(wanted))
    except (Error, InvalidBundle, ValueError, KeyError) as error:
        raise BundleRefused(str(error) or type(error).__name__) from None
    return str(kind), bytes(payload)


def _check_statement(kind: str, payload: bytes, digest: str) -> None:
    """That what was signed is a signature of this image and not, say, a list of its parts or another image."""
    try:
        said = json.loads(payload)
        predicate, subjects = said["predicateType"], [each["digest"]["sha256"] for each in said["subject"]]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleRefused(f"what was signed is no statement ({error!r})") from None
    if (kind, predicate) != (signatures.PAYLOAD_TYPE, PREDICATE):
        raise BundleRefused(f"what was signed is {predicate!r} in {kind!r}, no signature of an image")
    if digest.removeprefix("sha256:") not in subjects:
        raise BundleRefused(f"it is of {', '.join(map(str, subjects))}")
