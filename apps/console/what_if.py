"""A planner's own numbers as people write them: money with cents, units as whole numbers."""

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
SEPARATORS = {"tr": (".", ",")}
"""What groups thousands and what stands before the decimals, by language; `,` and `.` in others."""


class NotANumber(Exception):
    """A parameter that is no number.

    Args:
        name: Of the parameter.
        text: What was written, as far as it is shown.
        is_money: Whether an amount was wanted, else a whole number.
    """

    def __init__(self, name: str, text: str, *, is_money: bool) -> None:
        super().__init__(f"{name} is {text!r}")
        self.name, self.text, self.is_money = name, text, is_money


def numbers_from(parameters: Mapping[str, str], language: str = "en") -> Numbers:
    """The numbers that were given; an empty input is one that was not.

    Raises:
        NotANumber: It names the first input that cannot be read.
    """
    given = {
        field.number: whole(field.name, parameters[field.name], language, is_money=field.is_money)
        for field in FIELDS
        if parameters.get(field.name, "").strip()
    }
    return Numbers.model_validate(given)


def whole(name: str, text: str, language: str = "en", *, is_money: bool = False) -> int:
    """A whole number, of cents where money was written.

    Raises:
        NotANumber: It is none, has parts of a cent, or is beyond `LARGEST`.
    """
    text = text.strip()
    group, point = SEPARATORS.get(language, (",", "."))
    try:
        plain = text[:MAX_CHARACTERS].replace(group, "").replace(point, ".")
        value = Decimal(plain) * (100 if is_money else 1)
        if len(text) <= MAX_CHARACTERS and abs(value) <= LARGEST and value == value.to_integral_value():
            return int(value)
    except ArithmeticError:
        pass  # said below, as for every other text
    raise NotANumber(name, text[:MAX_CHARACTERS], is_money=is_money)
