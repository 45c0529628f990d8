"""Track record: shrunk to the class by the number of own months."""

import numpy as np

from ml.track_record import HistoricalError, TrackRecord

NAN = float("nan")
IDS = ("A", "B", "C", "D")
CLASSES = ("smooth", "smooth", "lumpy", "new")
LOSSES = np.array([[1.0, 3.0], [4.0, 4.0], [NAN, 10.0], [NAN, NAN]])


def record() -> TrackRecord:
    return TrackRecord.measure(IDS, CLASSES, LOSSES)


def test_a_product_is_shrunk_to_its_class_by_hand() -> None:
    """Class smooth has mean 3; A has 1 and 3: (1 + 3 + 6 x 3) / (2 + 6) = 2.75."""
    assert record().of("A", "smooth") == HistoricalError(2.75, 2)
    assert record().of("C", "lumpy") == HistoricalError(10.0, 1)


def test_a_product_without_test_months_has_its_class_or_everyone() -> None:
    assert record().of("Z", "smooth") == HistoricalError(3.0, 0)
    assert record().of("D", "new") == HistoricalError(4.4, 0)
    assert record().of("Z", "never seen") == HistoricalError(4.4, 0)


def test_without_any_test_there_is_no_record() -> None:
    nothing = TrackRecord.measure(("A",), ("smooth",), np.array([[NAN]]))
    assert nothing.of("A", "smooth") is None


def test_it_survives_storage() -> None:
    again = TrackRecord.from_state(record().state())
    assert again == record()
