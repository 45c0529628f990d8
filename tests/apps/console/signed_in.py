"""Users of a console under test, and a client that has signed in as one of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx

from apps.chassis.keys import Role
from apps.console.main import create
from apps.console.settings import ConsoleSettings
from apps.console.users import User
from tests.apps.client import Client, answering


@cache
def user(name: str, role: str) -> tuple[User, str]:
    """A user and the password; hashing takes a while, so each is made once."""
    return User.with_password(name, frozenset({Role(role)}))


PEOPLE = {"viewer": "vera", "controller": "connie"}


def users_file(folder: Path) -> Path:
    """A file with a viewer and a controller."""
    path = folder / "users.jsonl"
    if not path.exists():
        lines = (user(name, role)[0].model_dump_json() for role, name in PEOPLE.items())
        path.write_text("".join(f"{line}\n" for line in lines))
    return path


def form_token(html: str) -> str:
    """What the forms of a page send back."""
    found = re.search(r'name="form" value="([^"]+)"', html)
    assert found
    return found[1]


def sign_in(client: Client, role: str, after: str = "/") -> httpx.Response:
    """The answer to a right password; the client keeps the cookie."""
    page = client.get("/sign-in", params={"after": after})
    name = PEOPLE[role]
    fields = {"form": form_token(page.text), "name": name, "password": user(name, role)[1]}
    answer = client.post("/sign-in", data=fields)
    assert answer.status_code == 303, answer.text
    return answer


@contextmanager
def signed_in(settings: ConsoleSettings, role: str = "viewer") -> Iterator[Client]:
    """A console and a browser that is signed in there."""
    with answering(create(settings)) as client:
        sign_in(client, role)
        yield client
