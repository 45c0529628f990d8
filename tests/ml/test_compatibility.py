"""A release can go back: each runs on what the one before and the one after it wrote."""

import hashlib
import io
import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType
from pydantic import SecretStr

from apps.forecast.main import create
from ml.bundle import CARD, SBOM, unpack
from ml.columns import SCHEMAS
from ml.errors import BundleRefused, StoreUnavailable
from ml.event_store import Inbox
from ml.events import Event
from ml.group_forecasts import group_forecasts
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.migrations.inbox import InboxMigrations, inbox_url
from ml.model_store import HEAD_BYTES, ModelStore
from ml.product_history import ProductHistory
from ml.settings import MlSettings
from ml.snapshot import Snapshot
from tests.apps.client import answering
from tests.apps.forecast.store import DATA_VERSION, VERSION, Shop, stored_shop
from tests.ml.previous import previous
from tests.ml.test_events import event

SETTINGS = MlSettings(pseudonym_key=SecretStr("k" * 32))
CONTRACTED: set[str] = set()
"""`table.column` of the lake that the last release has and does not use any more."""

ONE = event(event_id="one", customer_id="c-1")
TWO = event(event_id="two", order_id="o-2", campaign="spring")

INBOX = """
from pathlib import Path
from ml.event_store import Inbox
from ml.events import Event
inbox = Inbox(Path(arguments["path"]))
receipts = inbox.append([Event.model_validate_json(arguments["event"])], "old")
say({"statuses": [r.status for r in receipts], "identity": inbox.identity,
     "events": [s.event.model_dump_json() for s in inbox.after(0, 99)]})
inbox.close()
"""
DRAIN = """
from pathlib import Path
from ml.event_store import Inbox
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.product_history import ProductHistory
from ml.settings import MlSettings
from ml.errors import StoreUnavailable
lake = Lake(Path(arguments["lake"]))
inbox = Inbox(Path(arguments["inbox"]))
try:
    report = drain_inbox(inbox, lake, MlSettings()).to_json()
    rows = lake.read("events").sort("event_id").select("event_id", "campaign").collect().to_dicts()
    say({"report": report, "rows": rows})
except Exception as error:
    say({"failed": f"{type(error).__name__}: {error}"})
"""
SCHEMA = """
from ml.columns import SCHEMAS
say({table: {name: str(kind) for name, kind in schema.items()} for table, schema in SCHEMAS.items()})
"""
SERVE = """
from pathlib import Path
from ml.bundle import unpack
from ml.errors import BundleRefused
from ml.model_store import ModelStore
from ml.product_history import ProductHistory
from ml.snapshot import Snapshot
store, sha256 = ModelStore(Path(arguments["store"])), arguments["sha256"]
try:
    bundle = unpack(store.get_bundle(sha256), sha256)
    name, data = store.newest_snapshot(sha256)
    snapshot = Snapshot.from_bytes(data, sha256)
    sent = ProductHistory.model_validate_json(arguments["history"])
    say({"name": name, "products": snapshot.product_ids, "stored": snapshot.get("P0001").decode(),
         "live": snapshot.live(bundle).answer(sent).decode()})
except BundleRefused as error:
    say({"refused": str(error)})
"""
PUBLISH = """
from datetime import datetime, UTC
from pathlib import Path
from ml.bundle import unpack
from ml.model_store import ModelStore
from ml.snapshot import snapshot_bytes
from ml.history import History
import numpy as np
store, sha256 = ModelStore(Path(arguments["store"])), arguments["sha256"]
with np.load(arguments["history"]) as f:
    history = History(tuple(f["product_ids"].tolist()), tuple(f["categories"].tolist()), f["months"], f["units"],
                      f["price_cents"], {name[6:]: f[name] for name in f.files if name.startswith("extra_")})
bundle = unpack(store.get_bundle(sha256), sha256)
store.put_bundle(store.get_bundle(sha256))
at = datetime(2026, 1, 5, tzinfo=UTC)
data = snapshot_bytes(bundle, int(arguments["version"]), arguments["name"], history, at)
store.put_snapshot(sha256, arguments["name"], data)
say("done")
"""


