"""Charts put units where their axis says."""

import pytest

from apps.console.chart import MARGIN, WIDTH, demand_chart, range_of, tick_step
from apps.forecast.schemas import Forecast

UNITS = {
    "0.05": 2.0,
    "0.10": 4.0,
    "0.25": 10.0,
    "0.50": 20.0,
    "0.75": 30.0,
    "0.90": 50.0,
    "0.95": 60.0,
    "0.99": 100.0,
}


def forecast(**changes: object) -> Forecast:
    return Forecast.model_validate(
        {
            "product_id": "A",
            "category": "c",
            "month": "2026-01",
            "mean": 25.0,
            "p10": 4.0,
            "p50": 20.0,
            "p90": 50.0,
            "quantiles": UNITS,
            "probability_mass": None,
            "demand_delta": {"units": 1, "share": 0.1},
            "probability_of_increase": 0.5,
            "volatility": 0.4,
            "confidence": 0.5,
            "historical_error": None,
            "demand_class": "smooth",
            "history_months": 12,
            "last_month_units": 24.0,
            "model_version": 1,
            "model_sha256": "a" * 64,
            "data_version": "2025-12.0123456789ab",
            "calibration_id": "c",
            "risk_cuts": [0.4, 0.9],
            "price_cents": None,
        }
        | changes
    )


def place(units: float, top: float) -> float:
    return round(MARGIN + (WIDTH - 2 * MARGIN) * units / top, 1)


def test_marks_and_bands_stand_at_their_units() -> None:
    chart = demand_chart(forecast(), stock_units=40)
    assert [tick.units for tick in chart.ticks] == [0, 20, 40, 60, 80, 100]
    assert (chart.mean.x, chart.last_month.x, chart.median.x) == (
        place(25, 100),
        place(24, 100),
        place(20, 100),
    )
    assert chart.stock is not None
    assert chart.stock.x == place(40, 100)
    assert [(band.x, round(band.x + band.width, 1)) for band in chart.bands] == [
        (place(2, 100), place(60, 100)),
        (place(4, 100), place(50, 100)),
        (place(10, 100), place(30, 100)),
    ]


def test_bars_between_quantiles_have_areas_like_their_shares() -> None:
    bars = demand_chart(forecast(), stock_units=None).bars
    areas = [bar.width * bar.height for bar in bars]
    assert areas[2] / areas[0] == pytest.approx(0.25 / 0.05, rel=0.05)


def test_bars_of_a_mass_have_heights_like_their_shares() -> None:
    small = dict.fromkeys(UNITS, 1.0)
    bars = demand_chart(forecast(quantiles=small, probability_mass=[0.2, 0.5, 0.3]), stock_units=None).bars
    assert [bar.height / bars[1].height for bar in bars] == pytest.approx([0.4, 1.0, 0.6], abs=0.01)


@pytest.mark.parametrize("units", [0.0, 1e-6, 1e12])
def test_no_demand_and_any_demand_can_be_drawn(units: float) -> None:
    changed = forecast(quantiles=dict.fromkeys(UNITS, units), mean=units, p10=units, p50=units, p90=units)
    chart = demand_chart(changed, stock_units=0)
    for box in (*chart.bars, *chart.bands):
        assert box.width > 0
        assert 0 <= box.x <= WIDTH
        assert box.x + box.width <= WIDTH


def test_the_small_chart_stays_inside_whatever_last_month_was() -> None:
    for last in (0.0, 24.0, 1_000.0):
        found = range_of(forecast(last_month_units=last))
        assert 0 < found.x < found.median < found.x + found.width <= 158
        assert 4 <= found.last_month <= 156


@pytest.mark.parametrize(
    ("most", "step"), [(1, 0.2), (6, 1), (7, 2), (12, 2), (13, 2.5), (110, 20), (121, 25), (1e6, 200_000)]
)
def test_ticks_are_round_and_few(most: float, step: float) -> None:
    assert tick_step(most) == pytest.approx(step)
