"""The OpenAPI document names the refusals of each route, in the form that they have."""

from typing import Any

import pytest

from apps.chassis.problems import MEDIA_TYPE
from tests.apps.chassis.demo import DemoSettings, create


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create(DemoSettings()).openapi()


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("get", "/items/{item_id}", {"200", "404", "422", "503"}),
        ("post", "/items", {"200", "400", "413", "422", "503"}),
        ("post", "/change", {"200", "401", "403", "429", "503"}),
        ("get", "/health", {"200"}),
        ("get", "/ready", {"200", "503"}),
    ],
)
def test_a_route_names_what_it_refuses_with(
    document: dict[str, Any], method: str, path: str, statuses: set[str]
) -> None:
    answers = document["paths"][path][method]["responses"]
    assert answers.keys() == statuses
    own = {"200"} | ({"503"} if path == "/ready" else set())
    forms = {status: set(answer["content"]) for status, answer in answers.items() if status not in own}
    assert forms == {status: {MEDIA_TYPE} for status in statuses - own}


def test_the_frameworks_own_form_is_nowhere(document: dict[str, Any]) -> None:
    assert "ValidationError" not in str(document)
    assert document["components"]["schemas"]["Problem"]["required"] == [
        "type",
        "title",
        "status",
        "detail",
        "request_id",
    ]
