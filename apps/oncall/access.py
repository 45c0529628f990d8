"""Alertmanager's token, which opens its own routes and nothing else."""

from hmac import compare_digest
from http import HTTPStatus

from fastapi import Depends
from starlette.types import Scope

from apps.chassis.access import Holder
from apps.chassis.problems import Problem


class AlertSender(Holder):
    """The token of the settings is asked for, as `Authorization: Bearer`.

    Raises:
        Problem: 401 without it.
    """

    async def admit(self, scope: Scope) -> None:
        """Let a request through or raise."""
        expected = scope["app"].state.settings.alert_token.get_secret_value()
        offered = dict(scope["headers"][::-1]).get(b"authorization", b"")
        if not compare_digest(offered, f"Bearer {expected}".encode()):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "alert-token-refused",
                "the token of Alertmanager is missing or wrong; it is in the Secret `oncall` of both",
                headers={"WWW-Authenticate": "Bearer"},
            )
        scope["caller"] = "alertmanager"
        scope["admitted"] = self


ALERT_SENDER = Depends(AlertSender("alertmanager", frozenset()))
