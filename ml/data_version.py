"""The name of the data a model learned from: the same numbers give the same name, wherever they are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.errors import NotEnoughHistory
from ml.history import Floats, History


@dataclass(frozen=True)
class DataVersion:
    """`name` is the last month and 12 hex digits of `digest` (a sha256), as in `2026-10.3fa9c1d20b7e`."""

    name: str
    digest: str
    last_month: str


def data_version_of(history: History) -> DataVersion:
    """The version of a history, whole or cut: a function of its numbers, categories, months and plan.

    The order of the products, products without a sale so far and months before the first sale do not matter.

    Raises:
        NotEnoughHistory: No product has a sale.
    """
    known = ~np.isnan(history.units)
    if not known.any():
        raise NotEnoughHistory("a history without a sale has no data version; import events first")
    seen = np.flatnonzero(known.any(axis=1))
    rows = np.array(sorted(seen, key=lambda row: history.product_ids[row]), dtype=np.intp)
    first = int(np.argmax(known.any(axis=0)))
    digest = hashlib.sha256()
    for part in _parts(history, rows, first):
        digest.update(len(part).to_bytes(8, "little") + part)
    last_month = str(history.months[-1])
    return DataVersion(f"{last_month}.{digest.hexdigest()[:12]}", digest.hexdigest(), last_month)


def _parts(history: History, rows: NDArray[np.intp], first: int) -> Iterator[bytes]:
    """What is digested, in order: months, names of products and categories, then the numbers."""
    yield " ".join(str(month) for month in history.months[first:]).encode()
    for row in rows:
        yield history.product_ids[row].encode()
        yield history.categories[row].encode()
    arrays = {"price_cents": history.price_cents, "units": history.units, **history.extra}
    for name in sorted(arrays):
        values = arrays[name][rows, first:]
        yield name.encode()
        yield _bytes(values)
    for name in sorted(history.plan):
        yield f"plan/{name}".encode()
        yield _bytes(history.plan[name][rows, first:])


def _bytes(values: Floats) -> bytes:
    return np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
