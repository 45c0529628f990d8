"""The refusal of a pull request that is not what promote writes."""

from collections.abc import Mapping

from scripts.errors import Refused


class NotAsPromised(Refused):
    """The pull request is not what promote writes for it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__("check_failed", f"#{number} {message}")


def refuse_other(number: int, facts: Mapping[str, tuple[object, object]]) -> None:
    """Refuse the first fact that is not as it should be: name to (found, wanted)."""
    for name, (found, wanted) in facts.items():
        if found != wanted:
            raise NotAsPromised(number, f"has another {name}: {found!s:.200}, not {wanted!s:.200}")
