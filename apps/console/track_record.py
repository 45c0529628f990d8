"""How past forecasts of one product did: each month beside what came, and errors over all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.forecast.schemas import Past, PastForecast


@dataclass(frozen=True)
class Judged:
    """A month that is over: what had been forecast, and what came; `before` is what the month before it sold."""

    forecast: PastForecast
    came: float
    before: float | None

    @property
    def error(self) -> float:
        """Units, above zero where the forecast was too high."""
        return self.forecast.mean - self.came

    @property
    def inside(self) -> bool:
        """Whether what came lay from P10 to P90, both included."""
        return self.forecast.p10 <= self.came <= self.forecast.p90


@dataclass(frozen=True)
class TrackRecord:
    """Errors over all judged months, shares 0 to 1; None where they have no meaning.

    Attributes:
        judged: Newest month first.
        wape: Absolute errors over units sold.
        naive_wape: The same, had the month before been the forecast, over the months that have one.
        bias: Errors over units sold; above zero is too high.
        inside: Share of months within P10 to P90, of which 80 % should be.
    """

    judged: tuple[Judged, ...]
    wape: float | None
    naive_wape: float | None
    bias: float | None
    inside: float | None

    @property
    def by_month(self) -> dict[str, Judged]:
        """The judged months by name."""
        return {each.forecast.month: each for each in self.judged}


def months_of(past: Past) -> list[str]:
    """YYYY-MM of each of its units."""
    year, month = map(int, past.first_month.split("-"))
    first = 12 * year + month - 1
    return [f"{at // 12:04}-{at % 12 + 1:02}" for at in range(first, first + len(past.units))]


def track_record(past: Past) -> TrackRecord:
    """What the forecasts of a product's past are worth; those of months that it does not have are passed over."""
    months = months_of(past)
    came = dict(zip(months, past.units, strict=True))
    before = dict(zip(months[1:], past.units, strict=False))
    judged = [
        Judged(each, came[each.month], before.get(each.month))
        for each in past.forecasts
        if each.month in came
    ]
    naive = [each for each in judged if each.before is not None]
    return TrackRecord(
        judged=tuple(sorted(judged, key=lambda each: each.forecast.month, reverse=True)),
        wape=_over_sold([abs(each.error) for each in judged], judged),
        naive_wape=_over_sold([abs((each.before or 0.0) - each.came) for each in naive], naive),
        bias=_over_sold([each.error for each in judged], judged),
        inside=sum(each.inside for each in judged) / len(judged) if judged else None,
    )


def _over_sold(errors: Sequence[float], judged: Sequence[Judged]) -> float | None:
    sold = sum(each.came for each in judged)
    return sum(errors) / sold if sold > 0 else None
