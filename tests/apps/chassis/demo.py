"""A small service that shows every kind of answer; run as a module it is a process."""

import asyncio

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from apps.chassis.access import ANYONE, CONTROLLER, GuardedRoute
from apps.chassis.app import create_app
from apps.chassis.guard import Guard
from apps.chassis.health import Check
from apps.chassis.keys import KeyRing
from apps.chassis.metrics import Metrics
from apps.chassis.server import run
from apps.chassis.settings import Port, ServiceSettings
from ml.errors import StoreUnavailable, UnknownProduct

KEY = "a-key-of-sixteen-or-more"


class DemoSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")

    port: Port = 0
    missing: str = ""


class Item(BaseModel):
    units: int = Field(ge=0)


router = APIRouter(route_class=GuardedRoute)


@router.get("/items/{item_id}", dependencies=[ANYONE])
async def item(item_id: str) -> dict[str, str]:
    if item_id == "missing":
        raise UnknownProduct(item_id)
    if item_id == "unavailable":
        raise StoreUnavailable("the store is away")
    if item_id == "defect":
        raise RuntimeError("secret inside")
    if item_id == "slow":
        await asyncio.sleep(1)
    return {"item": item_id}


@router.post("/items", dependencies=[ANYONE])
async def items(batch: list[Item]) -> int:
    return len(batch)


@router.post("/change", dependencies=[CONTROLLER])
async def change() -> str:
    return "changed"


def create(settings: DemoSettings, readiness: dict[str, Check] | None = None) -> FastAPI:
    async def nothing_missing() -> str | None:
        return f"{settings.missing} is missing" if settings.missing else None

    return create_app(
        title="demo",
        settings=settings,
        routers=[router],
        readiness=readiness or {"demo": nothing_missing},
        metrics=Metrics(),
        guard=Guard(KeyRing(own=SecretStr(KEY))),
    )


if __name__ == "__main__":
    run(DemoSettings, create)
