"""Rows of any file in the columns of an event, not yet judged: one schema for imports and the inbox."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from ml.columns import MOMENT, Schema
from ml.event_store import StoredEvent
from ml.event_times import to_utc
from ml.events import UNKNOWN_CATEGORY, EventType, canonical_product_id
from ml.mapping import PRICE, canonical_event_types, no_column_for
from ml.pseudonym import PERSONAL, pseudonym

EVENT_ID_KEY: Final = (
    "sha256 of the row as JSON (every source column as text, sorted by name), first 32 hex digits;"
    " with the pseudonym key (HMAC) if the file has customer or session ids"
)
OPTIONAL: Final = ("order_id", "customer_id", "session_id", "campaign", "segment")
_BATCH_ROWS: Final = 100_000

ROW_SCHEMA: Final[Schema] = {
    "file": pl.String(),
    "row": pl.UInt32(),
    "raw": pl.String(),
    "event_id": pl.String(),
    "event_type": pl.String(),
    "occurred_at": MOMENT,
    "occurred_at_given": pl.Boolean(),
    "product_id": pl.String(),
    "category": pl.String(),
    "unit_price_cents": pl.Float64(),
    "unit_price_cents_given": pl.Boolean(),
    "currency": pl.String(),
    "quantity": pl.Float64(),
    "quantity_given": pl.Boolean(),
    **dict.fromkeys(OPTIONAL, pl.String()),
}
"""One row per source row, in the order of the source.

