"""Is the challenger better than the champion? Answered from paired losses; closed by default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Answer = Literal["better", "non_inferior", "worse", "not_enough_data"]

DRAWS: Final = 1_000
CONFIDENCE: Final = 0.95
MARGIN: Final = 1.01
SMALLEST_ORIGINS: Final = 3
SMALLEST_SERIES: Final = 30
WIDEST_INTERVAL: Final = 0.1
"""Half the width of an interval that still decides."""


@dataclass(frozen=True)
class Verdict:
    """The answer and what it rests on.

    Attributes:
        answer: `better` and `non_inferior` may be promoted, the other two may not.
        ratio: Summed loss of the challenger over that of the champion; below 1 the challenger is better.
            NaN where it has no meaning.
        lower: Lower end of its 95 % interval.
        upper: Upper end.
        observations: Pairs of losses.
        series: Products among them.
        origins: Months among them.
        reasons: One sentence each, with the numbers that decided.
    """

    answer: Answer
    ratio: float
    lower: float
    upper: float
    observations: int
    series: int
    origins: int
    reasons: tuple[str, ...]


def decide(
    challenger: Floats,
    champion: Floats,
    series: NDArray[np.intp],
    origins: NDArray[np.intp],
    *,
    seed: int,
    draws: int = DRAWS,
    margin: float = MARGIN,
) -> Verdict:
    """Compare two procedures by the losses they had for the same products in the same months.

    The interval of the ratio of summed losses comes from a two-way bootstrap: products and months are drawn
    with replacement at once, and a loss counts as often as its product times its month was drawn (the
    pigeonhole bootstrap, Owen 2007). So neither a product that is off in all months nor a month that is off
    for all products passes as many independent observations.

    Args:
        challenger: One loss per product and month, for example `ml.metrics.scaled_pinball`.
        champion: Losses of the same rows.
        series: Which product each row belongs to.
        origins: Which month each row belongs to.
        seed: Same rows and seed give the same verdict.
        draws: Bootstrap draws.
        margin: Upper bound below which the challenger counts as not worse.

    Raises:
        ValueError: The arrays differ in length.
    """
    if not len(challenger) == len(champion) == len(series) == len(origins):
        lengths = [len(challenger), len(champion), len(series), len(origins)]
        raise ValueError(f"losses, products and months differ in length: {lengths}")
    counts = (len(challenger), len(np.unique(series)), len(np.unique(origins)))
    if refused := _unfit(challenger, champion, counts):
        return Verdict("not_enough_data", float("nan"), float("nan"), float("nan"), *counts, refused)
    ratio = float(challenger.sum() / champion.sum())
    tables = [_table(losses, series, origins) for losses in (challenger, champion)]
    lower, upper = _interval(tables[0], tables[1], np.random.default_rng(seed), draws)
    answer, reason = _answer(ratio, lower, upper, margin)
    return Verdict(answer, ratio, lower, upper, *counts, (reason,))


def _unfit(challenger: Floats, champion: Floats, counts: tuple[int, int, int]) -> tuple[str, ...]:
    """Why these losses cannot decide."""
    _, series, origins = counts
    reasons = []
    if origins < SMALLEST_ORIGINS:
        reasons.append(f"{origins} months were tested, {SMALLEST_ORIGINS} are needed")
    if series < SMALLEST_SERIES:
        reasons.append(f"{series} products were tested, {SMALLEST_SERIES} are needed")
    for name, losses in (("challenger", challenger), ("champion", champion)):
        if broken := int(np.sum(~np.isfinite(losses))):
            reasons.append(f"{broken} of {len(losses)} losses of the {name} are not finite")
    if not reasons and champion.sum() <= 0:
        reasons.append("the champion has no loss at all, so a ratio to it has no meaning")
    return tuple(reasons)


def _table(losses: Floats, series: NDArray[np.intp], origins: NDArray[np.intp]) -> Floats:
    """(products, months) losses; 0 where a pair was not tested."""
    products, row = np.unique(series, return_inverse=True)
    months, column = np.unique(origins, return_inverse=True)
    table = np.zeros((len(products), len(months)))
    np.add.at(table, (row, column), losses)
    return table


def _interval(
    challenger: Floats, champion: Floats, generator: np.random.Generator, draws: int
) -> tuple[float, float]:
    products, months = challenger.shape
    of_products = generator.multinomial(products, np.full(products, 1 / products), draws)
    of_months = generator.multinomial(months, np.full(months, 1 / months), draws)
    top, bottom = (np.sum((of_products @ table) * of_months, axis=1) for table in (challenger, champion))
    ratios = np.divide(top, bottom, out=np.ones(draws), where=bottom > 0)
    lower, upper = np.quantile(ratios, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(lower), float(upper)


def _answer(ratio: float, lower: float, upper: float, margin: float) -> tuple[Answer, str]:
    found = f"loss ratio {ratio:.4f} with 95 % interval {lower:.4f} to {upper:.4f}"
    if (upper - lower) / 2 > WIDEST_INTERVAL:
        return "not_enough_data", f"{found} is wider than {WIDEST_INTERVAL} to either side"
    if upper < 1:
        return "better", f"{found} is below 1"
    if upper < margin:
        return "non_inferior", f"{found} is below the margin {margin}"
    if lower > 1:
        return "worse", f"{found} is above 1"
    return "not_enough_data", f"{found} holds both better and worse than the margin {margin}"
