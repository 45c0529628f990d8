"""A decision in one sentence for a planner, in English and Turkish."""

from dataclasses import dataclass
from typing import Final

from ml.decisions.advertising import AdPlan
from ml.decisions.economics import Economics
from ml.decisions.stock import StockPlan

_HARDLY: Final = 0.005
"""Half a percent, which is shown as none."""


@dataclass(frozen=True)
class _Words:
    order: str
    order_nothing: str
    stock: str
    months: str
    no_spend: str
    unchanged: str
    change: str
    sources: dict[str, str]


_ENGLISH: Final = _Words(
    order="Order {order} units",
    order_nothing="Order nothing",
    stock="{order} to have {available}{months} ({held} are there or on the way): mean demand is {mean:.1f} a "
    "month, a unit missing costs {underage} cents and one too many {overage}, so stock should last in "
    "{ratio:.0%} of outcomes; {advice}.",
    months=" for {months} months",
    no_spend="advertising stays at nothing, since there is no spend to measure a response from",
    unchanged="advertising stays as it is",
    change="advertising {change:+.0%}, by {source}",
    sources={
        "prior": "an assumed elasticity, since none was given",
        "given": "the elasticity that was given",
        "fitted": "the response in its own months",
    },
)
_TURKISH: Final = _Words(
    order="{order} adet sipariş edin",
    order_nothing="Sipariş vermeyin",
    stock="{order}; elde {months}{available} adet olur ({held} adet elde veya yolda): aylık ortalama talep "
    "{mean:.1f} adet, eksik bir adet {underage} kuruşa, fazla bir adet {overage} kuruşa mal olur, bu yüzden "
    "stok sonuçların %{percent:.0f} kadarına yetmeli; {advice}.",
    months="{months} ay için ",
    no_spend="reklam sıfırda kalır, çünkü etkisini ölçecek bir harcama yok",
    unchanged="reklam olduğu gibi kalır",
    change="reklam {change:+.0%}, dayanak: {source}",
    sources={
        "prior": "verilmediği için varsayılan esneklik",
        "given": "verilen esneklik",
        "fitted": "ürünün kendi aylarındaki tepki",
    },
)


def reasons(
    mean: float, stock: StockPlan, advertising: AdPlan, economics: Economics, source: str
) -> tuple[str, str]:
    """The English and the Turkish sentence.

    Args:
        mean: Expected units of a month.
        stock: What to order.
        advertising: What to spend.
        economics: The numbers both came from.
        source: Where the response to advertising is from: prior, given or fitted.
    """
    english, turkish = (
        _sentence(words, mean, stock, _advice(words, advertising, source), economics)
        for words in (_ENGLISH, _TURKISH)
    )
    return english, turkish


def _sentence(words: _Words, mean: float, stock: StockPlan, advice: str, economics: Economics) -> str:
    months = economics.cover_months
    share = economics.cvar_share * economics.critical_ratio
    return words.stock.format(
        order=words.order.format(order=stock.order_units) if stock.order_units else words.order_nothing,
        available=stock.available_units,
        months="" if months == 1 else words.months.format(months=months),
        held=economics.on_hand_units + economics.on_order_units,
        mean=mean,
        underage=economics.underage_cents,
        overage=economics.overage_cents,
        ratio=share,
        percent=100 * share,
        advice=advice,
    )


def _advice(words: _Words, plan: AdPlan, source: str) -> str:
    if plan.binding == "no_spend":
        return words.no_spend
    if abs(plan.change_share) < _HARDLY:
        return words.unchanged
    return words.change.format(change=plan.change_share, source=words.sources[source])
