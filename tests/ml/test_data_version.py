"""The same numbers have the same name, any other number another."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ml.data_version import data_version_of
from ml.errors import NotEnoughHistory
from ml.history import History

NAN = float("nan")


def history(
    units: list[list[float]],
    *,
    ids: tuple[str, ...] = ("A", "B"),
    categories: tuple[str, ...] = ("bags", "garden"),
    first: str = "2026-01",
    price: float = 100.0,
    views: float = 5.0,
) -> History:
    values: NDArray[np.float64] = np.array(units, dtype=np.float64)
    start = np.datetime64(first, "M")
    return History(
        product_ids=ids,
        categories=categories,
        months=np.arange(start, start + values.shape[1]),
        units=values,
        price_cents=np.full(values.shape, float(price)),
        extra={"views": np.full(values.shape, float(views))},
    )


BASE = history([[1, 2, 3], [NAN, 5, 0]])


def test_the_name_is_the_month_and_the_beginning_of_the_digest() -> None:
    version = data_version_of(BASE)
    assert version.last_month == "2026-03"
    assert version.name == f"2026-03.{version.digest[:12]}"
    assert len(version.digest) == 64


def test_the_digest_is_pinned() -> None:
    """Evidence of past promotions names data by it."""
    assert data_version_of(BASE).name == "2026-03.65a09364f4c4"


@pytest.mark.parametrize(
    "other",
    [
        history([[1, 2, 4], [NAN, 5, 0]]),
        history([[1, 2, 3], [0, 5, 0]]),
        history([[1, 2, 3], [NAN, 5, 0]], ids=("A", "C")),
        history([[1, 2, 3], [NAN, 5, 0]], categories=("bags", "bags")),
        history([[1, 2, 3], [NAN, 5, 0]], first="2026-02"),
        history([[1, 2, 3], [NAN, 5, 0]], price=101),
        history([[1, 2, 3], [NAN, 5, 0]], views=6),
        history([[1, 2, 3], [NAN, 5, 0]], ids=("AB", "B")),
        BASE.until(2),
    ],
)
def test_any_other_content_has_another_version(other: History) -> None:
    assert data_version_of(other).digest != data_version_of(BASE).digest


def test_text_cannot_move_between_fields() -> None:
    one = history([[1, 2], [1, 2]], ids=("A", "B"), categories=("xB", "y"))
    other = history([[1, 2], [1, 2]], ids=("Ax", "B"), categories=("B", "y"))
    assert data_version_of(one).digest != data_version_of(other).digest


def test_order_and_what_was_not_sold_yet_do_not_matter() -> None:
    turned = history([[NAN, 5, 0], [1, 2, 3]], ids=("B", "A"), categories=("garden", "bags"))
    unsold = history(
        [[1, 2, 3], [NAN, 5, 0], [NAN, NAN, NAN]], ids=("A", "B", "C"), categories=("bags", "garden", "x")
    )
    earlier = history([[NAN, 1, 2, 3], [NAN, NAN, 5, 0]], first="2025-12")
    for same in (turned, unsold, earlier):
        assert data_version_of(same) == data_version_of(BASE)


def test_a_nan_is_a_nan_whatever_its_bits() -> None:
    other = history([[1, 2, 3], [NAN, 5, 0]])
    other.units[1, 0] = -np.float64(np.nan)
    assert data_version_of(other) == data_version_of(BASE)


def test_a_history_without_a_sale_has_no_version() -> None:
    with pytest.raises(NotEnoughHistory, match="has no data version"):
        data_version_of(history([[NAN, NAN], [NAN, NAN]]))
