"""Errors of past forecasts by hand-worked numbers, and the chart of the past by its geometry."""

import pytest

from apps.console.past_chart import SHOWN_MONTHS, past_chart
from apps.console.track_record import months_of, track_record
from apps.forecast.schemas import Past
from tests.apps.console.test_chart import forecast


def told(month: str, mean: float, p10: float, p90: float) -> dict[str, object]:
    return {"month": month, "model_version": 3, "mean": mean, "p10": p10, "p90": p90}


def past(units: list[float], *forecasts: dict[str, object]) -> Past:
    fields = {"product_id": "P1", "data_version": "v", "first_month": "2025-11", "units": units}
    return Past.model_validate({**fields, "forecasts": forecasts})


def test_months_go_over_the_year() -> None:
    assert months_of(past([1, 2, 3])) == ["2025-11", "2025-12", "2026-01"]


def test_errors_are_over_the_units_of_the_judged_months() -> None:
    record = track_record(
        past([10, 20, 5], told("2025-12", 15, 10, 19), told("2026-01", 8, 2, 9), told("2030-01", 1, 0, 2))
    )
    assert [each.forecast.month for each in record.judged] == ["2026-01", "2025-12"]
    assert [each.error for each in record.judged] == [3, -5]
    assert [each.inside for each in record.judged] == [True, False]
    assert record.wape == pytest.approx(8 / 25)
    assert record.naive_wape == pytest.approx((10 + 15) / 25)
    assert record.bias == pytest.approx(-2 / 25)
    assert record.inside == 0.5


def test_without_sales_or_forecasts_nothing_is_claimed() -> None:
    assert track_record(past([4])).inside is None
    record = track_record(past([4, 0], told("2025-12", 1, 0, 2)))
    assert (record.wape, record.bias, record.inside) == (None, None, 1.0)
    first = track_record(past([4], told("2025-11", 1, 0, 2)))
    assert (first.wape, first.naive_wape) == (0.75, None)


def test_more_units_are_higher_and_later_months_further_right() -> None:
    chart = past_chart(past([10, 40, 0], told("2025-12", 30, 20, 50)), forecast())
    heights = [point.y for point in chart.points]
    assert heights[1] < heights[0] < heights[2] == chart.ticks[0].y
    places = [*(point.x for point in chart.points), chart.coming.x + chart.coming.width / 2]
    assert places == sorted(places)
    (interval,) = chart.told
    assert interval.y < interval.mean < interval.y + interval.height
    assert interval.x + interval.width / 2 == pytest.approx(chart.points[1].x, abs=0.2)


def test_a_long_past_is_cut_at_its_beginning() -> None:
    chart = past_chart(past([float(k) for k in range(60)]), forecast())
    assert len(chart.points) == SHOWN_MONTHS
    assert chart.points[-1].units == 59
    assert len(chart.labels) <= 6
