"""The form of one budget for many products, from what people write to the question of the decision service."""

import re
from collections.abc import Mapping

from apps.console.what_if import NotANumber, whole
from apps.decision.schemas import LARGEST_BUDGET_CENTS, MOST_PRODUCTS, Numbers, PortfolioRequest
from ml.events import TEXT_LENGTH, canonical_product_id

NEXT_STEPS = 1000
_BETWEEN = re.compile(r"\s*[\t;]\s*")
_COMMAS = re.compile(r"\s*,\s*")


class BadLine(Exception):
    """A line of what is at hand that cannot be read.

    Args:
        number: From 1.
        text: As far as it is shown.
    """

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"line {number} is {text[:80]!r}")
        self.number, self.text = number, text[:80]


def portfolio_request(form: Mapping[str, str], language: str) -> PortfolioRequest:
    """The question: `budget` and `ads` are money, `at_hand` has a product in each line.

    Raises:
        NotANumber: Budget or advertising is no amount that can be asked for.
        BadLine: It names the first line that cannot be read.
    """
    budget = _money(form, "budget", language)
    if budget is None:
        raise NotANumber("budget", "", is_money=True)
    return PortfolioRequest(
        budget_cents=budget,
        category=form.get("category", "").strip()[:TEXT_LENGTH] or None,
        products=at_hand(form.get("at_hand", ""), language),
        ad_budget_cents=_money(form, "ads", language),
        next_steps=NEXT_STEPS,
    )


def at_hand(text: str, language: str) -> dict[str, Numbers]:
    """Stock by product: id, units in stock and, if any, units on order, with tabs or semicolons between, else commas.

    Raises:
        BadLine: A line is something else, the id is there twice, or there are more than `MOST_PRODUCTS`.
    """
    found: dict[str, Numbers] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        between = _BETWEEN if _BETWEEN.search(line) else _COMMAS
        name, *units = between.split(line.strip())
        product_id = canonical_product_id(name)
        try:
            counted = [whole("units", each, language) for each in units if each]
        except NotANumber:
            raise BadLine(number, line) from None
        is_one = product_id and product_id not in found and len(found) < MOST_PRODUCTS
        if not is_one or len(counted) not in {1, 2} or min(counted) < 0:
            raise BadLine(number, line)
        found[product_id] = Numbers.model_validate(
            dict(zip(("on_hand_units", "on_order_units"), counted, strict=False))
        )
    return found


def _money(form: Mapping[str, str], name: str, language: str) -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    cents = whole(name, text, language, is_money=True)
    if not 0 <= cents <= LARGEST_BUDGET_CENTS:
        raise NotANumber(name, text, is_money=True)
    return cents
