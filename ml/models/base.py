"""What every candidate model promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ml.distribution import Prediction
from ml.features import CategoryTotals
from ml.history import History

if TYPE_CHECKING:
    from ml.hindcasts import Hindcasts

State = dict[str, "NDArray[np.generic] | str"]
Uncertainty = Literal["residuals", "counts", "product_counts", "quantiles", "own"]


class Model(Protocol):
    """A fitted candidate: a function from a history to the distribution of the next month's units.

    A class is added to `ml.models.CANDIDATES` by one line. Instances are immutable; `fit` makes one.

    Attributes:
        name: Key in the registry and in the benchmark table.
        family: What kind of model it is, for the table.
        promotable: False for a model that only serves as a yardstick.
        uncertainty: How `ml.calibration` completes its predictions. `residuals`: a point forecast, quantiles
            come from past residuals; `counts`: a point forecast, quantiles come from a negative binomial;
            `product_counts`: the same with a dispersion of each product, see `ml.own_dispersion`;
            `quantiles`: its own quantiles are shifted; `own`: its quantiles are calibrated already.
    """

    name: ClassVar[str]
    family: ClassVar[str]
    promotable: ClassVar[bool]
    uncertainty: ClassVar[Uncertainty]

    @classmethod
    def fit(cls, history: History, seed: int, hindcasts: Hindcasts | None = None) -> Self:
        """A model fitted on all months of `history`.

        Args:
            history: At least one month.
            seed: Same history and seed give the same state, byte for byte.
            hindcasts: Cache of features and earlier forecasts of a history that `history` is a beginning of.
        """
        ...

    def predict(self, history: History, categories: CategoryTotals) -> Prediction:
        """Uncalibrated forecast of `history.next_month`, one row per product, whatever its age.

        The row of a product has the same bits whether the product comes alone or among others.
        """
        ...


class Servable(Model, Protocol):
    """A model that can be stored in a bundle and read back without running code from it."""

    def state(self) -> State:
        """Fitted values as arrays and text, enough for `from_state`."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.generic] | str]) -> Self:
        """The inverse of `state`; predictions have the same bits."""
        ...
