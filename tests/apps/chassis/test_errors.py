"""The table from refusals to statuses is complete."""

import inspect

import ml.errors
from apps.chassis.errors import STATUS, problem_name, problem_of
from ml.errors import MlError, UnknownProduct


def test_every_refusal_of_ml_has_a_status_of_its_own() -> None:
    refusals = {
        kind for _, kind in inspect.getmembers(ml.errors, inspect.isclass) if issubclass(kind, MlError)
    }
    assert refusals == set(STATUS)


def test_no_refusal_is_a_server_defect() -> None:
    assert 500 not in {int(status) for status in STATUS.values()}


def test_a_refusal_that_is_not_listed_takes_the_status_of_its_nearest_base() -> None:
    class Renamed(UnknownProduct): ...

    class New(MlError): ...

    assert problem_of(Renamed("A1")).status_code == 404
    assert problem_of(New("no")).status_code == 422


def test_names_are_kebab_case() -> None:
    assert problem_name(UnknownProduct) == "unknown-product"
