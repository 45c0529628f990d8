"""Calls to other services: what the libraries below httpx say of a lost connection is said as httpx says it."""

from typing import Any

import httpx


class Caller(httpx.AsyncClient):
    """A client whose lost connections are all `httpx.ReadError`.

    anyio and uvloop raise an `AttributeError` or `RuntimeError` where one is cut under them at the wrong moment.
    """

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """As httpx does.

        Raises:
            httpx.HTTPError: There is no answer.
        """
        try:
            return await super().send(request, **options)
        except (AttributeError, RuntimeError) as error:
            raise httpx.ReadError(str(error), request=request) from error
