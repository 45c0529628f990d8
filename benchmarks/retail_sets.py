"""Panels in a folder, each cut to a sample of its series, for the comparison in `benchmarks.accuracy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from ml.events import canonical_product_id
from ml.panel_file import NEEDED, Panel, read_panel
from tests.ml.known_processes import negative_binomials

SEASONS: Final = {"dominicks_oj/period4w": 13}
"""Periods in a year where the dates of a panel do not say so: four-week periods written as months."""

PLANNED: Final = {"promotion", "deal", "advertising", "feat"}
"""A panel with one of these columns says what was planned, and is its own plan."""

ANCHOR: Final = "is_test"
"""A panel with this column checks implementations and is no retail set."""


@dataclass(frozen=True, eq=False)
class RetailSet:
    """A sampled panel on disk.

    Attributes:
        name: Folder and file.
        file: The sampled panel.
        panel: The same as read by `ml backtest`.
        events: Events of the sampled products, where the folder has any.
        plan: What was planned for the sampled series, where the panel says so.
    """

    name: str
    file: Path
    panel: Panel
    events: Path | None
    plan: Path | None

    @property
    def season(self) -> int:
        """Periods after which demand repeats itself."""
        return self.panel.history.season


def panels(folder: Path) -> dict[str, Path]:
    """Every Parquet file in the folders of `folder` that is a panel, by `folder/file`."""
    found = {}
    for path in sorted(folder.glob("*/*.parquet")):
        columns = set(pl.read_parquet_schema(path))
        if set(NEEDED) <= columns and ANCHOR not in columns:
            found[f"{path.parent.name}/{path.stem}"] = path
    return found


def made_up(folder: Path) -> dict[str, Path]:
    """Panels of known processes, written to `folder`, for a machine without real ones."""
    found = {}
    for seed, name in enumerate(("steady", "seasonal")):
        panel, path = (
            negative_binomials(500, seed=seed, season=name == "seasonal"),
            folder / f"{name}.parquet",
        )
        folder.mkdir(parents=True, exist_ok=True)
        panel.frame().write_parquet(path)
        found[f"made-up/{name}"] = path
    return found


def sampled(name: str, path: Path, most: int, out: Path) -> RetailSet:
    """Write what concerns at most `most` series of a panel into `out`; 0 is all of them."""
    whole = read_panel(path, SEASONS.get(name)).history
    ids = _sample(whole.product_ids, most)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "panel.parquet"
    frame = pl.read_parquet(path).filter(pl.col("series_id").cast(pl.String).is_in(ids))
    frame.write_parquet(file)
    return RetailSet(
        name=name,
        file=file,
        panel=read_panel(file, whole.season),
        events=_events(path.parent / "events.parquet", ids, out),
        plan=file if PLANNED & set(frame.columns) else None,
    )


def _sample(ids: Sequence[str], most: int) -> list[str]:
    """The draw of the protocol: without replacement, seed 0, of the sorted names."""
    if not most or len(ids) <= most:
        return list(ids)
    kept = np.sort(np.random.default_rng(0).choice(len(ids), most, replace=False))
    return [ids[i] for i in kept]


def _events(path: Path, ids: Sequence[str], out: Path) -> Path | None:
    """Events of these products; None if there are none, as for a panel that is not by product."""
    if not path.exists():
        return None
    events = pl.read_parquet(path)
    names = events["product_id"].cast(pl.String)
    canonical = {name: canonical_product_id(name) for name in names.unique().to_list()}
    ours = {name for name, product in canonical.items() if product in {*map(canonical_product_id, ids)}}
    if not ours:
        return None
    events.filter(names.is_in(list(ours))).write_parquet(out / "events.parquet")
    return out / "events.parquet"
