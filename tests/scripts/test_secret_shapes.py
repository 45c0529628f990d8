"""No secret reaches a commit or a pull request; what looks like one in rendered manifests is hidden."""

import pytest

from scripts.errors import Refused
from scripts.evidence.record import Waiver
from scripts.promotion.pull_request import promotion_body, rollback_body
from scripts.promotion.secret_shapes import SHAPES, hidden, refuse_secrets
from tests.scripts.test_pull_request import NEW, NOW, evidence
from tests.scripts.world import World

LETTERS = "0123456789abcdefABCDEF0123456789abcdefABCDEF"
SECRETS = {
    "a private key": f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{LETTERS}\n-----END RSA {'PRIVATE'} KEY-----",
    "a GitHub token": f"ghp_{LETTERS[:36]}",
    "a GitLab token": f"glpat-{LETTERS[:20]}",
    "an AWS access key": "AKIA" + "ABCDEFGH12345678",
    "a Slack token": f"xoxb-{LETTERS[:12]}",
    "a Google key": "AIza" + LETTERS[:35],
    "a JSON web token": f"eyJ{LETTERS[:20]}.eyJ{LETTERS[:20]}.{LETTERS[:20]}",
    "a password in a URL": "postgresql://shop:pa55word@",
}


def test_every_known_shape_has_its_example() -> None:
    assert SECRETS.keys() == SHAPES.keys()


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_found_named_and_not_repeated(name: str) -> None:
    text = f"first line\nx: '{SECRETS[name]}'\n"
    with pytest.raises(Refused, match=f"the text would show {name} in line 2") as caught:
        refuse_secrets(text, "the text")
    assert SECRETS[name] not in str(caught.value)
    assert hidden(text) == "first line\nx: '(hidden)'\n"


def test_a_private_key_that_was_cut_is_hidden_to_the_end() -> None:
    cut = SECRETS["a private key"].partition("-----END")[0]
    assert LETTERS not in hidden(f"+{cut}")


def test_the_values_of_this_process_secrets_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMOTE_TOKEN", "0123456789abcdef0123456789abcdef01234567")
    with pytest.raises(Refused, match="would show the value of PROMOTE_TOKEN in line 1") as caught:
        refuse_secrets("a 0123456789abcdef0123456789abcdef01234567", "the text")
    assert "89abcdef" not in str(caught.value)
    monkeypatch.setenv("SHORT_TOKEN", "a")
    refuse_secrets("a commit a6b9e0f1c2d3a6b9e0f1c2d3a6b9e0f1c2d3a6b9 is no secret", "the text")


@pytest.mark.parametrize(
    "text", ["sha256:" + "5f0c" * 16, "c" * 40, "http://shop.example.com/a@b", "ghp_ short"]
)
def test_digests_commits_and_addresses_are_no_secrets(text: str) -> None:
    refuse_secrets(text, "the text")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_manifest_is_hidden_in_the_pull_request(name: str) -> None:
    diff = f"+  password: |\n+{SECRETS[name]}\n"
    body = promotion_body(evidence(), diffs={"staging": diff}, rollback="x")
    assert "(hidden)" in body
    assert SECRETS[name] not in body
    assert LETTERS[:20] not in body


def test_a_secret_in_the_evidence_is_refused_before_anything_is_pushed(world: World) -> None:
    world.train(1, verdict={"answer": "worse", "against": "naive"})
    refs = world.refs()
    waiver = Waiver(by="cy", reason=f"my token is {SECRETS['a GitHub token']}")
    with pytest.raises(Refused) as caught:
        world.open(waivers={"better_than_champion": waiver})
    assert caught.value.reason == "secret_in_text"
    assert world.refs() == refs


def test_evidence_that_no_pull_request_can_hold_is_refused_before_anything_is_pushed(world: World) -> None:
    rows = [{"candidate": "mix", "note": "x" * 3000}] * 30
    world.train(1, benchmark=[*rows, {"candidate": "naive"}])
    refs = world.refs()
    with pytest.raises(Refused) as caught:
        world.open()
    assert caught.value.reason == "body_too_long"
    assert world.refs() == refs


def test_a_secret_in_the_reason_of_a_rollback_is_refused() -> None:
    facts = {"requested_by": "ada", "reason": SECRETS["a Slack token"], "reverts": []}
    with pytest.raises(Refused, match="the pull request would show a Slack token"):
        rollback_body("x", "staging", NEW, NOW, facts=facts, diffs=None)
