"""Talks to a running daemon's control port. Small on purpose: `mmd halt` must start fast and depend on little."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

import msgspec

from mmd.daemon.settings import ControlSettings


class NoDaemon(RuntimeError):
    """Nothing answers on the control port."""


class Reply(msgspec.Struct, frozen=True):
    """Status and JSON object of an answer."""

    status: int
    document: dict[str, Any]


class ControlClient:
    """`timeout_seconds` is for one whole answer."""

    def __init__(self, settings: ControlSettings, *, timeout_seconds: float = 40.0) -> None:
        self._settings = settings
        self._timeout_seconds = timeout_seconds

    def halt(self, reason: str, *, wait_seconds: float) -> Reply:
        """POST /halt. Raises `NoDaemon`."""
        return self._ask("POST", "/halt", {"reason": reason, "actor": "cli", "wait": wait_seconds})

    def resume(self, reason: str) -> Reply:
        """POST /resume. Raises `NoDaemon`."""
        return self._ask("POST", "/resume", {"reason": reason, "actor": "cli"})

    def flatten(self, reason: str, *, seconds: float) -> Reply:
        """POST /flatten; answers when it is over. Raises `NoDaemon`."""
        return self._ask("POST", "/flatten", {"reason": reason, "actor": "cli", "seconds": seconds})

    def choose_networks(self, **choice: str | bool) -> Reply:
        """POST /models: `use=BUNDLE`, `rollback=True` or `challenger=BUNDLE`. Raises `NoDaemon`."""
        return self._ask("POST", "/models", choice)

    def state(self) -> Reply:
        """GET /state. Raises `NoDaemon`."""
        return self._ask("GET", "/state", None)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Reply:
        settings = self._settings
        headers = {"Content-Type": "application/json"}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
        host = reachable_host(settings)
        connection = self._connection(host)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            document = json.loads(content)
        except OSError as error:
            raise NoDaemon(
                f"no daemon answers on {host}:{settings.port} ({error}): is it running? "
                "Is control.port (MMD_CONTROL__PORT) the one it was started with?"
            ) from error
        except (http.client.HTTPException, ValueError) as error:
            raise NoDaemon(f"what listens on {host}:{settings.port} is no mmd daemon: {error!r}") from error
        finally:
            connection.close()
        return Reply(response.status, document if isinstance(document, dict) else {"answer": document})

    def _connection(self, host: str) -> http.client.HTTPConnection:
        """TLS where the daemon has it. Raises `NoDaemon`."""
        settings, context = self._settings, trusted_context(self._settings)
        if context is None:
            return http.client.HTTPConnection(host, settings.port, timeout=self._timeout_seconds)
        return http.client.HTTPSConnection(host, settings.port, timeout=self._timeout_seconds, context=context)


def reachable_host(settings: ControlSettings) -> str:
    """Where this machine finds the port."""
    return "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host


def base_url(settings: ControlSettings) -> str:
    """The same as a URL."""
    host = reachable_host(settings)
    scheme = "http" if settings.tls_certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def trusted_context(settings: ControlSettings) -> ssl.SSLContext | None:
    """TLS that trusts the very certificate that is set and no other; None where the port speaks plain HTTP. Raises `NoDaemon`."""
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # The certificate is known by itself, so that the name under which we reach it does not matter.
    context.check_hostname = False
    try:
        context.load_verify_locations(settings.tls_certificate)
    except (OSError, ssl.SSLError) as error:
        raise NoDaemon(f"control.tls_certificate {settings.tls_certificate} cannot be read: {error}") from error
    return context
