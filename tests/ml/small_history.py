"""A made-up shop as a `History`: steady, seasonal, rare, new and forgotten products, from one seed."""

import numpy as np

from ml.history import History

CATEGORIES = ("kitchen", "garden", "toys")


def small_shop(products: int = 40, months: int = 24, seed: int = 0) -> History:
    """Negative binomial units with season; every fifth product sells rarely, some start late or stopped."""
    rng = np.random.default_rng(seed)
    mean = np.exp(rng.uniform(np.log(2), np.log(80), products))
    mean[::5] = 0.3
    season = 1 + 0.3 * np.sin(2 * np.pi * (np.arange(months) + rng.integers(0, 12, products)[:, None]) / 12)
    size = 4.0
    rate = rng.gamma(size, mean[:, None] * season / size)
    units = rng.poisson(rate).astype(np.float64)
    units[1::10, months // 2 :] = 0.0
    for row in range(2, products, 8):
        units[row, : rng.integers(months // 2, months - 1)] = np.nan
    first = np.argmax(~np.isnan(units), axis=1)
    units[np.arange(products), first] = np.maximum(units[np.arange(products), first], 1.0)
    sold = np.nan_to_num(units) > 0
    price = np.where(
        sold, rng.integers(100, 5_000, products)[:, None] * rng.uniform(0.9, 1.1, units.shape), np.nan
    )
    orders = np.where(sold, np.ceil(np.nan_to_num(units) / 2), 0.0)
    return History(
        product_ids=tuple(f"P{i:04d}" for i in range(products)),
        categories=tuple(CATEGORIES[i % len(CATEGORIES)] for i in range(products)),
        months=np.arange(np.datetime64("2024-01", "M"), np.datetime64("2024-01", "M") + months),
        units=units,
        price_cents=price,
        extra={"orders": orders, "views": 20 * orders},
    )