def read_back(path: Path) -> list[Event]:
    inbox = Inbox(path)
    events = [stored.event for stored in inbox.after(0, 99)]
    inbox.close()
    return events


def expand_inbox(path: Path) -> None:
    """What a later release may do to an inbox."""
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE events ADD COLUMN received_by TEXT")
    db.execute("ALTER TABLE events ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1")
    db.execute("ALTER TABLE identity ADD COLUMN made_at TEXT")
    db.execute("CREATE TABLE senders (name TEXT PRIMARY KEY) STRICT")
    db.execute("CREATE INDEX events_by_source ON events (source)")
    db.execute("UPDATE alembic_version SET version_num = 'inbox_0099'")
    db.commit()
    db.close()


def expand_lake(lake: Lake) -> None:
    """What a later release may do to a lake."""
    for table in SCHEMAS:
        if lake.exists(table):
            new = [Field("note", PrimitiveType("string")), Field("weight", PrimitiveType("double"))]
            DeltaTable(lake.root / table).alter.add_columns(new)


# --- inbox ------------------------------------------------------------------------------------------------


def made_by_previous(path: Path) -> None:
    previous(INBOX, path=str(path), event=ONE.model_dump_json())


def made_by_migrations(path: Path) -> None:
    InboxMigrations(inbox_url(path)).run()
    made_at_first_use(path)


def made_at_first_use(path: Path) -> None:
    inbox = Inbox(path)
    inbox.append([ONE], "new")
    inbox.close()


def migrated_from_previous(path: Path) -> None:
    made_by_previous(path)
    InboxMigrations(inbox_url(path)).run()


def expanded_by_next(path: Path) -> None:
    made_at_first_use(path)
    expand_inbox(path)


INBOXES = [made_by_previous, made_at_first_use, made_by_migrations, migrated_from_previous, expanded_by_next]


