"""What `ml` refuses, each with the offending value and the way out.

An expected refusal is an `MlError`: command lines end with exit code 1 and one sentence,
services map it to an HTTP status in `apps/chassis/errors.py`. Anything else is a defect.
"""

import re

_PASSWORD_OF_URL = re.compile(r"(://[^/@\s]*?:)[^/@\s]*@")


def without_passwords(text: str) -> str:
    """`text` with `…` for the password of every URL in it."""
    return _PASSWORD_OF_URL.sub(r"\1…@", text)


class MlError(Exception):
    """A refusal that the caller can act on; its text is one sentence for a person."""


class BadEvents(MlError):
    """Events that cannot be taken as they are.

    Args:
        check: Name of the failed check, for example `future-dates`; `--allow` takes this name where it can help.
        message: One sentence with the offending value and the way out.
    """

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


class BadPanel(MlError):
    """A panel file that cannot be taken as it is; `check` names what was looked at."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


class QualityGateFailed(MlError):
    """The panel is not fit for training."""


class NotEnoughHistory(MlError):
    """A panel or a product has fewer full months than the step needs."""


class StoreUnavailable(MlError):
    """The lake, the inbox or the model store cannot be written (read-only, full, gone)."""


class PictureNotDrawn(MlError):
    """The inputs could not be drawn; whatever was to be pictured stands without."""


class LakeMoved(StoreUnavailable):
    """Another writer committed first, so what was made for the version before was not written."""

    def __init__(self, table: str, onto: int | None, version: int | None) -> None:
        super().__init__(
            f"table {table!r} went from version {onto} to {version} by another writer; run the same command again"
        )


class VersionGone(StoreUnavailable):
    """An older version of a table whose files were removed, by `retain` or by an erasure."""

    def __init__(self, lake: str, table: str, version: int, files: int) -> None:
        super().__init__(
            f"version {version} of table {table!r} in lake {lake!r} cannot be read any more, {files} of its files were"
            " removed; `python -m ml lineage` says which data versions are whole"
        )
        self.table, self.version = table, version


class UnknownDataVersion(MlError):
    """The lake has no note of a data version."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the lake has no data version {name!r}; was it made in another lake?")
        self.name = name


class BadKeepFile(MlError):
    """A file of data versions to keep that cannot be read."""


class BadCustomer(MlError):
    """What was given is not the id of one customer."""


class BadQuestion(MlError):
    """Options that do not go together."""


class IdConflict(MlError):
    """An event id came again with other content."""

    def __init__(self, event_id: str) -> None:
        super().__init__(
            f"event id {event_id!r} was accepted before with other content; send a new id for a new event"
        )
        self.event_id = event_id


class BundleRefused(MlError):
    """Model bytes that do not match their sha256, or are not a bundle this code can read."""


class ModelNotFound(MlError):
    """No such model version, alias or bundle."""


class SnapshotNotFound(MlError):
    """No forecast snapshot for a model."""


class UnknownProduct(MlError):
    """The snapshot has no such product."""

    def __init__(self, product_id: str) -> None:
        super().__init__(
            f"product {product_id!r} has no forecast; /forecast lists the products that have one"
        )
        self.product_id = product_id


class ImpossibleEconomics(MlError):
    """Prices and costs under which no stock decision makes sense, for example a salvage value above the cost."""


class NoDemand(MlError):
    """Every actual value is zero, so a ratio to demand has no meaning."""


class PartsMissing(MlError):
    """A step that puts parts together was run before all parts were made."""
