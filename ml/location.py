"""Where a model store is: a folder, or a bucket by URL."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

_BUCKET = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[A-Za-z0-9_.=-]+)*)/?")


def location(place: Path | str) -> Path | str:
    """An absolute path, or `s3://bucket/prefix` without a slash at its end.

    Raises:
        ValueError: The text is a URL of another kind, or not a bucket's name and a plain prefix.
    """
    text = str(place)
    if "://" not in text and not (isinstance(place, str) and text.startswith("s3:")):
        return Path(place).absolute()
    bucket, prefix = bucket_and_prefix(text)
    return "/".join(filter(None, [f"s3://{bucket}", prefix]))


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """The two parts of `s3://bucket/prefix`; the prefix can be empty.

    Raises:
        ValueError: Not such a URL; one with a key, a port or a query is none either.
    """
    found = _BUCKET.fullmatch(url)
    if found is None or {".", ".."} & set(url.split("/")):
        raise ValueError(f"{url!r} is not s3://BUCKET/PREFIX; keys and endpoint come from AWS_ variables")
    return found["bucket"], found["prefix"].strip("/")


Location = Annotated[Path | str, BeforeValidator(location)]
"""A setting that names a folder (made absolute) or a bucket."""
