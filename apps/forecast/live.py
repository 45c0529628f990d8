"""Forecasts for histories that callers send, made by the function that made the snapshot."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, TypeAdapter, WrapValidator

from apps.chassis.problems import refused_field
from apps.forecast.loaded import Loaded
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
    for position, product in enumerate(sent):
        try:
            product.require_within(loaded.live.months)
        except ValueError as error:
            raise refused_field(f"[{position}].first_month", str(error)) from error
    answers: dict[int, bytes] = {}
    for positions in _alike(sent):
        together = loaded.live.history([sent[position] for position in positions])
        answers |= zip(positions, loaded.live.forecaster.answers(together), strict=True)
    return [answers[position] for position in range(len(sent))]


def _alike(sent: Sequence[ProductHistory]) -> list[list[int]]:
    """Positions of histories with the same columns."""
    groups: dict[tuple[frozenset[str], frozenset[str]], list[int]] = {}
    for position, product in enumerate(sent):
        groups.setdefault(product.columns, []).append(position)
    return list(groups.values())
