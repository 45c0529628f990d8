"""The business impact as plain values, and as one HTML file with pictures and the numbers behind them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ml.errors import StoreUnavailable
from ml.impact.asked import Asked
from ml.impact.measure import SHOP, Costs, Impact

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE: Final = Path(__file__).parent / "page.html.j2"
MOST_CATEGORIES: Final = 12
_OURS, _NAIVE, _LOSS = "#1b6ca8", "#9fb8c8", "#b0623a"


def to_json(found: Sequence[Impact], costs: Costs, asked: Asked | None = None) -> dict[str, Any]:
    """`total`, `months` with their `categories`, `categories` over all months, and the `costs` that were assumed.

    With what was asked for also `asked`, the fields of `ml.impact.asked.Asked`.
    """
    rows = [_row(each) for each in found]
    months: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["category"] == SHOP:
            months[row["month"]] = row | {"categories": []}
        else:
            months[row["month"]]["categories"].append(row)
    total = months.pop("all")
    return {
        "costs": asdict(costs) | {"ratio": costs.ratio},
        "total": {name: value for name, value in total.items() if name != "categories"},
        "categories": total["categories"],
        "months": list(months.values()),
        **({} if asked is None else {"asked": asdict(asked)}),
    }


def write_page(report: dict[str, Any], path: Path) -> None:
    """Write the HTML file.

    Raises:
        StoreUnavailable: It cannot be written.
    """
    import jinja2  # noqa: PLC0415 - only for this page

    engine = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pictures = {"errors": _errors(report), "money": _money(report), "parts": _parts(report)}
    text = engine.from_string(TEMPLATE.read_text()).render(report=report, pictures=pictures)
    try:
        path.write_text(text)
    except OSError as error:
        raise StoreUnavailable(f"cannot write the report to {path}: {error.strerror}") from error


def _row(of: Impact) -> dict[str, Any]:
    told = asdict(of) | {"value_added": of.value_added, "avoided_cents": of.avoided_cents}
    told["stock_out_units_avoided"] = of.naive.stock_out_units - of.forecast.stock_out_units
    told["overstock_units_avoided"] = of.naive.overstock_units - of.forecast.overstock_units
    return told


def _errors(report: dict[str, Any]) -> str:
    figure, months = _figure(), [month for month in report["months"] if month["wape"] is not None]
    panel = figure.subplots()
    names = [month["month"] for month in months]
    panel.plot(names, [month["naive_wape"] for month in months], "o-", color=_NAIVE, label="last month again")
    panel.plot(names, [month["wape"] for month in months], "o-", color=_OURS, label="forecast")
    panel.set(ylabel="absolute error / units sold", ylim=(0, None))
    panel.tick_params(axis="x", rotation=45)
    panel.legend(frameon=False)
    return _png(figure)


def _money(report: dict[str, Any]) -> str:
    figure = _figure()
    panel = figure.subplots()
    avoided = [month["avoided_cents"] / 100 for month in report["months"]]
    colours = [_OURS if money >= 0 else _LOSS for money in avoided]
    panel.bar([month["month"] for month in report["months"]], avoided, color=colours)
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_ylabel("money avoided")
    panel.tick_params(axis="x", rotation=45)
    return _png(figure)


def _parts(report: dict[str, Any]) -> str:
    figure = _figure()
    panel = figure.subplots()
    largest = sorted(report["categories"], key=lambda part: abs(part["avoided_cents"]))[-MOST_CATEGORIES:]
    avoided = [part["avoided_cents"] / 100 for part in largest]
    colours = [_OURS if money >= 0 else _LOSS for money in avoided]
    panel.barh(range(len(largest)), avoided, color=colours)
    panel.set_yticks(range(len(largest)), [part["category"] for part in largest], parse_math=False)
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_xlabel("money avoided over all months")
    return _png(figure)


def _figure() -> "Figure":
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only this page needs

    return Figure(figsize=(8.0, 3.2), layout="constrained")


def _png(figure: "Figure") -> str:
    """For the `src` of an image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
