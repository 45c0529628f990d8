"""A shop's files as frames: one Parquet or CSV file, or a folder of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import NoDataError, PanicException, PolarsError

from ml.errors import BadEvents

SUFFIXES: Final = (".parquet", ".csv", ".csv.gz")
_SEPARATORS: Final = (",", ";", "\t", "|")


def find_files(path: Path) -> Sequence[Path]:
    """The file itself, or all Parquet and CSV files below a folder in the order of their names.

    Raises:
        BadEvents: `unreadable-file`: nothing there, or no suffix of `SUFFIXES`; `empty-file`: a folder
            without such files.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and _wanted(file))
        if not found:
            raise BadEvents(
                "empty-file", f"folder {str(path)!r} has no file ending in {' or '.join(SUFFIXES)}"
            )
        return found
    if not path.exists():
        raise BadEvents("unreadable-file", f"{str(path)!r} does not exist; check the path")
    if not _wanted(path):
        raise BadEvents(
            "unreadable-file", f"{str(path)!r} does not end in {' or '.join(SUFFIXES)}; rename or convert it"
        )
    return [path]


def read_file(file: Path) -> pl.DataFrame:
    """All rows and columns of a file; those of CSV as text, whose separator is told by the header line.

    Raises:
        BadEvents: `empty-file`: no rows; `unreadable-file`: truncated, damaged, not UTF-8 or not readable.
    """
    try:
        if file.stat().st_size == 0:
            raise BadEvents("empty-file", f"{str(file)!r} is empty (0 bytes); export it again")
        frame = (
            pl.read_parquet(file, hive_partitioning=False) if file.suffix == ".parquet" else _read_csv(file)
        )
    except NoDataError as error:
        raise BadEvents("empty-file", f"{str(file)!r} holds nothing; export it again") from error
    except (PolarsError, PanicException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise BadEvents(
            "unreadable-file",
            f"{str(file)!r} cannot be read ({reason}); it may be truncated, damaged or not UTF-8:"
            " export it again",
        ) from error
    if frame.height == 0:
        raise BadEvents(
            "empty-file", f"{str(file)!r} has columns {frame.columns} but no rows; export it again"
        )
    return frame


def _wanted(file: Path) -> bool:
    return file.name.endswith(SUFFIXES) and not file.name.startswith((".", "_"))


def _read_csv(file: Path) -> pl.DataFrame:
    return pl.read_csv(file, infer_schema=False, separator=_separator(file))


def _separator(file: Path) -> str:
    """The separator that the header line has most of."""
    header = pl.read_csv(file, infer_schema=False, separator="\x1f", n_rows=0, quote_char=None).columns[0]
    return max(_SEPARATORS, key=header.count)
