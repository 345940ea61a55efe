"""Who may use the admin endpoints below /mock: this machine's loopback alone, or with an admin token set whoever sends it.

The token comes as `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import SecretStr

Handler = Callable[[web.Request], Awaitable[web.Response]]


class AdminGuard:
    """Lets handlers answer those only who may."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token

    def wrap(self, handler: Handler) -> Handler:
        """The handler, behind the guard: 401 or 403 with an `error` that says why."""

        async def guarded(request: web.Request) -> web.Response:
            refusal = self._refusal(request)
            if refusal is not None:
                status, text = refusal
                return web.json_response({"error": text}, status=status)
            return await handler(request)

        return guarded

    def _refusal(self, request: web.Request) -> tuple[int, str] | None:
        if self._token is not None:
            given = request.headers.get("Authorization", "")
            if hmac.compare_digest(given.encode(), f"Bearer {self._token.get_secret_value()}".encode()):
                return None
            return 401, "an admin token is set: send it as 'Authorization: Bearer TOKEN'"
        if not _is_loopback(request.remote or "") or not _is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            return (
                403,
                "administered from this machine's loopback alone; to reach it from elsewhere start with --admin-token",
            )
        if "Origin" in request.headers:
            return 403, "a web page may not administer the exchange"
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
