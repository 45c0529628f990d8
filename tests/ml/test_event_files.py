"""Files are read whole, or refused with one sentence that names them."""

import gzip
import re
from pathlib import Path

import polars as pl
import pytest

from ml.errors import BadEvents
from ml.event_files import find_files, read_file

ROWS = pl.DataFrame({"sku": ["a", "b"], "price": ["1.5", "2"]})


def refusal(file: Path, content: bytes) -> BadEvents:
    file.write_bytes(content)
    with pytest.raises(BadEvents, match=re.escape(file.name)) as caught:
        read_file(file)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_folder_is_its_files_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.parquet", "a/_temporary.parquet", ".hidden.csv", "readme.txt", "d.csv.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(file.relative_to(tmp_path)) for file in find_files(tmp_path)] == [
        "a/c.parquet",
        "b.csv",
        "d.csv.gz",
    ]


def test_one_file_is_itself(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").touch()
    assert find_files(tmp_path / "shop.csv") == [tmp_path / "shop.csv"]


@pytest.mark.parametrize(
    ("name", "check", "message"),
    [
        ("", "empty-file", r"has no file ending in .parquet or .csv"),
        ("gone.csv", "unreadable-file", r"gone.csv' does not exist"),
        ("shop.xlsx", "unreadable-file", r"shop.xlsx' does not end in .parquet or .csv"),
    ],
)
def test_a_path_without_events_is_refused(tmp_path: Path, name: str, check: str, message: str) -> None:
    if name == "shop.xlsx":
        (tmp_path / name).touch()
    with pytest.raises(BadEvents, match=message) as caught:
        find_files(tmp_path / name)
    assert caught.value.check == check


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_is_read_as_text_whatever_its_separator(tmp_path: Path, separator: str) -> None:
    ROWS.write_csv(tmp_path / "shop.csv", separator=separator)
    assert read_file(tmp_path / "shop.csv").equals(ROWS)


def test_compressed_csv_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "shop.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfsku,price\na,1.5\nb,2\n"))
    assert read_file(tmp_path / "shop.csv.gz").equals(ROWS)


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    typed = ROWS.with_columns(pl.col("price").cast(pl.Float64))
    typed.write_parquet(tmp_path / "shop.parquet")
    assert read_file(tmp_path / "shop.parquet").equals(typed)


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    (tmp_path / "sku=z").mkdir()
    ROWS.write_parquet(tmp_path / "sku=z" / "shop.parquet")
    assert read_file(tmp_path / "sku=z" / "shop.parquet").equals(ROWS)


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, keep: float) -> None:
    pl.DataFrame({"n": range(10_000)}).write_parquet(tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    caught = refusal(tmp_path / "cut.parquet", whole[: int(len(whole) * keep)])
    assert caught.check == "unreadable-file"
    assert "may be truncated, damaged or not UTF-8: export it again" in str(caught)


@pytest.mark.parametrize(
    ("name", "content", "check"),
    [
        ("empty.csv", b"", "empty-file"),
        ("blank.csv", b"\n\n", "empty-file"),
        ("header.csv", b"sku,price\n", "empty-file"),
        ("empty.parquet", b"", "empty-file"),
        ("latin.csv", "sku,price\na,\xa32\n".encode("latin-1"), "unreadable-file"),
        ("ragged.csv", b"sku,price\na,1,2\n", "unreadable-file"),
        ("junk.parquet", b"PAR1 but not really PAR1", "unreadable-file"),
        ("cut.csv.gz", gzip.compress(b"sku,price\n" + b"a,1\n" * 999, mtime=0)[:40], "unreadable-file"),
    ],
)
def test_files_without_rows_and_damaged_files_are_refused(
    tmp_path: Path, name: str, content: bytes, check: str
) -> None:
    assert refusal(tmp_path / name, content).check == check


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    ROWS.clear().write_parquet(tmp_path / "shop.parquet")
    with pytest.raises(BadEvents, match=r"has columns \['sku', 'price'\] but no rows") as caught:
        read_file(tmp_path / "shop.parquet")
    assert caught.value.check == "empty-file"
