"""Lock files that a killed git left in a repository: without this, nothing could move those refs again."""

import time
from pathlib import Path

STALE_SECONDS = 5.0


def remove_stale_locks(repository: Path, *, keep: str) -> None:
    """Wait for locks of living processes, which hold one for milliseconds, and remove those of dead ones.

    Args:
        repository: A bare repository.
        keep: Name of a lock file that is not git's.
    """
    for lock in [*repository.glob("*.lock"), *repository.glob("refs/**/*.lock")]:
        while lock.name != keep and (age := _age_seconds(lock)) is not None:
            if age > STALE_SECONDS:
                lock.unlink(missing_ok=True)
            time.sleep(0.02)


def _age_seconds(path: Path) -> float | None:
    """Time since the file changed, None when it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
