"""What the forecast service served, by model and snapshot."""

from argparse import Namespace
from datetime import UTC, datetime, time
from typing import Any

from ml.served import Served, place_of_served, read_served
from ml.settings import MlSettings
from ml.verbs import Answer


def run(options: Namespace, _: MlSettings) -> Answer:
    """Sums of every model and snapshot; a no if a file could not be read, since then they are too small."""
    since = options.since and datetime.combine(options.since, time(), UTC)
    served, unreadable = read_served(place_of_served(options.store), since)
    told = [_told(each, options.products) for each in served]
    return Answer({"served": told, "unreadable": unreadable}, yes=not unreadable)


def _told(served: Served, products: int) -> dict[str, Any]:
    """One model and snapshot, with the products that were asked for most."""
    most = sorted(served.asked.items(), key=lambda each: (-each[1], each[0]))[:products]
    return {
        "model_version": served.model_version,
        "model_sha256": served.model_sha256,
        "data_version": served.data_version,
        "since": served.since,
        "until": served.until,
        "files": served.files,
        "products": served.products,
        "asked": served.asked.total(),
        "listed": served.listed.total(),
        "live": served.live,
        "live_samples": len(served.samples),
        "most_asked": dict(most),
    }
