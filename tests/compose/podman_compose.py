"""`python tests/compose/podman_compose.py ARGUMENTS...`: Docker Compose's `up --wait` on a podman without systemd.

Podman leaves asking for health to systemd's timers, and podman-compose then waits for nothing. Here each container's
own healthcheck is run by `podman healthcheck run` until it says yes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

_PROGRAM = Path(__file__).parents[2] / ".venv/podman-compose/bin/podman-compose"
_SECONDS = 240.0


def containers(project: str) -> dict[str, str]:
    """Name of each running container of a project, by service."""
    label = f"label=io.podman.compose.project={project}"
    told = _told("podman", "ps", "--format", "json", "--filter", label)
    return {
        each["Labels"]["com.docker.compose.service"]: each["Names"][0]
        for each in json.loads(told)
        if each["State"] == "running"
    }


def healthy(container: str) -> bool:
    """What its own healthcheck says now."""
    asked = subprocess.run(["podman", "healthcheck", "run", container], capture_output=True, check=False)
    return asked.returncode == 0


def _told(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _wait(project: str, services: set[str]) -> int:
    """0 when every service is healthy, 1 when patience ends."""
    deadline = time.monotonic() + _SECONDS
    while services:
        there = containers(project)
        services = {each for each in services if each not in there or not healthy(there[each])}
        if services and time.monotonic() > deadline:
            sys.stderr.write(f"not healthy: {', '.join(sorted(services))}\n")
            return 1
        time.sleep(0.2)
    return 0


def main(arguments: list[str]) -> int:
    """The exit code of podman-compose, and after `up --wait` of the waiting."""
    done = subprocess.run([str(_PROGRAM), *arguments], check=False)
    if done.returncode or "--wait" not in arguments:
        return done.returncode
    named = {each for each in arguments[arguments.index("up") + 1 :] if not each.startswith("--")}
    return _wait(os.environ["COMPOSE_PROJECT_NAME"], named or set(os.environ["EXPECTED_SERVICES"].split()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
