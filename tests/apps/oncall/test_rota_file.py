"""What is wrong with a rota is said with its place, its value and the way out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.oncall.rota_file import BadRota, RotaFile, read_rota
from tests.apps.oncall.world import rota, written
from tests.environments.rendered import documents, named
from tests.repository.imports import ROOT

Change = Callable[[dict[str, Any]], object]


def first(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["rotas"]["first"]
    return found


def overridden(*spans: tuple[str, str]) -> Change:
    return lambda content: first(content).update(
        overrides=[{"from": begin, "until": end, "person": "can"} for begin, end in spans]
    )


WRONG: dict[str, tuple[Change, str]] = {
    "a zone": (
        lambda c: c.update(zone="Europe/Ankara"),
        "zone: is no time zone; take a name such as Europe/Istanbul, got 'Europe/Ankara'",
    ),
    "a time without quotes": (
        lambda c: first(c).update(at=540),
        'rotas.first.at: write a time of day in quotes, such as "09:00", got 540',
    ),
    "somebody unknown": (
        lambda c: first(c).update(people=["ayse", "ece"]),
        "rotas.first.people: 'ece' is not known, only ayse, can, deniz",
    ),
    "nobody": (lambda c: first(c).update(people=[]), "rotas.first.people"),
    "an unknown level": (
        lambda c: c["policies"]["page"]["levels"][0].update(who="third"),
        "policies.page.levels: 'third' is not known",
    ),
    "an unknown channel": (
        lambda c: c["policies"]["page"]["levels"][0].update(also=["pager"]),
        "'pager' is not known, only slack, webhook",
    ),
    "a wait": (
        lambda c: c["policies"]["page"]["levels"][0].update(wait="5 min"),
        "write a number with s, m or h, such as 5m, got '5 min'",
    ),
    "no wait at all": (
        lambda c: c["policies"]["page"]["levels"][0].update(wait="0m"),
        "such as 5m, got '0m'",
    ),
    "no page": (lambda c: c["policies"].pop("page"), "policies.page: Field required"),
    "a name twice": (
        lambda c: c["rotas"].update(can=c["rotas"].pop("second")),
        "'can' is a person and a rota; rename one",
    ),
    "a mail": (lambda c: c["people"]["can"].update(mail="can"), "people.can.mail"),
    "a field nobody knows": (
        lambda c: c["people"]["can"].update(phone="1"),
        "people.can.phone: Extra inputs",
    ),
    "an office that is never open": (
        lambda c: c["office"].update({"from": "18:00"}),
        "the office opens at 18:00, which must be before",
    ),
    "two overrides at once": (
        overridden(("2026-12-01T00:00", "2026-12-03T00:00"), ("2026-12-02T00:00", "2026-12-04T00:00")),
        "are on call at once; shorten one",
    ),
    "an override that ends before": (
        overridden(("2026-12-03T00:00", "2026-12-01T00:00")),
        "is not before its end; swap them",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_with_the_way_out(what: str, tmp_path: Path) -> None:
    change, said = WRONG[what]
    content = rota(tmp_path)
    change(content)
    with pytest.raises(BadRota) as refused:
        read_rota(written(tmp_path, content))
    assert said in str(refused.value)


def test_an_hour_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    content = rota(tmp_path) | {"zone": "Europe/Berlin"}
    overridden(("2026-03-29T02:30", "2026-03-30T02:30"))(content)
    with pytest.raises(BadRota, match="2026-03-29T02:30:00 does not exist in Europe/Berlin"):
        read_rota(written(tmp_path, content))


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path)
    text = file.read_text()
    file.write_text(text.replace("people:\n", "people:\n  can: {name: Other, mail: other@shop.example}\n", 1))
    with pytest.raises(BadRota, match="'can' stands twice"):
        read_rota(file)
    file.write_text(text)
    assert set(read_rota(file).people) == {"ayse", "can", "deniz"}


@pytest.mark.parametrize("text", ["", "[", "- 1", "a: {b"])
def test_what_is_no_rota_at_all_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rota.yaml"
    file.write_text(text)
    with pytest.raises(BadRota):
        read_rota(file)
    with pytest.raises(BadRota, match="cannot be read"):
        read_rota(tmp_path / "nowhere.yaml")


def test_a_file_that_changes_is_read_again_and_a_wrong_one_leaves_the_one_before(tmp_path: Path) -> None:
    said: list[str | None] = []
    file = RotaFile(written(tmp_path), said.append)
    content = rota(tmp_path)
    content["people"]["ece"] = {"name": "Ece", "mail": "ece@shop.example"}
    written(tmp_path, content)
    assert "ece" in file.current().people
    written(tmp_path, {})
    assert "ece" in file.current().people
    (tmp_path / "rota.yaml").unlink()
    assert "ece" in file.current().people
    written(tmp_path)
    assert "ece" not in file.current().people
    assert [reason is None for reason in said] == [True, True, False, False, True]


def test_the_rota_that_is_deployed_is_right(tmp_path: Path) -> None:
    file = ROOT / "environments" / "base" / "oncall" / "rota.yaml"
    (tmp_path / "rota.yaml").write_text(
        named(documents(file.read_text()), "ConfigMap", "rota")["data"]["rota.yaml"]
    )
    assert read_rota(tmp_path / "rota.yaml").policies.page.rounds == 3
