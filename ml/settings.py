"""Settings of the pipeline; every field can be set by an environment variable `ML_<FIELD>`.

An empty variable counts as unset.
"""

from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ml.data_gate.settings import QualitySettings
from ml.inbox_location import InboxLocation, Password
from ml.location import Location
from ml.pseudonym import KEY_FILE, read_key


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
    inbox: InboxLocation = Field(
        default_factory=lambda fields: Path(fields["state"]) / "inbox.sqlite",
        description="Accepted events: a SQLite file or postgresql://USER@HOST[:PORT]/DATABASE, without password.",
    )
    inbox_password: SecretStr | None = Field(default=None, description="Password of a PostgreSQL inbox.")
    inbox_password_file: Path | None = Field(
        default=None, description="File that holds it; read at every connection, so it can change."
    )
    model_store: Location = Field(
        default_factory=lambda fields: Path(fields["state"]) / "models",
        description="Folder or s3://BUCKET/PREFIX of bundles and snapshots, named by content.",
    )
    signing_key_file: Path | None = Field(
        default=None,
        description="Private key in PEM that signs bundles and snapshots; none are signed without.",
    )
    signers_file: Path | None = Field(
        default=None,
        description="Public keys in PEM: only bundles and snapshots that one of them signed are read; all are without.",
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
    pseudonym_key: SecretStr | None = Field(
        default=None, description="Makes customer and session ids pseudonyms; the collector's own key."
    )
    pseudonym_key_file: Path | None = Field(
        default=None, description="File with that key, where it is not in a variable."
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
    quality: QualitySettings = Field(
        default_factory=QualitySettings, description="Thresholds of the quality gate, `ML_QUALITY_<FIELD>`."
    )

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.shop_zone)

    def pseudonym_secret(self) -> bytes:
        """The key of the pseudonyms; without one in the settings, a file of it is made once in `state`.

        Raises:
            BadPseudonymKey: The key or its file is too short or cannot be read.
        """
        given = None if self.pseudonym_key is None else self.pseudonym_key.get_secret_value()
        return read_key(given, self.pseudonym_key_file, self.state / KEY_FILE)

    @property
    def inbox_login(self) -> Password:
        """The password of a PostgreSQL inbox, by reference."""
        return Password(self.inbox_password, self.inbox_password_file)

    @property
    def lake(self) -> Path:
        """Folder of the Delta tables."""
        return self.state / "lake"

    @property
    def fits(self) -> Path:
        """Folder of fits that the processes of a training share."""
        return self.state / "fits"

    @property
    def artifacts(self) -> Path:
        """MLflow artifact folder of the embedded database; a server has its own."""
        return (self.state / "mlartifacts").resolve()
