"""The rules of an environment are data on the trunk, and nothing in them is guessed."""

from pathlib import Path

import pytest

from scripts.evidence.rules import BadRules, parse_rules, rules_of, rules_path_of
from scripts.history.repository import TRUNK
from tests.scripts.world import FROM_STAGING, World

ROOT = Path(__file__).parents[2]
WHOLE = FROM_STAGING.decode()


def test_rules_of_production_say_where_from_how_long_and_how_well() -> None:
    rules = parse_rules(FROM_STAGING, "production")
    assert (rules.source, rules.soak_minutes, rules.soak_seconds) == ("staging", 60, 3600)
    assert (rules.needs_approval, rules.images) == (True, True)
    assert rules.limits is not None
    assert (rules.limits.p95_seconds, rules.limits.error_share, rules.limits.min_requests) == (
        0.5,
        0.01,
        1000,
    )


def test_the_checkouts_own_rules_can_be_read_and_production_is_the_strictest() -> None:
    names = {path.parent.name for path in ROOT.glob("environments/*/promotion.yaml")}
    releases = {path.parent.name for path in ROOT.glob("environments/*/release.yaml")}
    assert names == releases
    rules = {name: parse_rules((ROOT / rules_path_of(name)).read_bytes(), name) for name in names}
    assert {name for name, each in rules.items() if each.needs_approval} == {"production"}
    assert {name: each.source for name, each in rules.items()} == {
        "local": None,
        "staging": None,
        "production": "staging",
    }
    assert rules["production"].soak_minutes == 60
    assert rules["production"].images
    assert rules["staging"].images


BAD: dict[str, tuple[str | bytes, str]] = {
    "missing approval": (WHOLE.replace("needs_approval: true\n", ""), "at needs_approval: Field required"),
    "missing images": (WHOLE.replace("images: true\n", ""), "at images: Field required"),
    "an unknown key": (WHOLE + "merge: automatic\n", "at merge: Extra inputs"),
    "an unknown limit": (WHOLE + "  p99_seconds: 1\n", "at limits.p99_seconds: Extra inputs"),
    "a word for a truth": (WHOLE.replace("needs_approval: true", "needs_approval: 'no'"), "at needs_approval"),
    "a word for a number": (WHOLE.replace("0.01", "'0.01'"), "at limits.error_share"),
    "a share above one": (WHOLE.replace("0.01", "1.5"), "at limits.error_share"),
    "not a number": (WHOLE.replace("0.5", ".nan"), "at limits.p95_seconds"),
    "without end": (WHOLE.replace("0.5", ".inf"), "at limits.p95_seconds"),
    "no time": (WHOLE.replace("soak_minutes: 60", "soak_minutes: 0"), "at soak_minutes"),
    "half a request": (WHOLE.replace("1000", "999.5"), "at limits.min_requests"),
    "no request": (WHOLE.replace("1000", "0"), "at limits.min_requests"),
    "a source without limits": (WHOLE[: WHOLE.index("limits:")], "source and limits come together"),
    "limits without a source": (WHOLE.replace("source: staging\n", ""), "source and limits come together"),
    "itself as its source": (WHOLE.replace("source: staging", "source: production"), "as its own source"),
    "a source that is no name": (WHOLE.replace("source: staging", "source: ../staging"), "must match"),
    "a key twice": (WHOLE + "images: false\n", "'images' is there twice"),
    "a limit twice": (WHOLE + "  p95_seconds: 9\n", "'p95_seconds' is there twice"),
    "not YAML": ("a: [", "is not YAML"),
    "not text": (b"\xff\xfe", "is not YAML"),
    "empty": ("", "at its start"),
    "a list": ("- 1\n", "at its start"),
    "code": ("!!python/object/apply:os.getcwd []\n", "is not YAML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_rules_that_leave_room_for_guesses_are_refused_with_the_place(name: str) -> None:
    text, problem = BAD[name]
    with pytest.raises(BadRules, match=problem) as caught:
        parse_rules(text if isinstance(text, bytes) else text.encode(), "production")
    assert str(caught.value).startswith("environments/production/promotion.yaml ")


def test_an_environment_without_rules_takes_nothing(world: World) -> None:
    with pytest.raises(BadRules, match="is not on the trunk; without it nothing is promoted"):
        rules_of(world.git, "production", TRUNK)
