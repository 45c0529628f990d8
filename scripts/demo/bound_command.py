"""`python -m scripts.demo.bound_command COMMAND...`: runs a command that ends with whoever started it.

For programs that do not watch their parent themselves. Standard input is a pipe whose other end the parent holds; when
it closes, however the parent ended, the command's whole process group is stopped.
"""

import os
import signal
import subprocess
import sys
import threading

STOP_SECONDS = 5.0


def main(command: list[str]) -> int:
    """The command's exit code."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_stop_with_parent, args=(process,), daemon=True).start()
    return process.wait()


def _stop_with_parent(process: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
