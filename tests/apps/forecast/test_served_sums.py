"""Files of what was served add up by model and snapshot, whatever else lies beside them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.forecast.main import create
from ml.__main__ import main
from ml.served import place_of_served, read_served
from tests.apps.client import answering
from tests.apps.forecast.store import DATA_VERSION, VERSION, Shop
from tests.s3 import BUCKET, S3, s3_server

MODEL, OTHER = "a" * 64, "b" * 64
DAY = 86_400 * 10**9
NOON = int(datetime(2026, 11, 3, 12, tzinfo=UTC).timestamp()) * 10**9


def head(model: str = MODEL, hour: int = 1, **changes: object) -> dict[str, Any]:
    return {
        "format": 1,
        "model_version": 3,
        "model_sha256": model,
        "data_version": DATA_VERSION,
        "since": f"2026-11-03T{hour:02}:00:00+00:00",
        "until": f"2026-11-03T{hour:02}:05:00+00:00",
        "live": 2,
        "a field of later": True,
        **changes,
    }


def count(product_id: str, asked: int, listed: int) -> dict[str, Any]:
    return {"product_id": product_id, "asked": asked, "listed": listed}


def lines(*values: object) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


FILES = {
    f"{MODEL}/{DATA_VERSION}/{NOON}-1.jsonl": lines(head(), count("A", 2, 1), {"live": {"mean": 4.0}}),
    f"{MODEL}/{DATA_VERSION}/{NOON + DAY}-2.jsonl": lines(head(hour=2), count("A", 1, 0), count("B", 0, 5)),
    f"{OTHER}/{DATA_VERSION}/{NOON}-3.jsonl": lines(head(OTHER, live=0), count("C", 1, 1)),
}
BROKEN = {
    f"{OTHER}/{DATA_VERSION}/{NOON}-4.jsonl": lines(head(OTHER), count("C", 7, 7))[:-9],
    f"{OTHER}/{DATA_VERSION}/{NOON}-5.jsonl": lines(head(OTHER, format=2), count("C", 7, 7)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in (FILES | {"README": b"no count", f"{MODEL}/notes.txt": b""}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        for name, data in FILES.items():
            server.replace(f"staging/{name}", data)
        yield server


def check_sums(place: Path | str) -> None:
    (one, other), unreadable = read_served(place_of_served(place))
    assert unreadable == []
    assert (one.model_sha256, one.asked, one.listed) == (MODEL, {"A": 3, "B": 0}, {"A": 1, "B": 5})
    assert (one.live, one.samples, one.files, one.products) == (4, [{"mean": 4.0}], 2, 2)
    assert (one.since, one.until) == ("2026-11-03T01:00:00+00:00", "2026-11-03T02:05:00+00:00")
    assert (other.model_sha256, other.asked, other.live) == (OTHER, {"C": 1}, 0)


def test_counts_add_up_by_model_and_snapshot(folder: Path) -> None:
    check_sums(folder)


def test_counts_in_s3_add_up_the_same(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    check_sums(f"s3://{BUCKET}/staging")


def test_only_files_of_the_asked_time_count(folder: Path) -> None:
    (one,), _ = read_served(place_of_served(folder), datetime(2026, 11, 4, tzinfo=UTC))
    assert (one.asked.total(), one.files) == (1, 1)


def test_a_file_that_cannot_be_read_is_named_and_counts_for_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in BROKEN.items():
        (folder / name).write_bytes(data)
    assert main(["served", "--store", str(folder)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["unreadable"] == sorted(BROKEN)
    assert [each["asked"] for each in told["served"]] == [3, 1]


def test_what_a_service_served_is_what_the_verb_says(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(create(shop.settings(served_store=tmp_path / "served", refresh_seconds=1e6))) as client:
        for product_id in ("P0001", "P0003", "P0001"):
            client.get(f"/forecast/{product_id}")
        client.get("/forecast", params={"limit": 5})
        client.post("/forecast", json={"product_id": "X", "first_month": "2025-12", "units": [3]})
    assert main(["served", "--store", str(tmp_path / "served"), "--products", "1"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["served"]
    assert told.pop("since") < told.pop("until")
    assert told == {
        "model_version": VERSION,
        "model_sha256": shop.model_sha256,
        "data_version": DATA_VERSION,
        "files": 1,
        "products": 5,
        "asked": 3,
        "listed": 5,
        "live": 1,
        "live_samples": 1,
        "most_asked": {"P0001": 2},
    }


def test_an_empty_place_has_served_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["served", "--store", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"served": [], "unreadable": []}
