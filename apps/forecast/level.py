"""The level of what is served, for those who compare a new release's pods with the old ones'."""

from math import nan

from prometheus_client import CollectorRegistry, Gauge

from apps.forecast.serving import Serving


def tell_level(serving: Serving, registry: CollectorRegistry) -> None:
    """Add the mean of next month's forecasts over all products, in units a product; NaN while nothing is served.

    It is the snapshot's own, so two pods can be compared however few requests they answered.
    """

    def mean() -> float:
        loaded = serving.now
        total = loaded.snapshot.total if loaded else {}
        return float(total["mean"]) / total["products"] if total.get("products") else nan

    gauge = Gauge(
        "forecast_snapshot_mean_units",
        "Mean of next month's forecasts over all products of the served snapshot, units a product.",
        registry=registry,
    )
    gauge.set_function(mean)
