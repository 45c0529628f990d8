"""Steps are told from the dates alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.periods import periods


def days(*dates: str) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.array(dates, dtype="datetime64[D]")


@pytest.mark.parametrize(
    ("dates", "unit", "step", "season", "count"),
    [
        (days("2024-01-01", "2024-02-01", "2024-04-01"), "M", 1, 12, 4),
        (days("2024-01-31", "2024-02-29", "2024-03-31"), "M", 1, 12, 3),
        (days("2024-01-15", "2024-04-15", "2024-07-15"), "M", 3, 4, 3),
        (days("2022-06-30", "2023-06-30", "2024-06-30"), "M", 12, 1, 3),
        (days("2024-01-01", "2024-01-08", "2024-01-29"), "D", 7, 52, 5),
        (days("2024-01-01", "2024-01-29", "2024-02-26"), "D", 28, 13, 3),
        (days("2024-01-01", "2024-01-02", "2024-01-05"), "D", 1, 7, 5),
        (days("2024-01-01", "2024-01-11", "2024-01-31"), "D", 10, 36, 4),
        (days("2020-01-01", "2022-05-09"), "D", 859, 1, 2),
        (days("2024-03-05"), "M", 1, 12, 1),
    ],
)
def test_steps_of_any_calendar(dates: np.ndarray, unit: str, step: int, season: int, count: int) -> None:
    found = periods(dates)
    assert (found.unit, found.step, found.usual_season, len(found.starts)) == (unit, step, season, count)


@given(
    step=st.sampled_from([1, 2, 7, 14, 28, 365]),
    places=st.lists(st.integers(0, 60), min_size=2, max_size=20),
    first=st.integers(0, 20_000),
)
def test_every_date_lies_in_its_period(step: int, places: list[int], first: int) -> None:
    dates = np.datetime64("1970-01-01", "D") + first + step * np.array(places)
    found = periods(dates)
    starts = found.starts[found.columns]
    np.testing.assert_array_equal(starts, dates.astype(found.starts.dtype))
    np.testing.assert_array_equal(np.diff(found.starts.astype(int)), found.step)
