"""A model and a snapshot that were checked and belong together."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

from ml.bundle import Bundle
from ml.errors import BundleRefused
from ml.product_history import ProductHistory
from ml.snapshot import Live, Snapshot

STALE: Final = b',"stale":true}'
PROBE: Final = "PROBE"


@dataclass(frozen=True, eq=False)
class Loaded:
    """What is served: nothing in it changes, so a request sees one model and one snapshot from begin to end.

    Attributes:
        product_ids: Sorted; of one category by its name, of all under None.
        headers: Added to every answer made from this, so that a caller knows what it was made from.
        raw_headers: The same with the media type, as ASGI takes them.
        stale_at: POSIX seconds from which on the snapshot is too old to be passed on without a word.
    """

    bundle: Bundle
    snapshot: Snapshot
    live: Live
    product_ids: Mapping[str | None, Sequence[str]]
    headers: Mapping[str, str]
    raw_headers: Sequence[tuple[bytes, bytes]]
    loaded_at: datetime
    stale_at: float

    @classmethod
    def of(cls, bundle: Bundle, data: bytes, model_version: int, stale_after_seconds: float) -> Self:
        """The bundle with the snapshot in these bytes, after a live forecast with both.

        Raises:
            BundleRefused: The snapshot is damaged, of another model or version, or the two do not work together.
        """
        snapshot = Snapshot.from_bytes(data, bundle.sha256)
        if snapshot.model_version != model_version:
            raise BundleRefused(
                f"the snapshot is of version {snapshot.model_version}, the release names {model_version};"
                " run `python -m ml forecast` for that version"
            )
        try:
            live, product_ids = snapshot.live(bundle), _by_category(snapshot)
            live.answer(ProductHistory(product_id=PROBE, first_month=live.last_month, units=[1.0]))
        except BundleRefused:
            raise
        except Exception as error:  # whatever trips it up would trip up every caller
            raise BundleRefused(f"model and snapshot do not work together: {error!r}") from error
        headers = {"X-Model-Version": str(model_version), "X-Data-Version": snapshot.data_version}
        named = {**headers, "Content-Type": "application/json"}
        return cls(
            bundle=bundle,
            snapshot=snapshot,
            live=live,
            product_ids=product_ids,
            headers=headers,
            raw_headers=[
                (name.lower().encode("ascii"), value.encode("ascii")) for name, value in named.items()
            ],
            loaded_at=datetime.now(UTC),
            stale_at=snapshot.created_at.timestamp() + stale_after_seconds,
        )

    @property
    def stale(self) -> bool:
        """Whether the snapshot is older than the settings allow without saying so."""
        return time.time() >= self.stale_at

    def told(self, answer: bytes) -> bytes:
        """A forecast as it leaves here: the snapshot's own bytes, with `stale` at their end once it is."""
        return answer[:-1] + STALE if self.stale else answer


def _by_category(snapshot: Snapshot) -> dict[str | None, list[str]]:
    ids: dict[str | None, list[str]] = defaultdict(list)
    for product_id, answer in snapshot.answers.items():
        # Only the first two fields are parsed: an answer may hold a hundred probabilities.
        head = answer[: answer.index(b',"month":')] + b"}"
        ids[json.loads(head)["category"]].append(product_id)
    ids[None] = snapshot.product_ids
    return dict(ids)
