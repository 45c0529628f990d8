"""A route without a declared rule keeps its application from starting."""

import pytest
from fastapi import APIRouter
from pydantic import SecretStr

from apps.chassis.access import ANYONE, CONTROLLER, READER, GuardedRoute, UndeclaredAccess, require_declared
from apps.chassis.app import create_app
from apps.chassis.guard import Guard
from apps.chassis.keys import KeyRing
from apps.chassis.metrics import Metrics
from tests.apps.chassis.demo import DemoSettings


async def nothing() -> None: ...


def build(*routers: APIRouter) -> None:
    create_app(title="x", settings=DemoSettings(), routers=routers, readiness={}, metrics=Metrics())


def test_a_route_without_a_rule_is_named() -> None:
    router = APIRouter()
    router.add_api_route("/open", nothing, dependencies=[ANYONE])
    build(router)
    router.add_api_route("/forgotten", nothing)
    with pytest.raises(UndeclaredAccess, match="/forgotten"):
        build(router)


def test_a_route_with_two_rules_is_named() -> None:
    """Else one could be read and the other one meant."""
    router = APIRouter(dependencies=[ANYONE])
    router.add_api_route("/both", nothing, dependencies=[READER])
    with pytest.raises(UndeclaredAccess, match="/both declares 2"):
        build(router)


def test_a_key_route_of_a_service_without_a_key_is_named() -> None:
    router = APIRouter(route_class=GuardedRoute)
    router.add_api_route("/change", nothing, dependencies=[CONTROLLER])
    with pytest.raises(UndeclaredAccess, match="/change"):
        build(router)
    require_declared(router.routes, Guard(KeyRing(own=SecretStr("k"))))


def test_a_rule_that_would_come_after_the_body_is_named() -> None:
    router = APIRouter(dependencies=[READER])
    router.add_api_route("/late", nothing)
    with pytest.raises(UndeclaredAccess, match="/late would read a body"):
        build(router)


def test_a_rule_of_the_router_counts_for_its_routes() -> None:
    router = APIRouter(dependencies=[ANYONE])
    router.add_api_route("/open", nothing)
    require_declared(router.routes, Guard())


def test_reading_is_open_where_there_is_nothing_to_show() -> None:
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)
    router.add_api_route("/read", nothing)
    require_declared(router.routes, Guard())
    assert Guard(KeyRing(own=SecretStr("k"))).open_to_readers
