"""What a person or a collector of logs sees on stderr: JSON log lines, and a progress bar on a terminal."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ml.progress import Progress

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event, and the values that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def log_to_stderr(level: str) -> None:
    """Send logs of this level ("info", "warning", ...) and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # what it did is in our own lines


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress callback that draws a bar on stderr, and nothing where stderr is no terminal."""
    from tqdm import tqdm  # noqa: PLC0415 - help and refusals need no bar

    with tqdm(disable=None, leave=False, file=sys.stderr) as bar:

        def progress(done: int, total: int, label: str) -> None:
            if bar.disable:
                return
            bar.total, bar.n = total, done
            bar.set_description(label, refresh=True)

        yield progress
