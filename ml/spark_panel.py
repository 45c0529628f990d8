"""The panel on Spark, for events that no single machine takes: `python -m ml.spark_panel --out FOLDER`.

Spark reads the events, counts views and carts where they lie, and shuffles the rest by product; every bucket of
products is then summed up by what `python -m ml panel` uses too (`ml.panel_parts.write_part`). The driver writes
`result.json` last. Without it, or with other counts in it than there are rows, `python -m ml panel --take FOLDER`
refuses the panel, whatever became of the job.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from ml.argument import positive
from ml.columns import EVENT_SCHEMA
from ml.errors import NotEnoughHistory
from ml.lake import Lake
from ml.months import last_complete_month, shop_month
from ml.panel_frame import CONDENSED_SCHEMA, NEEDED, condensed
from ml.panel_parts import buckets_for, whole, write_part
from ml.settings import MlSettings
from ml.spark_result import Bucket, SparkResult

_SPARK_TYPES: Final[dict[object, str]] = {pl.String(): "string", pl.Int64(): "bigint", pl.Date(): "date"}
_CONDENSED: Final = ", ".join(
    f"{name} {_SPARK_TYPES.get(kind, 'timestamp')}" for name, kind in CONDENSED_SCHEMA.items()
)
_BUCKET: Final = "bucket int, rows bigint, aside bigint"


def main(arguments: list[str] | None = None) -> int:
    """Make the panel and say what was made."""
    parser = argparse.ArgumentParser(prog="python -m ml.spark_panel", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that every executor sees; made anew")
    parser.add_argument(
        "--buckets", type=positive, help="parts that are summed up alone [by the number of events]"
    )
    options = parser.parse_args(arguments)
    spark = SparkSession.builder.appName("panel").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    try:
        result = make(spark, MlSettings(), options.out, options.buckets, datetime.now(UTC))
    finally:
        spark.stop()
    sys.stdout.write(result.to_json() + "\n")
    return 0


def make(
    spark: SparkSession, settings: MlSettings, out: Path, buckets: int | None, now: datetime
) -> SparkResult:
    """Sum up the lake's events into one folder a bucket, then write the result.

    Raises:
        NotEnoughHistory: There are no events.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    files = Lake(settings.lake).files("events")
    if not files:
        raise NotEnoughHistory("the lake has no events; run `python -m ml ingest` first")
    buckets = buckets or buckets_for(spark.read.parquet(*map(str, files)).count())
    rows = _condensed(spark, files, settings)
    microseconds: int = rows.agg(f.unix_micros(f.max("occurred_at"))).collect()[0][0]
    newest = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    month = last_complete_month(newest, settings, now)

    def summed(of_bucket: pa.Table) -> pa.Table:  # Spark reads the types
        return _sum_up(of_bucket, out, month, settings)

    made = (
        rows.withColumn("bucket", f.pmod(f.xxhash64("product_id"), f.lit(buckets)).cast("int"))
        .groupBy("bucket")
        .applyInArrow(summed, _BUCKET)
        .collect()
    )
    result = SparkResult(
        events=SparkResult.digest(files),
        last_month=month,
        buckets=tuple(sorted((Bucket(**row.asDict()) for row in made), key=lambda each: each.bucket)),
    )
    result.write(out)
    return result


def _condensed(spark: SparkSession, files: list[Path], settings: MlSettings) -> DataFrame:
    """All events in `CONDENSED_SCHEMA`, views and carts counted batch by batch."""
    stored = ", ".join(f"{name} {_SPARK_TYPES.get(EVENT_SCHEMA[name], 'timestamp')}" for name in NEEDED)
    events = spark.read.schema(stored).parquet(*map(str, files))
    if settings.repeated_events:
        events = events.dropDuplicates(["event_id"])
    return events.mapInArrow(partial(_condense, zone=settings.shop_zone), _CONDENSED)


def _condense(batches: Iterator[pa.RecordBatch], zone: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        events = _frame(batch).lazy()
        rows = condensed(
            events.with_columns(shop_month(pl.col("occurred_at"), zone).alias("month"))
        ).collect()
        yield from rows.to_arrow(compat_level=pl.CompatLevel.oldest()).to_batches()


def _sum_up(rows: pa.Table, out: Path, month: date, settings: MlSettings) -> pa.Table:
    """One bucket, into a folder that has its name only when it is whole: a task may be run twice."""
    bucket = rows["bucket"][0].as_py()
    frame = _frame(rows).select(pl.col(name).cast(kind) for name, kind in CONDENSED_SCHEMA.items())
    with whole(out / str(bucket)) as folder:
        counts = write_part(frame.lazy(), folder, month, settings.shop_zone, settings.trusted_events)
    return pa.table({"bucket": pa.array([bucket], pa.int32()), "rows": [counts[0]], "aside": [counts[1]]})


def _frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    frame = pl.DataFrame(table)
    moment = pl.col("occurred_at").dt.replace_time_zone("UTC")
    return frame.with_columns(
        moment if frame["occurred_at"].dtype == pl.Datetime("us") else pl.col("occurred_at")
    )


if __name__ == "__main__":
    sys.exit(main())
