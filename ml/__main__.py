"""Command line of the pipeline: one verb per step, one JSON object on stdout, logs and progress on stderr."""

from __future__ import annotations

import argparse
import errno
import importlib
import json
import re
import sys
import traceback
from typing import TYPE_CHECKING

from ml.arguments import BROKEN, INTERRUPTED, NO, YES, parser
from ml.errors import MlError, without_passwords

if TYPE_CHECKING:
    from ml.settings import MlSettings
    from ml.verbs import Answer


_PLACE_ERRORS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ENOTDIR,
    errno.EEXIST,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; the exit code."""
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("interrupted; nothing half-done is kept, run the same command again", file=sys.stderr)
        return INTERRUPTED
    except MlError as error:
        return _refuse(str(error), check_of(error))
    except Exception as error:  # noqa: BLE001 - the edge of the process: tell a refusal from a defect
        if isinstance(error, OSError) and error.errno in _PLACE_ERRORS:
            return _refuse(f"{error.filename}: {error.strerror}; free the place or name another", "place")
        traceback.print_exc()
        return BROKEN


def check_of(error: MlError) -> str:
    """The name of the refusal: the check that failed, or the kind of error (`not-enough-history`)."""
    name = getattr(error, "check", None) or re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
    return str(name)


def _refuse(sentence: str, check: str) -> int:
    print(sentence, file=sys.stderr)
    print(json.dumps({"error": sentence, "check": check}, ensure_ascii=False))
    return NO


def _run(options: argparse.Namespace) -> int:
    """Load the verb's module, and with it only the libraries that this verb needs."""
    from ml.terminal import log_to_stderr  # noqa: PLC0415 - not for --help

    log_to_stderr(options.log_level)
    verb = importlib.import_module(f"ml.verbs.{options.verb.replace('-', '_')}")
    answer: Answer = verb.run(options, _settings())
    print(json.dumps(answer.report, ensure_ascii=False, allow_nan=False))
    return YES if answer.yes else NO


def _settings() -> MlSettings:
    from pydantic import ValidationError  # noqa: PLC0415 - not for --help

    from ml.settings import MlSettings  # noqa: PLC0415 - the same

    try:
        return MlSettings()
    except ValidationError as error:
        first = error.errors()[0]
        prefix = ["ML", "QUALITY"] if error.title == "QualitySettings" else ["ML"]
        name = "_".join([*prefix, *map(str, first["loc"])]).upper()
        value = without_passwords(repr(first["input"]))
        raise BadSetting(f"{name} is {value}: {first['msg'].lower()}") from None


class BadSetting(MlError):
    """An environment variable has a value that its setting cannot take."""


if __name__ == "__main__":
    sys.exit(main())
