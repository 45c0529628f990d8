"""A made-up shop's monthly demand: what its products are, cost, and sell when nobody errs.

The same seed, number of products and months give the same shop.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CATEGORIES: Final[dict[str, tuple[float, ...]]] = {
    "garden": (0.4, 0.5, 0.9, 1.5, 1.9, 1.8, 1.3, 1.0, 0.8, 0.6, 0.5, 0.6),
    "toys": (0.7, 0.7, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 1.0, 1.1, 1.4, 2.1),
    "stationery": (0.9, 1.0, 0.8, 0.8, 0.8, 0.7, 0.8, 1.5, 2.0, 1.1, 0.8, 0.8),
    "kitchen": (0.9, 0.9, 1.0, 1.0, 1.1, 1.0, 0.9, 0.9, 1.0, 1.0, 1.2, 1.3),
    "lighting": (1.2, 1.1, 0.9, 0.8, 0.7, 0.7, 0.7, 0.8, 1.0, 1.2, 1.4, 1.5),
    "textile": (1.1, 1.0, 1.0, 0.9, 0.9, 0.8, 0.8, 0.9, 1.1, 1.2, 1.2, 1.1),
    "outdoor": (0.5, 0.6, 0.8, 1.1, 1.4, 1.7, 1.8, 1.5, 1.0, 0.7, 0.4, 0.5),
    "cosmetics": (0.9, 1.2, 1.1, 1.0, 1.2, 1.0, 0.9, 0.9, 0.9, 0.9, 1.1, 1.2),
}
"""Season of each category: demand of January to December beside a usual month."""

CAMPAIGNS: Final[dict[int, str]] = {1: "new-year", 7: "summer", 11: "november-days"}
"""Months in which the whole shop has a campaign."""

_TOP_LINES_OF_200: Final = 90.0
_ZIPF: Final = 0.6
_INTEREST_MEMORY, _INTEREST_NOISE = 0.6, 0.16
_PROMOTED_SHARE, _CAMPAIGN_SHARE = 0.07, 0.5


@dataclass(frozen=True, eq=False)
class Shop:
    """What is fixed about the products, one entry each, and their months: (n, T) arrays.

    Attributes:
        category: Position in `CATEGORIES`.
        bulk: Whether orders come rarely and large.
        price_cents: (n, T) price asked.
        discount: (n, T) share off the usual price, 0 without a promotion.
        lines: (n, T) expected order lines; 0 before the launch.
    """

    category: NDArray[np.intp]
    bulk: NDArray[np.bool_]
    price_cents: NDArray[np.int64]
    discount: Floats
    lines: Floats


def make_shop(products: int, months: NDArray[np.datetime64], seed: int) -> Shop:
    """A shop of `products` over consecutive `months` (datetime64[M]).

    Levels follow Zipf's law; a sixth of the products is launched during the first three quarters and grows,
    a tenth fades; a sixth sells rarely, a tenth rarely and in bulk. A discount d multiplies demand by
    (1 - d)^-e with an elasticity e of about 2 (Tellis 1988: a mean of 1.76 over 367 estimates).
    """
    rng = np.random.default_rng([seed, products])
    t = np.arange(len(months))
    kind = rng.choice(3, products, p=(0.74, 0.16, 0.10))
    category = rng.integers(0, len(CATEGORIES), products)
    discount = _discounts(rng, category, months)
    price = np.exp(rng.normal(9.2, 0.8, products))[:, None] * (1 + 0.25 * (t // 12))
    season = np.array(list(CATEGORIES.values()))[category][:, months.astype(np.int64) % 12]
    growth = np.exp(rng.normal(0.04, 0.12, products)[:, None] * t / 12)
    effect = (1 - discount) ** -np.clip(rng.normal(2.0, 0.4, products), 0.5, 3.5)[:, None]
    lines = (
        _levels(rng, kind)[:, None]
        * season
        * growth
        * effect
        * _life(rng, products, t)
        * _interest(rng, products, t)
    )
    return Shop(
        category=category,
        bulk=kind == 2,  # noqa: PLR2004  (the third kind)
        price_cents=np.maximum(np.round(price * (1 - discount), -1), 10).astype(np.int64),
        discount=discount,
        lines=lines,
    )


def _levels(rng: np.random.Generator, kind: NDArray[np.intp]) -> Floats:
    """Usual order lines a month by rank of popularity, ranks shuffled; rare kinds sell about one."""
    n = len(kind)
    rank = rng.permutation(n) + 1
    steady = _TOP_LINES_OF_200 * (n / 200 / rank) ** _ZIPF
    return np.where(kind == 0, steady, rng.uniform(0.15, 1.1, n))


def _life(rng: np.random.Generator, products: int, t: NDArray[np.intp]) -> Floats:
    """Share of the usual level: 0 before the launch, then growing; falling once a product fades."""
    launch = np.where(rng.random(products) < 1 / 6, rng.uniform(0, 0.75 * len(t), products), -60)
    fade = np.where(rng.random(products) < 1 / 10, rng.uniform(0.3 * len(t), len(t), products), np.inf)
    age = t[None, :] - np.floor(launch)[:, None]
    grown = np.where(age < 0, 0.0, 1 - 0.7 * np.exp(-np.maximum(age, 0) / 3))
    faded: Floats = np.exp(-np.maximum(t[None, :] - fade[:, None], 0) / 4)
    return grown * faded


def _interest(rng: np.random.Generator, products: int, t: NDArray[np.intp]) -> Floats:
    """Slowly wandering popularity around 1, which views show a month before sales do."""
    noise = rng.normal(0, _INTEREST_NOISE, (products, len(t)))
    wander = np.zeros_like(noise)
    for month in t[1:]:
        wander[:, month] = _INTEREST_MEMORY * wander[:, month - 1] + noise[:, month]
    interest: Floats = np.exp(wander)
    return interest


def _discounts(
    rng: np.random.Generator, category: NDArray[np.intp], months: NDArray[np.datetime64]
) -> Floats:
    """Promotions of single products, and the shop's campaigns on half of its categories."""
    shape = len(category), len(months)
    own = np.where(rng.random(shape) < _PROMOTED_SHARE, rng.choice((0.1, 0.15, 0.2, 0.3), shape), 0.0)
    campaign = np.isin(months.astype(np.int64) % 12 + 1, list(CAMPAIGNS))
    chosen = rng.random((len(CATEGORIES), len(months)))[category] < _CAMPAIGN_SHARE
    discount: Floats = np.maximum(own, np.where(campaign & chosen, 0.2, 0.0))
    return discount
