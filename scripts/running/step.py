"""`python -m scripts.running.step MODULE ARGUMENT…`: what a workflow runs, so that an exit code alone tells a "no".

Argo sees exit codes and no output, and Python ends with 1 by itself: when it cannot start or import, when an error is
caught by nobody, when a library leaves with a text. So a command's word counts only with the JSON object on its stdout:
"""

import json
import signal
import subprocess
import sys
from typing import Final

YES: Final = 0
NO: Final = 3
"""What neither Python nor a shell, a container's runtime or Argo's executor ends with by itself."""

BROKEN: Final = 70
SIGNALLED: Final = 128

_CODES = f"""\
  {YES}      yes: the command ended with 0 and one JSON object on stdout
  {NO}      no: it ended with 1 and one JSON object on stdout
  {SIGNALLED}+N  signal N ended it
  {BROKEN}     anything else; worth another try
"""


def main(arguments: list[str]) -> int:
    """Run `python -m` with these arguments; the exit code."""
    if not arguments or arguments[0].startswith("-"):
        print(f"{__doc__}\n{_CODES}", file=sys.stderr)
        return YES if arguments in (["--help"], ["-h"]) else BROKEN
    with subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE) as command:
        signal.signal(signal.SIGTERM, lambda *_: command.terminate())
        said, _ = command.communicate()
    sys.stdout.buffer.write(said)
    sys.stdout.flush()
    return verdict(command.returncode, said)


def verdict(code: int, said: bytes) -> int:
    """Exit code of a step whose command ended with `code` (negative: the signal) and wrote `said` to its stdout."""
    if code < 0:
        return SIGNALLED - code
    if code > 1 or not _is_object(said):
        return BROKEN
    return NO if code else YES


def _is_object(said: bytes) -> bool:
    try:
        return isinstance(json.loads(said), dict)
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
