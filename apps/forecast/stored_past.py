"""What a product sold and what had been forecast of it, read from the model store when somebody asks."""

import json
from collections import OrderedDict
from http import HTTPStatus
from typing import Annotated, Any, Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Path

from apps.chassis.access import READER, GuardedRoute
from apps.chassis.problems import Problem, shown
from apps.chassis.refusals import refusal
from apps.forecast.loaded import Loaded
from apps.forecast.schemas import Past
from apps.forecast.serving import Serving
from apps.forecast.settings import ForecastSettings
from ml.errors import SnapshotNotFound, UnknownProduct
from ml.events import TEXT_LENGTH, canonical_product_id
from ml.model_store import ModelStore
from ml.past import part_of

KEPT_PARTS: Final = 16
"""A part holds some 500 products in at most a few hundred kilobytes."""

_Key = tuple[str, str, int]


class StoredPast:
    """The past of the served snapshot's products; of its parts the last `KEPT_PARTS` that were asked for are kept."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._kept: OrderedDict[_Key, dict[str, Any]] = OrderedDict()
        self._turn = CapacityLimiter(1)

    async def of(self, loaded: Loaded, product_id: str) -> Past:
        """The product's.

        Raises:
            UnknownProduct: The snapshot has no such product.
            Problem: 404, the snapshot was written without the past, or its part is gone.
            BundleRefused: Who wrote the part is not known.
            StoreUnavailable: The store does not answer.
        """
        name, snapshot = canonical_product_id(product_id), loaded.snapshot
        if name not in snapshot.answers:
            raise UnknownProduct(product_id)
        parts = snapshot.header.get("past_parts", 0)
        entry = None
        if parts:
            key = snapshot.model_sha256, snapshot.data_version, part_of(name, parts)
            entry = (await run_sync(self._part, key, limiter=self._turn)).get(name)
        if entry is None:
            detail = f"the past of {shown(product_id)} was not kept; `python -m ml forecast` keeps it"
            raise Problem(HTTPStatus.NOT_FOUND, "no-past", detail)
        return Past.model_validate({**entry, "product_id": name, "data_version": snapshot.data_version})

    def _part(self, key: _Key) -> dict[str, Any]:
        if key not in self._kept:
            try:
                self._kept[key] = json.loads(self._store.past(*key))
            except SnapshotNotFound:
                return {}
            if len(self._kept) > KEPT_PARTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def past_router(serving: Serving, settings: ForecastSettings) -> APIRouter:
    """Months that are over."""
    router = APIRouter(dependencies=[READER], route_class=GuardedRoute)
    stored = StoredPast(ModelStore(settings.model_store, signers=settings.signers_file))

    @router.get("/past/{product_id:path}", responses=refusal(404))
    async def past(product_id: Annotated[str, Path(max_length=TEXT_LENGTH)]) -> Past:
        """Tell what one product sold and what had been forecast of it, as of the snapshot."""
        return await stored.of(serving.loaded, product_id)

    return router
