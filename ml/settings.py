"""Settings of the pipeline; every field can be set by an environment variable `ML_<FIELD>`.

An empty variable counts as unset.
"""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from ml.location import Location


class MlSettings(BaseSettings):
    """Where the pipeline keeps its data and how it closes a month.

    `state` is the folder that the embedded defaults live in; each store can be pointed elsewhere.
    """

    model_config = SettingsConfigDict(
        env_prefix="ML_", env_ignore_empty=True, frozen=True, protected_namespaces=()
    )

    state: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default=Path(".state"), description="Folder of the embedded defaults."
    )
    model_store: Location = Field(
        default_factory=lambda fields: Path(fields["state"]) / "models",
        description="Folder or s3://BUCKET/PREFIX of bundles and snapshots, named by content.",
    )
    tracking_uri: str = Field(
        default_factory=lambda fields: f"sqlite:///{(Path(fields['state']) / 'mlflow.sqlite').resolve()}",
        description="MLflow's tracking and registry: a database in `state`, or the URL of a server.",
    )
    shop_zone: str = Field(
        default="Europe/Istanbul", description="Shop days and months are counted in this zone."
    )
    lateness_days: int = Field(default=3, ge=0, description="A month is closed this many days after its end.")
    last_day_tolerance_days: int = Field(
        default=2,
        ge=0,
        description="A month counts as complete if its newest event is at most this many days before its end.",
    )
    max_quantity: int = Field(
        default=1_000_000, ge=1, description="Units in one event; more is an input error."
    )
    future_tolerance_seconds: int = Field(
        default=3600, ge=0, description="How far a shop's clock may run ahead."
    )
    excluded_categories: tuple[str, ...] = Field(
        default=("_non_product",),
        description="Categories of rows that are not products (postage, fees).",
    )
    trusted_events: tuple[str, ...] = Field(
        default=(), description="Ids of events that are learned from, although they look like entry errors."
    )
    repeated_events: bool = Field(
        default=False,
        description="Whether an event id may be in the lake more than once, as when others than `ingest` write it.",
    )
    random_seed: int = Field(default=7, ge=0)
    gate_fit_seconds: float = Field(
        default=600.0, gt=0, description="A model whose fits in the backtest take longer is refused."
    )
    gate_memory_bytes: float = Field(
        default=1.5e9, gt=0, description="A training whose process is larger is refused."
    )
    gate_score_p95_seconds: float = Field(
        default=0.05, gt=0, description="A model is refused if one forecast in twenty takes longer."
    )
    model_name: str = "demand"

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.shop_zone)

    @property
    def inbox(self) -> Path:
        """SQLite file of accepted events."""
        return self.state / "inbox.sqlite"

    @property
    def lake(self) -> Path:
        """Folder of the Delta tables."""
        return self.state / "lake"

    @property
    def artifacts(self) -> Path:
        """MLflow artifact folder of the embedded database; a server has its own."""
        return (self.state / "mlartifacts").resolve()
