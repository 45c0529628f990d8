"""Categories and totals on a panel: ways to quantiles of a sum, and whether reconciling means helps.

`python -m benchmarks.categories --panel FILE` prints the tables of docs/categories.md. The first two tested periods
only serve to estimate from; every number of a period rests on earlier ones.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml import features, metrics
from ml.decisions.demand import Demand
from ml.decisions.paths import normal_score
from ml.dependence import ASSUMED, Dependence
from ml.distribution import LEVELS, P10, P90, Floats
from ml.evaluation import Backtest, backtest
from ml.forecasting import encoded
from ml.group_forecasts import group_forecasts
from ml.history import History
from ml.models import CANDIDATES, RECIPE
from ml.panel_file import read_panel

SEED = 7
LEARNING = 2
"""Tested periods that are not scored."""

WIDTH_80 = 2.563
"""Standard deviations between the tenth and the ninetieth percentile of a normal distribution."""

Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Groups:
    """The direct series: one row per category in the order of `names`, the total last."""

    names: tuple[str, ...]
    code: Ints
    history: History

    @classmethod
    def of(cls, history: History) -> "Groups":
        """Units of products that were listed the period before: what a sum of forecasts can be about."""
        names, code = np.unique(np.array(history.categories), return_inverse=True)
        listed = np.zeros(history.units.shape, dtype=np.bool_)
        listed[:, 1:] = ~np.isnan(history.units[:, :-1])
        units = np.where(listed, np.nan_to_num(history.units), 0.0)
        sums = np.stack([*(units[code == k].sum(axis=0) for k in range(len(names))), units.sum(axis=0)])
        first = np.where(sums.any(axis=1), np.argmax(sums > 0, axis=1), 1)
        sums[np.arange(history.T) < first[:, np.newaxis]] = np.nan
        direct = replace(
            history,
            product_ids=(*names.tolist(), "TOTAL"),
            categories=("group",) * len(sums),
            units=sums,
            price_cents=np.full(sums.shape, np.nan),
            extra={},
        )
        return cls(tuple(names.tolist()), code, direct)

    def sums(self, values: Floats, rows: Ints) -> Floats:
        """(groups, ...) sums of the values of some products."""
        total = np.zeros((len(self.names) + 1, *values.shape[1:]))
        np.add.at(total, self.code[rows], values)
        total[-1] = values.sum(axis=0)
        return total


def reconciled(bottom_up: Floats, variance: Floats, direct: Floats, direct_variance: Floats) -> Floats:
    """(c,) least-squares means of categories under a total, in closed form; none is negative.

    Trace minimisation with a diagonal error matrix (Wickramasuriya, Athanasopoulos and Hyndman 2019) on the tree
    total - categories - products: categories weigh both their forecasts by precision, then share what the total's
    own forecast disagrees by. Products follow in proportion to their variances.

    Args:
        bottom_up: (c,) sums of the products' means.
        variance: (c,) of their errors, > 0.
        direct: (c + 1,) own forecasts, the total last.
        direct_variance: (c + 1,) of their errors, > 0.
    """
    precision = 1 / variance + 1 / direct_variance[:-1]
    mean = (bottom_up / variance + direct[:-1] / direct_variance[:-1]) / precision
    left = 1 / precision
    whole = (mean.sum() / left.sum() + direct[-1] / direct_variance[-1]) / (
        1 / left.sum() + 1 / direct_variance[-1]
    )
    made: Floats = np.maximum(mean + left / left.sum() * (whole - mean.sum()), 0.0)
    return made


def direct_weight(bottom_up: Floats, direct: Floats) -> float:
    """Weight of the direct forecast with the least squared error of the average (Bates and Granger 1969), 0 to 1.

    Args:
        bottom_up: Past errors, scaled.
        direct: Past errors of the same groups and periods.
    """
    difference = bottom_up - direct
    square = float(difference @ difference)
    return float(np.clip(bottom_up @ difference / square, 0.0, 1.0)) if square > 0 else 0.0


class Comparison:
    """Collects, period by period, what each way says of the groups and what came."""

    def __init__(self, tested: Backtest, direct: Backtest, groups: Groups) -> None:
        self.tested, self.direct, self.groups = tested, direct, groups
        self.scores = np.full((tested.history.n, len(tested.origins)), np.nan)
        self.quantiles: dict[str, list[tuple[Floats, Floats]]] = {}
        self.means: dict[str, list[tuple[Floats, Floats]]] = {}
        self.products: dict[str, Floats] = {}
        self.errors: list[tuple[Floats, Floats]] = []
        self._uniform = np.random.default_rng(0)

    def period(self, k: int) -> None:
        """Add the tested period at place k."""
        history, t = self.tested.history, self.tested.origins[k]
        prediction, own = (b.predictions[RECIPE][k] for b in (self.tested, self.direct))
        rows = np.flatnonzero(~np.isnan(history.units[:, t - 1]) & ~np.isnan(history.units[:, t]))
        actual = self.groups.sums(history.units[rows, t], rows)
        bottom_up = self.groups.sums(prediction.mean[rows], rows)
        if k >= LEARNING:
            made = self._sums(rows, prediction.mean, prediction.levels, k)
            added = self.groups.sums(prediction.levels[rows], rows)
            for way, levels in {"quantiles added": added, **made, "direct forecast": own.levels}.items():
                self.quantiles.setdefault(way, []).append((actual, levels))
            self._means(k, rows, actual, bottom_up, made["joint, usual"])
        scale = features.scale(self.direct.history.until(t))
        self.errors.append(((bottom_up - actual) / scale, (own.mean - actual) / scale))
        demands = Demand.from_quantiles(prediction.levels[rows])
        for i, demand in zip(rows.tolist(), demands, strict=True):
            self.scores[i, k] = normal_score(demand, history.units[i, t], self._uniform.random())

    def _sums(self, rows: Ints, mean: Floats, levels: Floats, k: int) -> dict[str, Floats]:
        categories = self.tested.history.categories
        answers = [
            encoded(
                {
                    "category": categories[i],
                    "mean": float(mean[i]),
                    "quantiles": dict(zip((f"{level:.2f}" for level in LEVELS), levels[i], strict=True)),
                }
            )
            for i in rows.tolist()
        ]
        estimated = Dependence.fit(self.scores[:, :k], categories)
        ways = {"independent": Dependence(), "joint, usual": ASSUMED, "joint, estimated": estimated}
        return {way: self._levels(group_forecasts(answers, dependence)) for way, dependence in ways.items()}

    def _levels(self, made: Mapping[str, Any]) -> Floats:
        found, total = made["category_forecasts"], made["total_forecast"]
        nothing = {"quantiles": dict.fromkeys(total["quantiles"], 0.0)}
        groups = [*(found.get(name, nothing) for name in self.groups.names), total]
        return np.array([list(group["quantiles"].values()) for group in groups])

    def _means(self, k: int, rows: Ints, actual: Floats, bottom_up: Floats, joint: Floats) -> None:
        own = self.direct.predictions[RECIPE][k]
        variance, direct_variance = (
            np.maximum((levels[:, P90] - levels[:, P10]) / WIDTH_80, 1e-3) ** 2
            for levels in (joint, own.levels)
        )
        past = [np.concatenate(errors) for errors in zip(*self.errors, strict=True)]
        weight = direct_weight(*past)
        ways = {
            "bottom-up": bottom_up[:-1],
            "direct": own.mean[:-1],
            "least squares": reconciled(bottom_up[:-1], variance[:-1], own.mean, direct_variance),
            "weighted by past errors": (1 - weight) * bottom_up[:-1] + weight * own.mean[:-1],
        }
        prediction = self.tested.predictions[RECIPE][k]
        for way, categories in ways.items():
            whole = np.append(categories, own.mean[-1] if way == "direct" else categories.sum())
            self.means.setdefault(way, []).append((actual, whole))
            factor = np.divide(
                categories, bottom_up[:-1], out=np.ones(len(categories)), where=bottom_up[:-1] > 0
            )
            made = self.products.setdefault(way, np.full(self.scores.shape, np.nan))
            made[rows, k] = (prediction.mean * factor[self.groups.code])[rows]

    def print(self) -> None:
        """Both tables."""
        print("| quantiles by | categories: loss | in 80 % | in 90 % | total: loss |\n|---|---|---|---|---|")
        for way, made in self.quantiles.items():
            actual, levels = (np.concatenate(parts) for parts in _without_total(made))
            whole, of_whole = np.stack([a[-1] for a, _ in made]), np.stack([q[-1] for _, q in made])
            covered = [metrics.coverage(actual, levels[:, i], levels[:, -2 - i]) for i in (P10, 0)]
            print(
                f"| {way} | {_loss(actual, levels):.4f} | {covered[0]:.0%} | {covered[1]:.0%} |"
                f" {_loss(whole, of_whole):.4f} |"
            )
        print("\n| means | categories: WAPE | total: WAPE | products: RMSSE |\n|---|---|---|---|")
        for way, means in self.means.items():
            actual, mean = (np.concatenate(parts) for parts in _without_total(means))
            total = metrics.wape(
                *(np.array([part[-1] for part in parts]) for parts in zip(*means, strict=True))
            )
            print(f"| {way} | {metrics.wape(actual, mean):.4f} | {total:.4f} | {self._rmsse(way):.4f} |")

    def _rmsse(self, way: str) -> float:
        judged = self.tested.judged(RECIPE)
        mean = self.products[way][judged.series, judged.origin]
        use = ~np.isnan(mean)
        return metrics.rmsse(judged.actual[use], mean[use], judged.squared_scale[use], judged.series[use])


def _without_total(made: list[tuple[Floats, Floats]]) -> tuple[list[Floats], list[Floats]]:
    """Categories that sold or were forecast."""
    known = [(a[:-1] > 0) | (b[:-1].reshape(len(a) - 1, -1).max(axis=1) > 0) for a, b in made]
    return [a[:-1][u] for (a, _), u in zip(made, known, strict=True)], [
        b[:-1][u] for (_, b), u in zip(made, known, strict=True)
    ]


def _loss(actual: Floats, levels: Floats) -> float:
    """Mean pinball loss over the levels, twice, as a share of the units sold."""
    losses = metrics.scaled_pinball(actual, levels, LEVELS, np.ones(len(actual)))
    return float(losses.sum() / actual.sum())


def main() -> None:
    """Print two Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panel", type=Path, required=True, help="as for `python -m ml backtest`")
    parser.add_argument("--origins", type=int, default=6, help="tested periods, at least 3 [%(default)s]")
    parser.add_argument("--products", type=int, default=5_000, help="drawn at random from more [%(default)s]")
    parser.add_argument("--periods", type=int, default=60, help="the last ones are used [%(default)s]")
    options = parser.parse_args()
    history = _part(read_panel(options.panel).history, options.products, options.periods)
    groups, recipe = Groups.of(history), {RECIPE: CANDIDATES[RECIPE]}
    tested, direct = (
        backtest(each, recipe, seed=SEED, test_origins=options.origins) for each in (history, groups.history)
    )
    comparison = Comparison(tested, direct, groups)
    for k in range(len(tested.origins)):
        comparison.period(k)
    print(f"{options.panel.name}: {history.n} products, {len(groups.names)} categories\n")
    comparison.print()


def _part(history: History, products: int, periods: int) -> History:
    first = max(0, history.T - periods)
    cut = replace(
        history,
        months=history.months[first:],
        units=history.units[:, first:],
        price_cents=history.price_cents[:, first:],
        extra={name: values[:, first:] for name, values in history.extra.items()},
    )
    sold = np.flatnonzero(np.nan_to_num(cut.units).any(axis=1))
    if len(sold) > products:
        sold = np.sort(np.random.default_rng(1).choice(sold, products, replace=False))
    return cut.rows(sold)


if __name__ == "__main__":
    main()
