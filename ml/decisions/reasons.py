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
    decimal_point: str
    order: str
    order_one: str
    order_nothing: str
    stock: str
    months: str
    neutral: str
    cautious: str
    no_spend: str
    unchanged: str
    change: str
    sources: dict[str, str]


_ENGLISH: Final = _Words(
    decimal_point=".",
    order="Order {order} units",
    order_one="Order 1 unit",
    order_nothing="Order nothing",
    stock="{order} to have {available}{months} ({held} are there or on the way): mean demand is {mean} a "
    "month, a unit missing costs {underage} cents and one too many {overage}, so {aim}; {advice}.",
    months=" for {months} months",
    neutral="stock should last in {share:.0f}% of outcomes",
    cautious="stock is what earns most in the mean of the worst {share:.0f}% of outcomes",
    no_spend="advertising stays at nothing, since there is no spend to measure a response from",
    unchanged="advertising stays as it is",
    change="advertising {change:+.0f}%, by {source}",
    sources={
        "prior": "an assumed elasticity, since none was given",
        "given": "the elasticity that was given",
        "fitted": "the response in its own months",
    },
)
_TURKISH: Final = _Words(
    decimal_point=",",
    order="{order} adet sipariş edin",
    order_one="1 adet sipariş edin",
    order_nothing="Sipariş vermeyin",
    stock="{order}; elde {months}{available} adet olur ({held} adet elde veya yolda): aylık ortalama talep "
    "{mean} adet, eksik bir adet {underage} kuruşa, fazla bir adet {overage} kuruşa mal olur, bu yüzden "
    "{aim}; {advice}.",
    months="{months} ay için ",
    neutral="stok sonuçların %{share:.0f} kadarına yetmeli",
    cautious="stok, sonuçların en kötü %{share:.0f} kadarının ortalamasında en çok kazandırandır",
    no_spend="reklam sıfırda kalır, çünkü etkisini ölçecek bir harcama yok",
    unchanged="reklam olduğu gibi kalır",
    change="reklam %{change:+.0f}, dayanak: {source}",
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
    months, order = economics.cover_months, stock.order_units
    is_neutral = economics.cvar_share == 1
    aim, share = (
        (words.neutral, economics.critical_ratio) if is_neutral else (words.cautious, economics.cvar_share)
    )
    ordered = {0: words.order_nothing, 1: words.order_one}.get(order, words.order.format(order=order))
    return words.stock.format(
        order=ordered,
        available=stock.available_units,
        months="" if months == 1 else words.months.format(months=months),
        held=economics.position_units,
        mean=f"{mean:.1f}".replace(".", words.decimal_point),
        underage=economics.underage_cents,
        overage=economics.overage_cents,
        aim=aim.format(share=100 * share),
        advice=advice,
    )


def _advice(words: _Words, plan: AdPlan, source: str) -> str:
    if plan.binding == "no_spend":
        return words.no_spend
    if abs(plan.change_share) < _HARDLY:
        return words.unchanged
    return words.change.format(change=100 * plan.change_share, source=words.sources[source])
