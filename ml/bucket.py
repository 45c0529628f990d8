"""Named objects in an S3 bucket; the only module that imports `obstore`.

Keys, roles and regions are found the usual way: `AWS_ACCESS_KEY_ID` and its secret, the web identity of a
service account (IRSA), EKS Pod Identity, the instance's role. `AWS_ENDPOINT_URL` names another S3 than
Amazon's, which may then speak plain http.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from ml.errors import StoreUnavailable
from ml.location import bucket_and_prefix

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_RETRY: Final["RetryConfig"] = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=9),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
}
_CONNECT: Final = timedelta(seconds=2)
_SILENCE: Final = timedelta(seconds=3)
_WHOLE: Final = timedelta(seconds=120)

_NO_BUCKET: Final = "NoSuchBucket"
_SAID: Final = re.compile(r" - ([^\n<]{1,200}?)(?:: <|\n|$)")


class Bucket:
    """Objects under a prefix, by names such as `bundles/x.tar`; S3 shows an object whole or not at all.

    A missing object is a `FileNotFoundError`.

    Raises:
        StoreUnavailable: From every method, when the store refuses, does not answer in three tries, or is
            silent for three seconds each time.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # An upload is silent for as long as it lasts, so only reading gives up on silence.
        self._reader = _store(url, {"read_timeout": _SILENCE})
        self._writer = _store(url, {})

    def __str__(self) -> str:
        return self.url

    def read(self, name: str, size_bytes: int = -1) -> bytes:
        """The whole object, or at most its first `size_bytes`."""
        with self._errors("read", name):
            found = self._reader.get(name)
            if size_bytes < 0:
                return bytes(found.bytes())
            return bytes(next(iter(found.stream(min_chunk_size=size_bytes)), b""))[:size_bytes]

    def names(self, folder: str) -> list[str]:
        """Names of the objects directly in a folder, without it; none when there is no such folder."""
        with self._errors("list", folder):
            listed = self._reader.list_with_delimiter(folder)["objects"]
        return [entry["path"].rpartition("/")[2] for entry in listed]

    def folders(self, folder: str) -> list[str]:
        """Names of the folders directly in a folder, without it; "" is the prefix itself."""
        with self._errors("list", folder):
            listed = self._reader.list_with_delimiter(folder or None)["common_prefixes"]
        return [prefix.rstrip("/").rpartition("/")[2] for prefix in listed]

    def write(self, name: str, data: bytes) -> None:
        """Keep the bytes under this name; S3 checks their sha256 and has them on disk when this returns."""
        with self._errors("write", name):
            self._writer.put(name, data, use_multipart=False)

    @contextmanager
    def _errors(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and _NO_BUCKET not in str(error):
                raise
            raise StoreUnavailable(f"cannot {verb} {self.url}/{name}: {_reason(error)}") from error


def _store(url: str, options: "ClientConfig") -> S3Store:
    bucket, prefix = bucket_and_prefix(url)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
    return S3Store(
        bucket,
        prefix=prefix or None,
        config={"checksum_algorithm": "SHA256"},
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": _CONNECT,
            "timeout": _WHOLE,
            **options,
        },
        retry_config=_RETRY,
    )


def _reason(error: Exception) -> str:
    """One sentence with the way out, without the address and the page that the library repeats."""
    text = str(error)
    if _NO_BUCKET in text:
        return "there is no such bucket; make it or name another"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or " 403 " in text:
        return "S3 refused; check the account's rights (to who may not list, S3 says this of what is missing too)"
    said = _SAID.search(text)
    return f"{text[:120] if said is None else said[1]}; check AWS_ENDPOINT_URL, the network and the keys"
