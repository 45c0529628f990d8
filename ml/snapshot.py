"""A forecast snapshot: the answers of one model for every product, as ready bytes.

Line 1 names the format and the sha256 of all that follows. Line 2 is the header. Then one answer in each
line, sorted by product.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from ml.bundle import Bundle, refuse_critical
from ml.errors import BundleRefused, UnknownProduct
from ml.events import canonical_product_id
from ml.features import CategoryTotals, category_totals
from ml.forecasting import Forecaster, category_forecasts, encoded, total_forecast
from ml.history import Floats, History
from ml.newcomers import sale_rate
from ml.product_history import SHOP_PRICE, ProductHistory, months_between, together
from ml.return_rates import ReturnRates

FORMAT = 1
UNDERSTOOD: Final[tuple[str, ...]] = ()
"""Header fields that were added as critical; others that this release does not know are passed over."""
NOT_JUDGED = "not enough data"
NO_STOCK_DATA = "no stock data"
NO_NOWCAST: Final[Mapping[str, Any]] = MappingProxyType(
    {"unknown": "this forecast was made without the open month"}
)

Groups = Callable[[Sequence[bytes]], Mapping[str, Any]]
"""From the answers of all products to the fields of the header that sum them up."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Answers by product.

    Attributes:
        model_version: Number of the model in the registry.
        model_sha256: Of its bundle.
        data_version: Of the panel that it forecast from.
        month: The month that is forecast, "YYYY-MM".
        created_at: Aware UTC.
        answers: JSON bytes by product id, sorted.
        header: Everything of line 2.
        sha256: Of all that follows the first line, which names it.
    """

    model_version: int
    model_sha256: str
    data_version: str
    month: str
    created_at: datetime
    answers: Mapping[str, bytes]
    header: Mapping[str, Any]
    sha256: str

    @classmethod
    def from_bytes(cls, data: bytes, model_sha256: str) -> Self:
        """The snapshot in these bytes, checked to be whole and of this model.

        Raises:
            BundleRefused: It is damaged, of another format, of another model, or not what `snapshot_bytes` writes.
        """
        wanted = sha256_named(data)
        body = data.partition(b"\n")[2]
        if hashlib.sha256(body).hexdigest() != wanted:
            raise BundleRefused("the forecast snapshot is damaged: its sha256 differs; write it again")
        try:
            return cls._read(body, model_sha256, wanted)
        except BundleRefused:
            raise
        except Exception as error:  # whole, and not of the shape that is written here: never served
            raise BundleRefused(f"the forecast snapshot cannot be read: {error!r}; write it again") from error

    @classmethod
    def _read(cls, body: bytes, model_sha256: str, sha256: str) -> Self:
        head, _, lines = body.partition(b"\n")
        header = json.loads(head)
        refuse_critical(header, UNDERSTOOD)
        if header["model_sha256"] != model_sha256:
            raise BundleRefused(
                f"the snapshot is of model {header['model_sha256']}, the release names {model_sha256}"
            )
        answers = dict(zip(header["product_ids"], lines.splitlines(), strict=True))
        named = {name: header[name] for name in ("model_version", "model_sha256", "data_version", "month")}
        created_at = datetime.fromisoformat(header["created_at"])
        return cls(**named, created_at=created_at, answers=answers, header=header, sha256=sha256)

    def get(self, product_id: str) -> bytes:
        """The product's answer; the id may be spelled as the shop spells it.

        Raises:
            UnknownProduct: The model has no forecast for it.
        """
        answer = self.answers.get(canonical_product_id(product_id))
        if answer is None:
            raise UnknownProduct(product_id)
        return answer

    @property
    def drift(self) -> str:
        """What was said of the newest month when this was made: `no drift`, `drift` or `not enough data`."""
        return str(self.header.get("drift", NOT_JUDGED))

    @property
    def nowcast(self) -> Mapping[str, Any]:
        """The open month as of when this was made, see `ml.nowcast`; older snapshots have none."""
        return dict(self.header.get("nowcast", NO_NOWCAST))

    @property
    def stock_data(self) -> str:
        """What the demand of months without stock rests on."""
        return str(self.header.get("stock_data", NO_STOCK_DATA))

    @property
    def product_ids(self) -> list[str]:
        """Every product with an answer, sorted."""
        return list(self.answers)

    @property
    def categories(self) -> dict[str, dict[str, Any]]:
        """Forecast of each category: `mean` in units, the sum of its products, and how many `products`.

        `quantiles` by name are there where the snapshot was made with them.
        """
        return dict(self.header["category_forecasts"])

    def group(self, category: str | None) -> dict[str, Any] | None:
        """The forecast of one category, of the shop under None; None for a category without products."""
        return self.total if category is None else self.header["category_forecasts"].get(category)

    @property
    def total(self) -> dict[str, Any]:
        """The same of the shop: the sum of its categories."""
        return dict(self.header.get("total_forecast") or total_forecast(self.categories))

    def live(self, bundle: Bundle) -> "Live":
        """A forecaster for histories that callers send, with this snapshot's data.

        Raises:
            BundleRefused: The bundle is of another model.
        """
        if bundle.sha256 != self.model_sha256:
            raise BundleRefused(
                f"the bundle is {bundle.sha256}, the snapshot is of model {self.model_sha256}"
            )
        totals = self.header["category_totals"]
        optional = {
            name: np.array(totals[name], dtype=np.float64)
            for name in ("planned_prices", "paths")
            if name in totals
        }
        categories = CategoryTotals(
            tuple(totals["names"]), np.array(totals["totals"], dtype=np.float64), **optional
        )
        rates = self.header.get("return_rates")
        returns = None if rates is None else ReturnRates.from_json(rates)
        forecaster = Forecaster(
            bundle,
            self.model_version,
            self.data_version,
            categories,
            returns,
            self.header.get("dormant_sale_rate"),
        )
        plan = {name: np.array(v, dtype=np.float64) for name, v in self.header.get("shop_plan", {}).items()}
        return Live(forecaster, self.header["first_month"], self.header["last_month"], plan)


@dataclass(frozen=True, eq=False)
class Live:
    """Answers for a product's history as it is sent, by the function that made the snapshot.

    Attributes:
        shop_plan: What the snapshot's shop has a plan of, see `ml.product_history.together`.
    """

    forecaster: Forecaster
    first_month: str
    last_month: str
    shop_plan: Mapping[str, Floats]

    def answer(self, sent: ProductHistory) -> bytes:
        """The product's answer; the same bits as the snapshot's for the same months.

        Raises:
            ValueError: The history does not end with the snapshot's last month.
        """
        return self.forecaster.answers(self.history([sent]))[0]

    @cached_property
    def months(self) -> NDArray[np.datetime64]:
        """(T,) of the snapshot."""
        return months_between(self.first_month, self.last_month)

    def history(self, sent: Sequence[ProductHistory]) -> History:
        """What is sent as a history on the months of the snapshot, a row each; all with the same columns.

        Raises:
            ValueError: One does not end with the snapshot's last month.
        """
        return together(sent, self.months, self.shop_plan)


def sha256_named(data: bytes) -> str:
    """What the first line of a snapshot, or of its first bytes, names it by.

    Raises:
        BundleRefused: It is no such line, or of another format.
    """
    try:
        label = json.loads(data.partition(b"\n")[0])
        found, sha256 = label["format"], str(label["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise BundleRefused("the forecast snapshot has no readable first line; write it again") from error
    if found != FORMAT:
        raise BundleRefused(f"the forecast snapshot has format {found}, this code reads {FORMAT}")
    return sha256


def sums_of_means(answers: Sequence[bytes]) -> Mapping[str, Any]:
    """The groups of a snapshot whose writer draws no joint outcomes."""
    return {"category_forecasts": category_forecasts(answers)}


def snapshot_bytes(
    bundle: Bundle,
    model_version: int,
    data_version: str,
    history: History,
    created_at: datetime,
    *,
    drift: str = NOT_JUDGED,
    groups: Groups = sums_of_means,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> bytes:
    """The snapshot of a model for every product that was sold by the end of the history.

    Serving tells what it cannot compute: `drift` is the answer of `ml.drift.judging` on that history, `groups` says
    what categories and the shop sell together (`ml.group_forecasts`), `notes` are header fields with what else is
    known beside the answers: `nowcast` and those of `ml.stock.stock_note`.
    """
    totals = category_totals(history)
    sold = np.flatnonzero(~np.isnan(history.units[:, -1]))
    order = sorted(sold.tolist(), key=lambda row: history.product_ids[row])
    products = history.rows(np.array(order, dtype=np.intp))
    rates, awake = ReturnRates.fit(history), sale_rate(history.units)
    answers = Forecaster(bundle, model_version, data_version, totals, rates, awake).answers(products)
    header: dict[str, Any] = {
        "model_version": model_version,
        "model_sha256": bundle.sha256,
        "data_version": data_version,
        "month": str(history.next_month),
        "created_at": created_at.isoformat(),
        "drift": drift,
        "products": products.n,
        "first_month": str(history.months[0]),
        "last_month": str(history.months[-1]),
        **groups(answers),
        "category_totals": {"names": list(totals.names), "totals": totals.totals.tolist()},
        "product_ids": list(products.product_ids),
        **({} if rates is None else {"return_rates": rates.to_json()}),
        **({} if awake is None else {"dormant_sale_rate": awake}),
        **notes,
    }
    if history.plan:
        header["shop_plan"] = _shop_plan(history)
    if totals.paths is not None:
        header["category_totals"]["paths"] = totals.paths.tolist()
    if totals.planned_prices is not None:
        header["category_totals"]["planned_prices"] = _or_null(totals.planned_prices)
    body = b"\n".join([encoded(header), *answers]) + b"\n"
    return encoded({"format": FORMAT, "sha256": hashlib.sha256(body).hexdigest()}) + b"\n" + body


def _shop_plan(history: History) -> dict[str, list[float | None]]:
    """What there is a plan of, for `Live`; of a product's own plan the name alone."""
    return {name: _or_null(values[0]) if name == SHOP_PRICE else [] for name, values in history.plan.items()}


def _or_null(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
