"""What one would hand to MLflow instead of the forecast service: a pyfunc from a product's history to its forecast.

MLflow runs this file when it loads the model. The work is that of the service, by the same functions, so what is left
between the two is their servers.
"""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from ml.bundle import unpack
from ml.product_history import ProductHistory
from ml.snapshot import Snapshot


class HistoryModel(PythonModel):
    """Histories as `POST /forecast` takes them, a row each; answers as it gives them, a text each."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the bundle, which is named by its sha256, and the snapshot."""
        bundle, snapshot = (Path(context.artifacts[name]) for name in ("bundle", "snapshot"))
        read = unpack(bundle.read_bytes(), bundle.stem)
        self.live = Snapshot.from_bytes(snapshot.read_bytes(), read.sha256).live(read)

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow looks at the name
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - the same
    ) -> list[str]:
        """One answer for each row."""
        sent = [ProductHistory.model_validate(row) for row in model_input.to_dict("records")]
        return [answer.decode() for answer in self.live.forecaster.answers(self.live.history(sent))]


def save(folder: Path, bundle: Path, snapshot: Path) -> None:
    """Keep it as a model of MLflow's."""
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=__file__,
        artifacts={"bundle": str(bundle), "snapshot": str(snapshot)},
        pip_requirements=["numpy"],
    )


if __name__ != "benchmarks.history_model":  # as MLflow runs it
    set_model(HistoryModel())
