"""`python -m scripts.promote`: models and images come by pull request and leave by a revert.

stdout is one JSON object, stderr is the log. Exit code 0 is yes, 1 a no whose reason is in the JSON, 70
something that broke and may work when tried again.
"""

import json
import logging
import sys

from ml.errors import MlError, StoreUnavailable
from scripts.errors import Refused
from scripts.outside import Outside
from scripts.promote_parser import parser
from scripts.promote_verbs import Said

BROKE, REFUSED, YES = 70, 1, 0

_LOG = logging.getLogger("promote")


def main(arguments: list[str] | None = None, outside: Outside | None = None) -> int:
    """Run one verb; the exit code comes back. `outside` replaces registry, store, images, metrics and cluster."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    said = Said({})
    try:
        options = parser().parse_args(arguments)
        said = options.run(options, outside or Outside())
        code = YES if said.yes else REFUSED
    except Refused as refusal:
        said, code = Said({"error": str(refusal), "reason": refusal.reason}), REFUSED
    except StoreUnavailable as error:
        said, code = Said({"error": str(error), "reason": "unavailable"}), BROKE
    except MlError as error:
        said, code = Said({"error": str(error), "reason": type(error).__name__}), REFUSED
    except Exception as error:  # noqa: BLE001 - a workflow must tell what broke from what was refused
        _LOG.exception("broke")
        said, code = Said({"error": f"{type(error).__name__}: {error}", "reason": "broke"}), BROKE
    print(json.dumps(said.fields, ensure_ascii=False))
    return code


if __name__ == "__main__":
    sys.exit(main())
