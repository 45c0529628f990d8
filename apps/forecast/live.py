"""Forecasts for histories that callers send, made by the function that made the snapshot."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, WrapValidator

from apps.chassis.problems import refused_field
from apps.forecast.loaded import Loaded
from ml.history import History
from ml.product_history import ProductHistory

MAX_HISTORIES = 1000

_histories = TypeAdapter(Annotated[list[ProductHistory], Field(min_length=1, max_length=MAX_HISTORIES)])


def _one_or_many(value: object, _: object) -> ProductHistory | list[ProductHistory]:
    """Errors of one history name its fields alone, as they would not if both forms were tried."""
    if isinstance(value, list):
        return _histories.validate_python(value)
    return ProductHistory.model_validate(value)


SentHistories = Annotated[ProductHistory | list[ProductHistory], WrapValidator(_one_or_many)]


def live_answers(loaded: Loaded, sent: Sequence[ProductHistory]) -> list[bytes]:
    """One answer for each history in the same order, bit-equal to the snapshot's where the months are.

    Histories that know and plan the same columns are forecast together; whether others are there changes no bit.

    Raises:
        Problem: 422, a history does not end where this model's data ends.
    """
    histories = []
    for position, product in enumerate(sent):
        try:
            histories.append(loaded.live.history(product))
        except ValueError as error:
            raise refused_field(f"[{position}].first_month", str(error)) from error
    answers: dict[int, bytes] = {}
    for positions in _alike(histories):
        together = stacked([histories[position] for position in positions])
        answers |= zip(positions, loaded.live.forecaster.answers(together), strict=True)
    return [answers[position] for position in range(len(sent))]


def _alike(histories: Sequence[History]) -> list[list[int]]:
    """Positions of histories with the same columns: a missing column is unknown, not zero."""
    groups: dict[tuple[frozenset[str], frozenset[str]], list[int]] = {}
    for position, history in enumerate(histories):
        columns = frozenset(history.extra), frozenset(history.plan)
        groups.setdefault(columns, []).append(position)
    return list(groups.values())


def stacked(histories: Sequence[History]) -> History:
    """One history with the rows of all; they have the same months and columns."""
    first = histories[0]
    return History(
        product_ids=tuple(name for history in histories for name in history.product_ids),
        categories=tuple(name for history in histories for name in history.categories),
        months=first.months,
        units=np.vstack([history.units for history in histories]),
        price_cents=np.vstack([history.price_cents for history in histories]),
        extra={name: np.vstack([history.extra[name] for history in histories]) for name in first.extra},
        plan={name: np.vstack([history.plan[name] for history in histories]) for name in first.plan},
    )
