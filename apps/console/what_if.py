"""A planner's own numbers from the address of a page: money as people write it, units as whole numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from apps.decision.schemas import Numbers


@dataclass(frozen=True)
class Field:
    """One input of the form; `name` is its parameter, `number` the field of `Numbers` it fills."""

    name: str
    number: str
    is_money: bool = False


FIELDS = (
    Field("price", "price_cents", is_money=True),
    Field("cost", "cost_cents", is_money=True),
    Field("on_hand", "on_hand_units"),
    Field("on_order", "on_order_units"),
    Field("lead_time", "lead_time_months"),
    Field("ads", "ad_spend_cents", is_money=True),
)
MAX_CHARACTERS = 20
LARGEST = 10**15


class NotANumber(Exception):
    """A parameter that is no number; the text names it and its value."""


def numbers_from(parameters: Mapping[str, str]) -> Numbers:
    """The numbers that were given; an empty input is one that was not.

    Raises:
        NotANumber: It names the first input that cannot be read.
    """
    given = {
        field.number: _whole(field, parameters[field.name].strip())
        for field in FIELDS
        if parameters.get(field.name, "").strip()
    }
    return Numbers.model_validate(given)


def _whole(field: Field, text: str) -> int:
    try:
        value = Decimal(text[:MAX_CHARACTERS]) * (100 if field.is_money else 1)
        if len(text) <= MAX_CHARACTERS and abs(value) <= LARGEST and value == value.to_integral_value():
            return int(value)
    except ArithmeticError:
        pass  # said below, as for every other text
    form = "money such as 12.50" if field.is_money else "a whole number"
    raise NotANumber(f"{field.name} is {text[:MAX_CHARACTERS]!r}; write {form}")
