"""A route without a declared rule keeps its application from starting."""

import pytest
from fastapi import APIRouter
from pydantic import SecretStr

from apps.chassis.access import ANYONE, KEY_HOLDER, UndeclaredAccess, require_declared
from apps.chassis.app import create_app
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


def test_a_key_route_of_a_service_without_a_key_is_named() -> None:
    router = APIRouter()
    router.add_api_route("/change", nothing, dependencies=[KEY_HOLDER])
    with pytest.raises(UndeclaredAccess, match="/change"):
        build(router)
    require_declared(router.routes, KeyRing(own=SecretStr("k")))


def test_a_rule_of_the_router_counts_for_its_routes() -> None:
    router = APIRouter(dependencies=[ANYONE])
    router.add_api_route("/open", nothing)
    require_declared(router.routes, None)
