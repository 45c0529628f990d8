"""Pictures for people who judge a model. The same numbers give the same bytes."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml.distribution import LEVELS, P10, P90
from ml.evaluation import Backtest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, ROW_INCHES = 9.0, 0.4
PANEL_INCHES: Final = 3.4
EXAMPLES: Final = 3
"""Best products in one row of pictures, worst in the other."""

PAST_MONTHS: Final = 18
LONGEST_ID: Final = 24
MOST_LABELS: Final = 12
_CHOSEN, _OTHER, _YARDSTICK, _AXIS = "#1b6ca8", "#9fb8c8", "#cccccc", "#333333"
_BESIDE: Final = ("#b0623a", "#8a8a8a", "#c9a227")


def backtest_files(tested: Backtest, paper: Mapping[str, Any], card: str) -> dict[str, bytes | str]:
    """What a backtest leaves for its reader, by file name: numbers, pictures and the model card.

    Args:
        tested: The backtest.
        paper: Of `ml.papers.by_month_and_class`.
        card: Of `ml.card.model_card`.
    """
    return {
        "backtest.json": json.dumps(paper, indent=1),
        "calibration.png": calibration_png(paper),
        "errors.png": errors_png(paper),
        "examples.png": examples_png(tested, paper["candidate"]),
        "model_card.md": card,
    }


def benchmark_png(table: Sequence[Mapping[str, Any]], chosen: str) -> bytes:
    """A PNG: scaled pinball loss of every candidate, best on top, and its 80 % coverage.

    Args:
        table: Rows of `Backtest.table`.
        chosen: The candidate that is drawn in colour; yardsticks that cannot be promoted are grey.
    """
    rows = sorted(
        (row for row in table if row["pinball"] is not None), key=lambda row: -float(row["pinball"])
    )
    figure = _figure(WIDTH_INCHES, 1.2 + ROW_INCHES * len(rows))
    loss, coverage = figure.subplots(1, 2, sharey=True)
    names, colours = [row["candidate"] for row in rows], [_colour(row, chosen) for row in rows]
    loss.barh(names, [row["pinball"] for row in rows], color=colours)
    loss.set_xlabel("scaled pinball loss (lower is better)")
    coverage.plot([row["coverage_80"] for row in rows], names, "o", color=_CHOSEN)
    coverage.axvline(0.8, color="black", linewidth=0.8)
    coverage.set_xlim(0, 1)
    coverage.set_xlabel("share of months inside the 80 % interval")
    return _png(figure)


def errors_png(paper: Mapping[str, Any]) -> bytes:
    """A PNG: scaled pinball loss of a candidate and others in each tested month and class of demand.

    Args:
        paper: Of `ml.papers.by_month_and_class`.
    """
    figure = _figure(3 * PANEL_INCHES, PANEL_INCHES)
    months, classes = figure.subplots(1, 2, width_ratios=(1, 1))
    names = [paper["candidate"], *paper["beside"]]
    colours = dict(zip(names, (_CHOSEN, *_BESIDE), strict=False))
    labels = [month["month"] for month in paper["months"]]
    for name in names:
        losses = [_or_nan(month["pinball"][name]) for month in paper["months"]]
        months.plot(labels, losses, "o-", color=colours[name], label=name, markersize=4)
    months.set(title="Error by tested period", ylabel="scaled pinball loss (lower is better)", ylim=(0, None))
    shown = slice(None, None, 1 + len(labels) // MOST_LABELS)
    places = range(len(labels))[shown]
    months.set_xticks(places, labels[shown], rotation=45, ha="right", rotation_mode="anchor")
    months.legend(frameon=False)
    parts, height = paper["classes"][::-1], 0.8 / len(names)
    for place, name in enumerate(names):
        at = np.arange(len(parts)) + 0.4 - height * (place + 0.5)
        classes.barh(
            at, [_or_nan(part["pinball"][name]) for part in parts], height, color=colours[name], label=name
        )
    classes.set(title="Error by class of demand", xlabel="scaled pinball loss (lower is better)")
    classes.set_yticks(
        range(len(parts)), [f"{part['name']}\n{part['observations']:,} forecasts" for part in parts]
    )
    return _png(figure)


def calibration_png(paper: Mapping[str, Any]) -> bytes:
    """A PNG: reliability of the quantiles, PIT histogram, and width of the 80 % interval by class.

    Args:
        paper: Of `ml.papers.by_month_and_class`.
    """
    figure = _figure(3 * PANEL_INCHES, PANEL_INCHES)
    reliability, pit, width = figure.subplots(1, 3)
    if paper["observations"]:
        _draw_reliability(reliability, paper["levels"])
        _draw_pit(pit, paper["pit"])
        _draw_widths(width, paper["classes"][::-1])
    reliability.set(
        title="Reliability of quantiles", xlabel="level", ylabel="share of outcomes", xlim=(0, 1), ylim=(0, 1)
    )
    pit.set(title="PIT histogram (flat is right)", xlabel="share of the forecast below", ylabel="share")
    width.set(title="Width of the 80 % interval", xlabel="mean width / usual monthly change")
    return _png(figure)


def examples_png(tested: Backtest, name: str) -> bytes:
    """A PNG: the products that a candidate forecast best and worst, with intervals and what came.

    Only products that were judged and sold in most of the tested months can be shown: where nothing is sold,
    nothing is easily forecast.

    Args:
        tested: The backtest.
        name: The candidate.
    """
    figure = _figure(3 * PANEL_INCHES, 2 * PANEL_INCHES * 0.8)
    figure.suptitle(f"{name}: what came, and what was forecast one step ahead")
    losses = tested.losses(name)
    sold = np.isfinite(losses) & (tested.history.units[:, list(tested.origins)] > 0)
    often = np.flatnonzero(sold.sum(axis=1) * 2 > losses.shape[1])
    mean = np.nanmean(losses[often], axis=1) if len(often) else np.empty(0)
    order = often[np.argsort(mean, kind="stable")].tolist()
    count = min(EXAMPLES, len(order) // 2)
    panels = figure.subplots(2, EXAMPLES, squeeze=False)
    for row, (kind, chosen) in enumerate((("best", order[:count]), ("worst", order[::-1][:count]))):
        for panel, product in zip(panels[row], chosen, strict=False):
            _draw_example(panel, tested, name, product)
            loss = float(np.nanmean(losses[product]))
            shown = tested.history.product_ids[product][:LONGEST_ID]
            panel.set_title(f"{kind}: {shown} (loss {loss:.2f})", fontsize=9, parse_math=False)
        for panel in panels[row][count:]:
            panel.set_axis_off()
    if count:
        panels[0][0].legend(frameon=False, fontsize=7)
    return _png(figure)


def _draw_reliability(panel: Axes, levels: Sequence[Mapping[str, float]]) -> None:
    at = [row["level"] for row in levels]
    panel.plot([0, 1], [0, 1], color=_AXIS, linewidth=0.8)
    panel.vlines(
        at, [row["below"] for row in levels], [row["up_to"] for row in levels], color=_CHOSEN, linewidth=4
    )
    panel.plot(
        at, [row["up_to"] for row in levels], "o", color=_CHOSEN, markersize=4, label="P(Y ≤ quantile)"
    )
    panel.plot(at, [row["below"] for row in levels], "o", mfc="white", mec=_CHOSEN, label="P(Y < quantile)")
    panel.legend(frameon=False, loc="upper left", fontsize=8)


def _draw_pit(panel: Axes, shares: Sequence[float]) -> None:
    step = 1 / len(shares)
    panel.bar([step * (i + 0.5) for i in range(len(shares))], shares, width=0.9 * step, color=_CHOSEN)
    panel.axhline(step, color=_AXIS, linewidth=0.8)
    panel.set_ylim(0, max(2 * step, 1.1 * max(shares)))


def _draw_widths(panel: Axes, parts: Sequence[Mapping[str, Any]]) -> None:
    names, widths = [part["name"] for part in parts], [part["width_80"] for part in parts]
    panel.barh(names, widths, color=_CHOSEN)
    for place, part in enumerate(parts):
        panel.annotate(
            f" holds {part['coverage_80']:.0%}", (part["width_80"], place), va="center", fontsize=8
        )
    panel.set_xlim(0, 1.35 * max(widths))


def _draw_example(panel: Axes, tested: Backtest, name: str, product: int) -> None:
    history, origins = tested.history, list(tested.origins)
    first = max(0, origins[0] - PAST_MONTHS)
    at = np.arange(first, history.T)
    panel.plot(at, history.units[product, first:], ".-", color=_AXIS, linewidth=0.8, label="sold")
    levels = np.array([prediction.levels[product] for prediction in tested.predictions[name]])
    low, high = levels[:, P10], levels[:, P90]
    panel.bar(origins, high - low, bottom=low, width=0.9, color=_CHOSEN, alpha=0.3, label="80 % interval")
    panel.plot(origins, levels[:, LEVELS.index(0.5)], "_", color=_CHOSEN, markersize=12, label="median")
    shown = np.linspace(first, history.T - 1, min(4, len(at))).astype(int)
    panel.set_xticks(shown, [str(history.months[t]) for t in shown], fontsize=7)
    panel.set_ylim(0, None)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only training needs

    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # an id in a script without a font shows as boxes
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _colour(row: Mapping[str, Any], chosen: str) -> str:
    if row["candidate"] == chosen:
        return _CHOSEN
    return _OTHER if row["promotable"] else _YARDSTICK