`row` counts from 1 in its `file`, `raw` is the source row as JSON. A value that is null although it was
`_given` could not be read. Text is stripped, empty text is null, the quantity of a return is positive.
"""


@dataclass(frozen=True)
class Reading:
    """How to read a file: source column by field, the zone and the currency of rows that name none.

    With a `key`, ids that can name a person become pseudonyms, and what is kept of a row is its mapped columns.
    """

    columns: Mapping[str, str]
    timezone: str | None
    currency: str | None
    key: bytes | None = None


def rows_of_file(frame: pl.DataFrame, file: str, reading: Reading) -> pl.DataFrame:
    """The rows of one file in `ROW_SCHEMA`.

    Without a column of ids a row gets `EVENT_ID_KEY`; without a column of types a negative quantity is a
    return and everything else a purchase.

    Raises:
        BadEvents: The column of times cannot be read, or there is no quantity and not every row is a view.
    """
    fields = reading.columns
    ids = _ids(frame, reading)
    if reading.key is not None:
        frame = frame.with_columns(_pseudonyms(frame, fields, reading.key))
    text = {
        name: _text(frame[fields[name]]) for name in (*OPTIONAL, "category", "currency") if name in fields
    }
    quantity, given = _quantity(frame, fields)
    kind = _event_type(frame, fields, quantity)
    times = frame[fields["occurred_at"]]
    rows = pl.DataFrame(
        {
            "file": pl.repeat(file, frame.height, dtype=pl.String(), eager=True),
            "row": pl.int_range(1, frame.height + 1, dtype=pl.UInt32, eager=True),
            "raw": row_json(frame if reading.key is None else frame.select(set(fields.values()))),
            "event_id": ids,
            "event_type": kind,
            "occurred_at": to_utc(times, reading.timezone),
            "occurred_at_given": _given(times),
            "product_id": canonical_ids(_text(frame[fields["product_id"]])),
            "quantity": quantity,
            "quantity_given": given,
            **_cents(frame, fields),
            **text,
        }
    )
    return _complete(rows, reading.currency)


def rows_of_events(stored: Sequence[StoredEvent], source: str) -> pl.DataFrame:
    """Accepted events in `ROW_SCHEMA`; `row` is their place in the batch."""
    records = [
        item.event.model_dump()
        | {
            "file": source,
            "row": place,
            "raw": item.event.model_dump_json(),
            "event_type": item.event.event_type.value,
        }
        for place, item in enumerate(stored, start=1)
    ]
    given = {name: True for name in ROW_SCHEMA if name.endswith("_given")}
    return pl.DataFrame([record | given for record in records], schema=ROW_SCHEMA)


def row_json(frame: pl.DataFrame) -> pl.Series:
    """Each row as one JSON object: every column as text, sorted by name, null where missing."""
    text = (
        pl.struct(_as_text(frame, name) for name in sorted(frame.columns)).struct.json_encode().alias("raw")
    )
    parts = [part.select(text) for part in frame.iter_slices(_BATCH_ROWS)]
    return pl.concat(parts)["raw"]


def digests(text: pl.Series, key: bytes | None = None) -> pl.Series:
    """The first 32 hex digits of the sha256 of each text, of its HMAC where there is a key."""
    parts = [
        pl.Series(
            [_digest(value.encode(), key)[:32] for value in text.slice(start, _BATCH_ROWS).to_list()],
            dtype=pl.String,
        )
        for start in range(0, len(text), _BATCH_ROWS)
    ]
    return pl.concat(parts) if parts else pl.Series(dtype=pl.String)


def _digest(text: bytes, key: bytes | None) -> str:
    return hashlib.sha256(text).hexdigest() if key is None else hmac.digest(key, text, "sha256").hex()


def _ids(frame: pl.DataFrame, reading: Reading) -> pl.Series:
    """Ids of the file, else of what the rows hold; not to be guessed from where a row names a person."""
    if "event_id" in reading.columns:
        return _text(frame[reading.columns["event_id"]])
    named = any(name in reading.columns for name in PERSONAL)
    return digests(row_json(frame), reading.key if named else None)


def _pseudonyms(frame: pl.DataFrame, fields: Mapping[str, str], key: bytes) -> list[pl.Series]:
    """The source columns of ids that can name a person, in hiding; each distinct id is hashed once."""
    hidden = []
    for name in PERSONAL:
        if name in fields:
            ids = _text(frame[fields[name]])
            distinct = ids.drop_nulls().unique()
            made = pl.Series([pseudonym(text, key, name) for text in distinct.to_list()], dtype=pl.String)
            hidden.append(
                ids.replace_strict(distinct, made, default=None, return_dtype=pl.String).alias(fields[name])
            )
    return hidden


def _as_text(frame: pl.DataFrame, name: str) -> pl.Expr:
    kind = frame.schema[name]
    if kind == pl.Binary:
        return pl.col(name).bin.encode("hex")
    if kind.is_nested():
        return pl.struct(pl.col(name)).struct.json_encode().alias(name)
    return pl.col(name).cast(pl.String)


def _text(column: pl.Series) -> pl.Series:
    """Stripped text, null where empty; ids that a tool kept as decimals (13085.0) lose their zero."""
    if column.dtype.is_float():
        whole = column.fill_nan(None).cast(pl.Int64, strict=False)
        if (column.fill_nan(None).drop_nulls() == whole.drop_nulls()).all():
            column = whole
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def _given(column: pl.Series) -> pl.Series:
    """Where a row has something to read."""
    if column.dtype.is_float():
        return column.fill_nan(None).is_not_null()
    return (_text(column) if column.dtype == pl.String else column).is_not_null()


def canonical_ids(ids: pl.Series) -> pl.Series:
    """The same spelling as the collector gives, by its own function: once per distinct id."""
    distinct = ids.drop_nulls().unique()
    spelled = [canonical_product_id(value) or None for value in distinct.to_list()]
    return ids.replace_strict(
        distinct, pl.Series(spelled, dtype=pl.String), default=None, return_dtype=pl.String
    )


def _number(column: pl.Series) -> pl.Series:
    """Decimals; null where missing, not a number or unreadable. Text may have a decimal comma (2,55)."""
    if column.dtype in (pl.String, pl.Categorical):
        column = _text(column).str.replace(r"^(-?\d+),(\d{1,2})$", "$1.$2")
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def _cents(frame: pl.DataFrame, fields: Mapping[str, str]) -> dict[str, pl.Series]:
    source = frame[fields[PRICE if PRICE in fields else "unit_price_cents"]]
    price = _number(source)
    cents = (price * 100 if PRICE in fields else price).round(0)
    return {"unit_price_cents": cents, "unit_price_cents_given": _given(source)}


def _quantity(frame: pl.DataFrame, fields: Mapping[str, str]) -> tuple[pl.Series, pl.Series]:
    """Signed units as written, and where something was written."""
    if "quantity" not in fields:
        nothing = pl.repeat(None, frame.height, dtype=pl.Float64(), eager=True)
        return nothing, nothing.is_not_null()
    source = frame[fields["quantity"]]
    return _number(source), _given(source)


def _event_type(frame: pl.DataFrame, fields: Mapping[str, str], quantity: pl.Series) -> pl.Series:
    """Canonical types; an unknown name is kept as it is, to be refused by name."""
    if "event_type" in fields:
        written = _text(frame[fields["event_type"]])
        plain = written.str.to_lowercase().str.replace_all(r"[\W_]", "")
        kind = plain.replace_strict(canonical_event_types(), default=written, return_dtype=pl.String)
    else:
        back = (quantity < 0).fill_null(value=False)
        kind = pl.select(
            pl.when(back).then(pl.lit(EventType.return_.value)).otherwise(pl.lit(EventType.purchase.value))
        ).to_series()
    if "quantity" not in fields and not (kind == EventType.view.value).all():
        raise no_column_for(frame.columns, "quantity")
    return kind


def _complete(rows: pl.DataFrame, currency: str | None) -> pl.DataFrame:
    """All columns of `ROW_SCHEMA`, with the defaults for what a row leaves open."""
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in ROW_SCHEMA.items() if name not in rows.columns
    ]
    quantity, kind = pl.col("quantity"), pl.col("event_type")
    units = (
        pl.when(kind == EventType.return_.value)
        .then(quantity.abs())
        .when((kind == EventType.view.value) & ~pl.col("quantity_given"))
        .then(1.0)
        .otherwise(quantity)
    )
    return (
        rows.with_columns(missing)
        .with_columns(
            units.alias("quantity"),
            pl.col("category").fill_null(UNKNOWN_CATEGORY),
            pl.col("currency").str.to_uppercase().fill_null(pl.lit(currency, pl.String)),
        )
        .select(list(ROW_SCHEMA))
    )
