"""Settings of the console; variables start with `CONSOLE_`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from apps.chassis.settings import LOCAL, ApiKey, Port, ServiceSettings

_URL = "^https?://"
_HTTPS = r"^(https://|http://(127\.0\.0\.1|localhost)([:/]|$))"


class SignInSettings(ServiceSettings):
    """Who may come in. With neither a file of users nor an identity provider every page is closed."""

    environment: str = Field(
        default=LOCAL, pattern="^[a-z][a-z0-9-]*$", description="folder under environments/"
    )
    users_file: Path | None = Field(
        default=None, description="users by name, a line each; `python -m apps.console user` makes one"
    )
    session_key: SecretStr | None = Field(
        default=None,
        min_length=32,
        validate_default=True,
        description="signs sessions, the same in all replicas; on a laptop one is made at the start",
    )
    session_seconds: float = Field(
        default=28_800.0, gt=0, le=86_400.0, description="how long somebody stays signed in"
    )
    public_url: str | None = Field(
        default=None,
        pattern=_HTTPS,
        description="where browsers reach the console; the provider sends them back there",
    )
    oidc_issuer: str | None = Field(
        default=None, pattern=_HTTPS, description="identity provider, its `iss` to the letter"
    )
    oidc_client_id: str | None = Field(
        default=None, validate_default=True, description="the console there; an ID token must be for it"
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="of the console there; none for a public client, which PKCE protects alone"
    )
    oidc_roles_claim: str = Field(
        default="roles",
        min_length=1,
        description="claim with `viewer` or `controller`, such as `realm_access.roles`",
    )
    oidc_name_claim: str = Field(
        default="preferred_username", min_length=1, description="claim with the person's account on the forge"
    )
    oidc_stale_seconds: float = Field(
        default=86_400.0, gt=0, description="how long the provider's keys are used after it last gave them"
    )
    oidc_timeout_seconds: float = Field(default=5.0, gt=0, description="longest wait for the provider")

    @field_validator(
        *("users_file", "session_key", "public_url", "oidc_issuer", "oidc_client_id", "oidc_client_secret"),
        mode="before",
        check_fields=False,
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("session_key")
    @classmethod
    def _shared_by_replicas(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None and info.data.get("environment") != LOCAL:
            raise PydanticCustomError("session", "outside of a laptop replicas share one; set it")
        return value

    @field_validator("oidc_client_id")
    @classmethod
    def _whole_provider(cls, value: str | None, info: ValidationInfo) -> str | None:
        given = {value is not None, info.data.get("oidc_issuer") is not None}
        if given == {True, False} or (value is not None and info.data.get("public_url") is None):
            raise PydanticCustomError("provider", "oidc_issuer, oidc_client_id and public_url come together")
        return value


class ConsoleSettings(SignInSettings):
    """Which services, which repository and which environment are shown, and where pull requests are opened."""

    model_config = SettingsConfigDict(env_prefix="CONSOLE_")

    port: Port = 8003
    collector_url: str = Field(default="http://127.0.0.1:8000", pattern=_URL)
    forecast_url: str = Field(default="http://127.0.0.1:8001", pattern=_URL)
    decision_url: str = Field(default="http://127.0.0.1:8002", pattern=_URL)
    api_key: ApiKey | None = Field(
        default=None, description="its own key at the forecast and decision services, of the role viewer"
    )
    timeout_seconds: float = Field(
        default=5.0, gt=0, description="longest wait for a service or for git, beside the pages"
    )
    page_seconds: float = Field(
        default=0.15,
        gt=0,
        description="longest that a page waits for all of them; then it shows what was last said",
    )
    bulk_seconds: float = Field(
        default=30.0, gt=0, description="longest wait for an answer about many products at once"
    )
    repository: Path = Field(
        description="bare Git repository with the environments; of a forge of the network, where its mirror is kept"
    )
    trunk: str = Field(
        default="main", pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", description="branch that is deployed"
    )
    oncall_url: str = Field(
        default="http://127.0.0.1:8004", pattern=_URL, description="on-call service, of the page of alarms"
    )
    oncall_key: ApiKey | None = Field(
        default=None, description="its own key there, of the role controller, for the buttons of the page"
    )
    forge: str | None = Field(
        default=None,
        description="where pull requests are opened: path or address of the repository; none: nothing can be changed",
    )
    forge_kind: Literal["local", "gitea", "github"] | None = Field(
        default=None, description="what serves it; a path and github.com say it themselves"
    )
    forge_account: str = Field(
        default="promoter", description="who opens them, where the token does not say it"
    )
    forge_token: SecretStr | None = Field(default=None, description="of that account; a path needs none")
    model_store: str | None = Field(
        default=None, description="where bundles are: a release is gone back to only if its model loads"
    )
    model_registry: str | None = Field(
        default=None, pattern=_URL, description="MLflow, which knows the models that can be promoted"
    )
    registry_page: str | None = Field(
        default=None, pattern=_URL, description="MLflow for browsers; without it nothing links there"
    )
    prometheus_url: str | None = Field(
        default=None,
        pattern=_URL,
        description="figures, and how the source of a promotion ran; without it that gate stays closed",
    )
    alertmanager_url: str | None = Field(
        default=None, pattern=_URL, description="Alertmanager, which knows the alarms that fire"
    )
    argo_url: str | None = Field(
        default=None, pattern=_URL, description="Argo CD, which knows what the cluster was given"
    )
    argo_token: SecretStr | None = Field(
        default=None, description="of an account there that may only get this project's applications"
    )
    refresh_seconds: float = Field(
        default=15.0,
        gt=0,
        description="how often forge, registries and monitoring are asked, beside the pages",
    )
    propose_seconds: float = Field(
        default=120.0, gt=0, description="longest wait for a pull request to be opened"
    )

    @field_validator(
        *("forge", "forge_token", "model_store", "model_registry", "registry_page", "prometheus_url"),
        *("alertmanager_url", "argo_url", "argo_token"),
        mode="before",
    )
    @classmethod
    def _unset_is_none(cls, value: object) -> object:
        return value or None
