"""Make the events of one customer anonymous."""

import logging
import sys
from argparse import Namespace
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ml.erasure import erase
from ml.errors import BadCustomer
from ml.inbox_erasure import inbox_erasure
from ml.ingest import drain_inbox
from ml.lake import Lake
from ml.open_inbox import open_inbox
from ml.pseudonym import is_pseudonym, pseudonym
from ml.settings import MlSettings
from ml.verbs import Answer

_LOG = logging.getLogger(__name__)


def run(options: Namespace, settings: MlSettings) -> Answer:
    """What was found and what it cost; no if the customer can still be read somewhere.

    What the inbox has accepted goes into the lake first, so that no event of the customer is on the way.
    """
    customers = _named(options.customer_file, settings)
    lake = Lake(settings.lake)
    with lake.lock():
        if not (isinstance(settings.inbox, Path) and not settings.inbox.exists()):
            with closing(open_inbox(settings.inbox, settings.inbox_login)) as inbox:
                drain_inbox(inbox, lake, settings)
        events = inbox_erasure(settings.inbox, settings.inbox_login)
        erased = erase(lake, events, customers, settings.shop_zone, datetime.now(UTC))
    _LOG.info(
        "erased", extra={"erasure": erased.erasure, "events": erased.events, "left": len(erased.left_in)}
    )
    return Answer(erased.to_json(), yes=not erased.left_in)


def _named(file: Path, settings: MlSettings) -> list[str]:
    """The pseudonym, and the id where it was given."""
    given = (sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")).strip()
    if not given or "\n" in given:
        raise BadCustomer(f"{str(file)!r} holds {len(given.splitlines())} lines; one customer's id is needed")
    return [given] if is_pseudonym(given) else [pseudonym(given, settings.pseudonym_secret()), given]
