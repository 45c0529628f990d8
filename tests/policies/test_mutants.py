"""Manifests that keep every rule pass; the same with one field less safe do not."""

from collections.abc import Iterable

import pytest

from tests.policies.judge import SYNC, Document, namespaces, review_of, verdicts
from tests.policies.manifests import SETS, UNRELEASED, manifests, rendered
from tests.policies.mutants import dropped, opened
from tests.policies.samples import policies


@pytest.mark.parametrize("name", SETS)
def test_what_keeps_every_rule_is_accepted(name: str) -> None:
    said = zip(manifests(name), refusals(manifests(name)), strict=True)
    assert [(m["kind"], m["metadata"]["name"], refused) for m, refused in said if refused] == []


@pytest.mark.parametrize("name", SETS)
def test_with_one_field_less_safe_it_is_refused(name: str) -> None:
    mutants = [*dropped(manifests(name)), *opened(manifests(name))]
    assert len(mutants) >= 200
    said = refusals(mutant.document for mutant in mutants)
    survivors = [mutant.name for mutant, refused in zip(mutants, said, strict=True) if not refused]
    assert len(survivors) <= 0.02 * len(mutants), survivors


def test_an_environment_without_a_release_runs_nothing() -> None:
    """The base's placeholders are refused: an image that is nowhere, a model that nobody registered."""
    workloads = [m for m in rendered("staging", UNRELEASED) if m["kind"] == "Deployment"]
    said = refusals(workloads)
    assert all("images.purchase-prediction.example" in refused for refused in said)
    assert sum("model-identity.purchase-prediction.example" in refused for refused in said) == 1


def refusals(documents: Iterable[Document]) -> list[dict[str, list[str]]]:
    """What all rules say when the sync of production makes these."""
    return verdicts([*policies(), *namespaces()], [review_of(document, SYNC) for document in documents])