@pytest.mark.parametrize("make", INBOXES)
def test_every_inbox_serves_this_release_and_the_one_before(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "inbox.sqlite"
    make(path)
    inbox = Inbox(path, create=False)
    assert [r.status for r in inbox.append([ONE, TWO], "new")] == ["duplicate", "accepted"]
    identity = inbox.identity
    inbox.close()
    three = event(event_id="three")
    answer = previous(INBOX, path=str(path), event=three.model_dump_json())
    assert (answer["statuses"], answer["identity"]) == (["accepted"], identity)
    assert [Event.model_validate_json(body) for body in answer["events"]] == [ONE, TWO, three]
    assert read_back(path) == [ONE, TWO, three]


def test_migrating_leaves_what_a_newer_release_has_expanded(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    expanded_by_next(path)
    migrations = InboxMigrations(inbox_url(path))
    assert (migrations.state().revision, migrations.run()) == ("inbox_0099", ())
    assert migrations.state().revision == "inbox_0099"
    assert read_back(path) == [ONE]


def test_what_a_contract_took_away_is_named(tmp_path: Path) -> None:
    path = tmp_path / "inbox.sqlite"
    made_at_first_use(path)
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE events DROP COLUMN source")
    db.close()
    with pytest.raises(StoreUnavailable, match="no column 'source' in table 'events'"):
        Inbox(path)


# --- lake -------------------------------------------------------------------------------------------------


def taken_away(before: dict[str, dict[str, str]], now: dict[str, dict[str, str]]) -> set[str]:
    """Columns that are gone or of another type and that the last release still uses."""
    return {
        f"{table}.{name}"
        for table, columns in before.items()
        for name, kind in columns.items()
        if now.get(table, {}).get(name) != kind
    } - CONTRACTED


def test_nothing_was_taken_from_the_lake_since_the_last_release() -> None:
    now = {table: {name: str(kind) for name, kind in schema.items()} for table, schema in SCHEMAS.items()}
    before = previous(SCHEMA)
    assert taken_away(before, now) == set(), "a column goes by a contract: docs/schema-changes.md"
    assert taken_away(before, now | {"events": now["events"] | {"category": "Int64"}}) == {"events.category"}
    assert taken_away(now, {table: kinds for table, kinds in now.items() if table != "panel"})


def test_this_release_and_the_one_before_fill_one_lake_in_turn(tmp_path: Path) -> None:
    paths = {"inbox": str(tmp_path / "inbox.sqlite"), "lake": str(tmp_path / "lake")}
    inbox, lake = Inbox(Path(paths["inbox"])), Lake(Path(paths["lake"]))
    for turn, (sent, old) in enumerate([(ONE, True), (TWO, False), (event(event_id="x"), True)], 1):
        inbox.append([sent], "web")
        rows = previous(DRAIN, **paths)["rows"] if old else drained(inbox, lake)
        assert len(rows) == turn
    assert [row["campaign"] for row in lake.read("events").sort("event_id").collect().to_dicts()] == [
        None,
        "spring",
        None,
    ]
    inbox.close()


def drained(inbox: Inbox, lake: Lake) -> list[dict[str, Any]]:
    drain_inbox(inbox, lake, SETTINGS)
    return lake.read("events").collect().to_dicts()


def test_a_lake_with_the_columns_of_a_newer_release_is_read_and_written(tmp_path: Path) -> None:
    inbox, lake = Inbox(tmp_path / "inbox.sqlite"), Lake(tmp_path / "lake")
    inbox.append([ONE], "web")
    drained(inbox, lake)
    expand_lake(lake)
    inbox.append([TWO], "web")
    rows = drained(inbox, lake)
    assert [set(row) for row in rows] == [set(SCHEMAS["events"])] * 2
    stored = pl.read_delta(str(lake.root / "events"))
    assert stored.select("note", "weight").null_count().row(0) == (2, 2)

    lake.overwrite("events", lake.read("events").collect())
    assert lake.read("events").collect().height == 2
    assert {"note", "weight"} <= set(pl.read_delta(str(lake.root / "events")).columns)
    inbox.close()


def test_the_release_before_needs_this_one_between_itself_and_an_expanded_lake(tmp_path: Path) -> None:
    """The control: this is what the tests above would see if columns were not read and filled by name."""
    paths = {"inbox": str(tmp_path / "inbox.sqlite"), "lake": str(tmp_path / "lake")}
    inbox, lake = Inbox(Path(paths["inbox"])), Lake(Path(paths["lake"]))
    inbox.append([ONE], "web")
    drained(inbox, lake)
    expand_lake(lake)
    inbox.append([TWO], "web")
    inbox.close()
    assert "failed" in previous(DRAIN, **paths)


def test_columns_of_this_release_that_a_lake_lacks_are_null_until_it_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, lake = Inbox(tmp_path / "inbox.sqlite"), Lake(tmp_path / "lake")
    inbox.append([ONE], "web")
    drained(inbox, lake)
    wider = {**SCHEMAS["events"], "channel": pl.String()}
    monkeypatch.setitem(SCHEMAS, "events", wider)
    old = lake.read("events").collect()
    assert (old.columns, old["channel"].to_list()) == (list(wider), [None])
    new = old.with_columns(pl.lit("two").alias("event_id"), pl.lit("shop").alias("channel"))
    with pytest.raises(
        StoreUnavailable, match=r"no column 'channel' in table 'events'; run `python -m ml migrate`"
    ):
        lake.append("events", new)

    version = lake.version("events")
    assert list(lake.expand("events", wider)) == ["channel"]
    assert (list(lake.expand("events", wider)), lake.version("events")) == ([], (version or 0) + 1)
    lake.append("events", new)
    assert sorted(lake.read("events").collect()["channel"].to_list(), key=str) == [None, "shop"]
    assert lake.read("events", version=version).collect().height == 1
    inbox.close()


# --- bundle and snapshot ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A store with a model and a snapshot of this release."""
    shop = stored_shop(tmp_path_factory.mktemp("kept"), "mix")
    shop.write_snapshot(groups=group_forecasts)
    return shop


def with_manifest(data: bytes, changes: dict[str, Any], members: dict[str, bytes] | None = None) -> bytes:
    """The bundle with other fields in its manifest and more members."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    manifest = json.loads(files["manifest.json"]) | changes
    files |= {"manifest.json": json.dumps(manifest, sort_keys=True).encode()} | (members or {})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size = len(files[name])
            archive.addfile(info, io.BytesIO(files[name]))
    return out.getvalue()


def with_header(data: bytes, changes: dict[str, Any]) -> bytes:
    """The snapshot with other fields in its header, its digest made to fit."""
    first, head, lines = data.split(b"\n", 2)
    body = json.dumps(json.loads(head) | changes, separators=(",", ":")).encode() + b"\n" + lines
    label = json.loads(first) | {"sha256": hashlib.sha256(body).hexdigest()}
    return json.dumps(label).encode() + b"\n" + body


def stored_by_next(kept: Shop, root: Path, manifest: dict[str, Any], header: dict[str, Any]) -> Shop:
    """The shop as a later release might have stored it."""
    store = ModelStore(root)
    bundle = with_manifest(ModelStore(kept.root).get_bundle(kept.model_sha256), manifest)
    sha256 = store.put_bundle(bundle)
    _, data = ModelStore(kept.root).newest_snapshot(kept.model_sha256)
    answers = data.replace(kept.model_sha256.encode(), sha256.encode())
    store.put_snapshot(sha256, DATA_VERSION, with_header(answers, {"model_sha256": sha256} | header))
    return Shop(root, kept.history, sha256)


def sent_history(shop: Shop) -> str:
    return ProductHistory.of(shop.history, 1).model_dump_json()


def test_the_release_before_serves_what_this_one_stores(kept: Shop) -> None:
    answer = previous(SERVE, store=str(kept.root), sha256=kept.model_sha256, history=sent_history(kept))
    _, data = ModelStore(kept.root).newest_snapshot(kept.model_sha256)
    assert b'"created_at"' in data[:HEAD_BYTES]
    snapshot = Snapshot.from_bytes(data, kept.model_sha256)
    assert (answer["name"], answer["products"]) == (DATA_VERSION, snapshot.product_ids)
    assert answer["stored"].encode() == answer["live"].encode() == snapshot.get("P0001")


def test_the_release_before_passes_over_the_model_card_and_the_materials(kept: Shop, tmp_path: Path) -> None:
    data = ModelStore(kept.root).get_bundle(kept.model_sha256)
    carded = with_manifest(data, {}, {f"record/{CARD}.txt": b"# Model card", f"record/{SBOM}.txt": b"{}"})
    sha256 = ModelStore(tmp_path).put_bundle(carded)
    Shop(tmp_path, kept.history, sha256).write_snapshot()
    answer = previous(SERVE, store=str(tmp_path), sha256=sha256, history=sent_history(kept))
    assert answer["stored"] == answer["live"]


def test_this_release_serves_what_the_one_before_stored(kept: Shop, tmp_path: Path) -> None:
    history = kept.history
    arrays: dict[str, Any] = {name: getattr(history, name) for name in ("months", "units", "price_cents")}
    arrays |= {f"extra_{name}": values for name, values in history.extra.items()}
    arrays |= {name: np.array(getattr(history, name)) for name in ("product_ids", "categories")}
    np.savez(tmp_path / "history.npz", **arrays)
    ModelStore(tmp_path / "store").put_bundle(ModelStore(kept.root).get_bundle(kept.model_sha256))
    previous(
        PUBLISH,
        store=str(tmp_path / "store"),
        sha256=kept.model_sha256,
        history=str(tmp_path / "history.npz"),
        name=DATA_VERSION,
        version=str(VERSION),
    )
    shop = Shop(tmp_path / "store", history, kept.model_sha256)
    assert forgotten(answers(shop)) == forgotten(answers(kept))
    _, data = ModelStore(shop.root).newest_snapshot(shop.model_sha256)
    assert b'"created_at"' in data[:HEAD_BYTES]


def answers(shop: Shop) -> dict[str, bytes]:
    with answering(create(shop.settings())) as client:
        assert client.get("/ready").status_code == 200, client.get("/ready").text
        paths = ("/forecast", "/forecast/P0001", "/categories")
        return {path: client.get(path).content for path in paths}


def forgotten(found: dict[str, bytes]) -> dict[str, Any]:
    """Answers without the joint quantiles, which the release before did not store."""

    def without(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if name != "quantiles" or "p50" in fields}

    return {path: json.loads(body, object_hook=without) for path, body in found.items()}


ADDED: dict[str, Any] = {"explainer": "shap-2", "tags": ["a"], "limits": {"max": 3}}


def test_fields_that_a_newer_release_added_are_passed_over(kept: Shop, tmp_path: Path) -> None:
    newer = stored_by_next(kept, tmp_path, ADDED, ADDED | {"critical": []})
    there, here = answers(kept), answers(newer)
    assert (
        here["/forecast/P0001"].replace(newer.model_sha256.encode(), kept.model_sha256.encode())
        == (there["/forecast/P0001"])
    )
    bundle = unpack(ModelStore(tmp_path).get_bundle(newer.model_sha256), newer.model_sha256)
    assert not hasattr(bundle.manifest, "explainer")


def test_the_release_before_did_not_know_that_rule(kept: Shop, tmp_path: Path) -> None:
    """The control: a strict reader refuses the same bundle."""
    newer = stored_by_next(kept, tmp_path, ADDED, {})
    answer = previous(SERVE, store=str(tmp_path), sha256=newer.model_sha256, history=sent_history(kept))
    assert "explainer" in answer["refused"]


@pytest.mark.parametrize(
    "changes",
    [
        {"critical": ["rescaled"], "rescaled": True},
        {"critical": ["rescaled"]},
        {"critical": "rescaled"},
        {"critical": [1]},
        {"critical": None},
        {"format": 2},
        {"seed": "seven"},
        {"candidate": "oracle"},
    ],
    ids=json.dumps,
)
def test_a_bundle_that_needs_more_than_this_release_knows_is_refused(
    kept: Shop, changes: dict[str, Any]
) -> None:
    data = with_manifest(ModelStore(kept.root).get_bundle(kept.model_sha256), changes)
    with pytest.raises(BundleRefused):
        unpack(data, hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", ["code/run.py", "weights/a.npy", "model/a.pkl", "zz.txt"])
def test_a_bundle_with_a_part_that_this_release_does_not_know_is_refused(kept: Shop, name: str) -> None:
    data = with_manifest(ModelStore(kept.root).get_bundle(kept.model_sha256), {}, {name: b"x"})
    with pytest.raises(BundleRefused, match="is not one of"):
        unpack(data, hashlib.sha256(data).hexdigest())


def test_a_critical_field_that_this_release_knows_is_no_reason_to_refuse(kept: Shop) -> None:
    data = with_manifest(ModelStore(kept.root).get_bundle(kept.model_sha256), {"critical": ["risk_cuts"]})
    assert unpack(data, hashlib.sha256(data).hexdigest()).manifest.risk_cuts


@pytest.mark.parametrize("changes", [{"critical": ["rescaled"]}, {"critical": "all"}], ids=json.dumps)
def test_a_snapshot_that_needs_more_than_this_release_knows_is_refused(
    kept: Shop, changes: dict[str, Any]
) -> None:
    _, data = ModelStore(kept.root).newest_snapshot(kept.model_sha256)
    assert Snapshot.from_bytes(with_header(data, {"more": 1}), kept.model_sha256).answers
    with pytest.raises(BundleRefused, match="critical"):
        Snapshot.from_bytes(with_header(data, changes), kept.model_sha256)
