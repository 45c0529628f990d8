"""The page on data collection says what the code says: each field, form, status and setting."""

import re
from typing import Any

import pytest

from apps.collector.formats import MEDIA_TYPES
from apps.collector.schemas import ANSWERS
from apps.collector.settings import CollectorSettings
from ml.events import Event
from tests.repository.imports import ROOT

PAGE = (ROOT / "docs" / "data-collection.md").read_text()
SCHEMA = Event.model_json_schema()


def limits(part: dict[str, Any]) -> str:
    """What a value has to be, as the page says it."""
    part = next((one for one in part.get("anyOf", ()) if one["type"] != "null"), part)
    if "$ref" in part:
        names = SCHEMA["$defs"][part["$ref"].rpartition("/")[2]]["enum"]
        return ", ".join(f"`{name}`" for name in names)
    if part["type"] == "integer":
        return f"whole number, {part['minimum']:,} to {part['maximum']:,}"
    if part.get("format") == "date-time":
        return "RFC 3339"
    if "maxLength" in part:
        return f"text, {part['minLength']} to {part['maxLength']} characters"
    return f"text like `{part['pattern']}`"


def row(name: str) -> str:
    part = SCHEMA["properties"][name]
    needed = "yes" if name in SCHEMA["required"] else f"no (`{part['default']}`)" if part["default"] else "no"
    example = part["examples"][0]
    return f"| `{name}` | {needed} | {part['description']} | {limits(part)} | `{example}` |"


@pytest.mark.parametrize("name", Event.model_fields)
def test_a_field_is_in_the_dictionary_as_the_contract_has_it(name: str) -> None:
    assert row(name) in PAGE.splitlines()


def test_the_dictionary_has_no_field_that_the_contract_has_not() -> None:
    table = PAGE.partition("## Event dictionary")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Event.model_fields)


def test_the_examples_are_an_event() -> None:
    examples = {name: part["examples"][0] for name, part in SCHEMA["properties"].items()}
    assert Event.model_validate(examples).model_fields_set == set(Event.model_fields)


def test_every_form_and_answer_is_named() -> None:
    assert [form for form in MEDIA_TYPES if f"`{form}`" not in PAGE] == []
    statuses = set(re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE))
    assert statuses == {"202", *map(str, ANSWERS)}


def test_every_variable_is_a_setting() -> None:
    known = {f"COLLECTOR_{name}".upper() for name in CollectorSettings.model_fields}
    assert set(re.findall(r"COLLECTOR_[A-Z_]+[A-Z]", PAGE)) <= known
