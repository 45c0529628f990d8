"""What happens without a request: timers, the dead-man switch and the outbox, in threads of one leading process."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from uuid import uuid4

from apps.oncall import dead_man
from apps.oncall.book import Book
from apps.oncall.incidents import has_due_timers
from apps.oncall.lease import Lease
from apps.oncall.measures import Measures
from apps.oncall.outbox import Outbox
from apps.oncall.senders import Message, NotSent, Sender
from ml.errors import StoreUnavailable

log = logging.getLogger(__name__)


class Worker:
    """Works while this process has the lease, and waits for it otherwise.

    Args:
        senders: By transport; each has a thread, so one that hangs does not keep the others.
    """

    def __init__(self, book: Book, senders: Mapping[str, Sender], measures: Measures) -> None:
        settings = book.settings
        self._book, self._database, self._senders, self._measures = book, book.database, senders, measures
        holder = uuid4().hex
        self._lease = Lease(holder, timedelta(seconds=settings.lease_seconds))
        self._outbox = Outbox(
            holder,
            timedelta(seconds=settings.retry_seconds),
            timedelta(seconds=settings.give_up_seconds),
        )
        self._silence = timedelta(seconds=settings.heartbeat_seconds)
        self._since = book.clock()
        self._stopping = threading.Event()
        turns = [self.keep_time, *(partial(self.deliver, transport) for transport in senders)]
        self._threads = [threading.Thread(target=self._loop, args=(turn,), daemon=True) for turn in turns]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the messages under way, and let another process go on at once."""
        self._stopping.set()
        end = time.monotonic() + 2 * self._book.settings.send_timeout_seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        try:
            with self._database.writing() as connection:
                self._lease.give_back(connection)
        except StoreUnavailable as error:
            log.warning("lease_kept", extra={"reason": str(error)})

    def _loop(self, turn: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            try:
                busy = turn()
            except StoreUnavailable as error:
                self._measures.database_lost()
                log.warning("database_unavailable", extra={"reason": str(error)})
                busy = False
            except Exception:
                self._measures.defects.inc()
                log.exception("turn_failed")
                busy = False
            if not busy:
                self._stopping.wait(self._book.settings.tick_seconds)

    def keep_time(self) -> bool:
        """Fire what is due; False when nothing was."""
        now = self._book.clock()
        with self._database.reading() as connection:
            leads = self._lease.is_free(connection, now)
            overdue = dead_man.is_overdue(connection, now, self._since, self._silence)
            due = overdue or has_due_timers(connection, now)
            fresh = self._lease.is_fresh(connection, now)
            self._measures.look(connection, now, leads=leads)
        if not leads or (fresh and not due):
            return False
        with self._database.writing() as connection:
            incidents = self._book.incidents(connection)
            if not self._lease.take(connection, incidents.now):
                return False
            dead_man.begin_to_wait(connection, incidents.now)
            if dead_man.is_overdue(connection, incidents.now, self._since, self._silence):
                dead_man.page(incidents)
            return incidents.fire_due_timers() > 0

    def deliver(self, transport: str) -> bool:
        """Send the oldest message that is due by a transport; False when there was none."""
        message = self._claimed(transport)
        if message is None:
            return False
        reason = self._attempt(transport, message)
        while not self._settled(transport, message, reason):
            if self._stopping.wait(self._book.settings.tick_seconds):
                break  # whoever has the lease next sends it again
        return True

    def _claimed(self, transport: str) -> Message | None:
        now = self._book.clock()
        with self._database.reading() as connection:
            if not (
                self._lease.is_free(connection, now) and self._outbox.has_due(connection, transport, now)
            ):
                return None
        with self._database.writing() as connection:
            now = self._book.clock()
            if not self._lease.take(connection, now):
                return None
            return self._outbox.claim(connection, transport, now)

    def _attempt(self, transport: str, message: Message) -> str | None:
        """None, or why it was not sent; whatever went wrong, it must be tried again."""
        try:
            self._senders[transport](message, self._book.rota.current())
        except NotSent as error:
            return str(error)
        except Exception as error:
            log.exception("sender_failed")
            return type(error).__name__
        return None

    def _settled(self, transport: str, message: Message, reason: str | None) -> bool:
        try:
            with self._database.writing() as connection:
                now = self._book.clock()
                if reason is None:
                    self._outbox.sent(connection, message, now)
                    result = "sent"
                else:
                    gave_up = self._outbox.failed(connection, message, now, reason)
                    result = "given_up" if gave_up else "failed"
        except StoreUnavailable as error:
            log.warning("not_settled", extra={"message_id": message.message_id, "reason": str(error)})
            return False
        self._measures.notifications.labels(transport, result).inc()
        log.info(
            "notification",
            extra={
                "message_id": message.message_id,
                "incident": message.incident,
                "transport": transport,
                "result": result,
                "reason": reason,
            },
        )
        return True
