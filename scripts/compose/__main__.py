"""`python -m scripts.compose`: the platform in containers, from a checkout to a forecast that is answered."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from scripts.compose import files
from scripts.compose.files import ROOT
from scripts.errors import Broken
from scripts.release_file import Release, parse, path_of

DEFAULTS = {
    "COMPOSE": "docker compose",
    "COMPOSE_FILE": str(ROOT / "environments/local/compose.yaml"),
    "STATE": str(ROOT / ".compose"),
}
FIRST = ("database", "registry")
"""What has to be there before anything can be released."""
ANSWER_SECONDS = 60.0
BROKEN = 70
_EXAMPLES = """examples:
  python -m scripts.compose up               images, secrets, the release (a first one where there is none), everything
  python -m scripts.compose up --newest      release this checkout's images where others run
  python -m scripts.compose down             stop; data and secrets stay
  python -m scripts.compose down --volumes   stop and forget both

stdout is one JSON object, stderr the log. Exit code 0, or 70 when something broke and may work when tried again.

variables: COMPOSE, the command [docker compose]; COMPOSE_FILE, one or more with `:` between them; STATE, the folder of
secrets and configuration [.compose]; IMAGES, in front of our images' names; ports such as FORECAST_PORT; SMTP_HOST.
"""


class Compose:
    """Runs Docker Compose with the variables of a release."""

    def __init__(self, release: Release, given: Mapping[str, str]) -> None:
        self.release = release
        self.variables = {**DEFAULTS, **given, **self.of_release}

    @property
    def of_release(self) -> dict[str, str]:
        """What compose.yaml calls the values of the release."""
        return {name.upper(): str(value) for name, value in self.release.model_dump().items()}

    @property
    def state(self) -> Path:
        """The folder that the containers' files are in."""
        return Path(self.variables["STATE"]).resolve()

    def __call__(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            Broken: It failed; it has said why on stderr.
        """
        command = [*shlex.split(self.variables["COMPOSE"]), *arguments]
        variables = {**self.variables, "STATE": str(self.state)}
        try:
            done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
        except OSError as error:
            raise Broken(f"{command[0]}: {error.strerror}; COMPOSE names another command") from error
        if done.returncode:
            raise Broken(f"{shlex.join(command)} ended with {done.returncode}")
        return done.stdout


def up(options: argparse.Namespace) -> dict[str, Any]:
    """Everything that takes the release to an answered forecast.

    Raises:
        Broken: A step failed.
    """
    began = time.monotonic()
    built = parse((ROOT / path_of(files.ENVIRONMENT)).read_bytes()).model_copy(
        update={"image_tag": options.image_tag or _checkout()}
    )
    compose = Compose(built, os.environ)
    files.write(compose.state)
    if not options.no_build:
        compose("--profile", "commands", "build", "--quiet")
    compose("--profile", "commands", "run", "--rm", "-T", "volumes")
    compose("up", "--detach", "--no-build", "--wait", *FIRST)
    compose = Compose(_released(compose, newest=options.newest), os.environ)
    compose("up", "--detach", "--no-build", "--wait", "--remove-orphans")
    seconds_up = time.monotonic() - began
    port = compose("port", "forecast", "8001").strip().rpartition(":")[2]  # some print the address too
    forecast = _first_forecast(f"127.0.0.1:{port}")
    return {
        "release": compose.release.model_dump(),
        "seconds_until_healthy": round(seconds_up, 1),
        "seconds_until_answered": round(time.monotonic() - began, 1),
        "forecast": forecast,
    }


def down(options: argparse.Namespace) -> dict[str, Any]:
    """Stop and remove the containers and their network, and with `--volumes` what they kept.

    Raises:
        Broken: Compose failed.
    """
    compose = Compose(parse((ROOT / path_of(files.ENVIRONMENT)).read_bytes()), os.environ)
    compose("--profile", "commands", "down", "--remove-orphans", *(["--volumes"] if options.volumes else []))
    if options.volumes:
        files.forget(compose.state)
    return {"stopped": True, "forgotten": options.volumes}


def _released(compose: Compose, *, newest: bool) -> Release:
    """What the stack's own forge says, kept for `docker compose --env-file` too.

    Raises:
        Broken: There is none, and it could not be made.
    """
    options = ["--image-tag", compose.release.image_tag, *(["--newest"] if newest else [])]
    command = ["run", "--rm", "-T", "training", "scripts.compose.release", *options]
    release = Release.model_validate_json(compose("--profile", "commands", *command).splitlines()[-1])
    lines = [f"{name}={value}\n" for name, value in Compose(release, {}).of_release.items()]
    (compose.state / "release.env").write_text("".join(lines))
    return release


def _checkout() -> str:
    """The tag of images of this checkout."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "local"


def _first_forecast(address: str) -> dict[str, Any]:
    """One product's forecast as the published port gives it.

    Raises:
        Broken: There is none, although the service says that it is ready.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            answer = httpx.get(f"http://{address}/forecast", params={"limit": 1}, timeout=10)
            answer.raise_for_status()
            forecast: dict[str, Any] = answer.json()["forecasts"][0]
        except (httpx.HTTPError, LookupError) as error:
            if time.monotonic() > deadline:
                raise Broken(f"no forecast at {address}: {error}") from error
            time.sleep(0.2)
        else:
            return forecast


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compose",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    begin = verbs.add_parser("up", help="bring everything up and wait for a forecast")
    begin.add_argument("--image-tag", help="of our images [the commit]")
    begin.add_argument("--no-build", action="store_true", help="the images are there already")
    begin.add_argument("--newest", action="store_true", help="release them where others run")
    begin.set_defaults(run=up)
    end = verbs.add_parser("down", help="stop everything")
    end.add_argument("--volumes", action="store_true", help="forget data and secrets too")
    end.set_defaults(run=down)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; the exit code comes back."""
    options = _parser().parse_args(arguments)
    try:
        answer = options.run(options)
    except Broken as error:
        print(f"compose: {error}", file=sys.stderr)
        return BROKEN
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
