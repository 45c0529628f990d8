"""Fit a share of what a training will need, so that several processes train side by side."""

import logging
from argparse import Namespace

from ml.evaluation import origins
from ml.hindcasts import Hindcasts
from ml.lake import Lake
from ml.panel import load_history
from ml.settings import MlSettings
from ml.stored_fits import StoredFits, share_of
from ml.terminal import progress_bar
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """Yes once the share is stored; what was stored before is not fitted again."""
    history = load_history(Lake(settings.lake), options.until)
    stored = StoredFits(settings.fits, history, settings.random_seed)
    hindcasts = Hindcasts(history, settings.random_seed, first := origins(history)[0])
    work = share_of(history, range(first, history.T + 1), options.share)
    made = 0
    with progress_bar() as progress:
        for done, (member, t) in enumerate(work, start=1):
            if stored.get(member, t) is None:
                stored.put(member, t, hindcasts.fit(member, t))
                made += 1
            progress(done, len(work), member.name)
    report = {"share": list(options.share), "fits": len(work), "made": made}
    _LOG.info("share_fitted", extra=report)
    return Answer(report)
