"""How well past forecasts did, of the report that `python -m ml evaluate` leaves."""

from dataclasses import dataclass

from apps.forecast.schemas import EvaluationReport, MonthFigures, StockImpact

ALL = "all"
"""The name of all months together."""


@dataclass(frozen=True)
class Past:
    """One model in its newest month that is over, and what stocking by forecasts was worth; None is not measured."""

    month: MonthFigures | None
    impact: StockImpact | None


def past_of(report: EvaluationReport | None, model_version: int) -> Past:
    """Of the released model; where it has no month that is over, of the model that has the newest."""
    if report is None:
        return Past(None, None)
    months = [each for each in report.months if each.horizon == 1]
    own = [each for each in months if each.model_version == model_version]
    newest = max(own or months, key=lambda each: (each.month, each.model_version), default=None)
    impacts = [each for each in report.impact or () if each.month != ALL]
    return Past(newest, max(impacts, key=lambda each: each.month, default=None))
