"""The control port: halt, resume, look, and be scraped. Loopback unless a token is set.

A halt is never refused over a formality: a body that makes no sense halts all the same. What is refused is a caller that should
not be here: a web page of another site, a name that was re-bound to this address, a missing token.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec
import structlog
from aiohttp import web

from mmd.daemon.control_access import ControlAccess
from mmd.daemon.control_api import OPERATIONS
from mmd.daemon.control_documents import FlattenAnswer, HaltAnswer, Health, Readiness, Refusal, ResumeAnswer, SignalsAnswer
from mmd.daemon.dispatcher import Dispatcher, ResumeRefused
from mmd.daemon.metrics import ProcessSources, gather_metrics, metrics_text
from mmd.daemon.network_switch import SwapRefused
from mmd.daemon.page.feed import StateFeed
from mmd.daemon.page.routes import PageRoutes
from mmd.daemon.settings import ControlSettings
from mmd.daemon.state_document import not_ready, state_document
from mmd.market.signals import SignalError
from mmd.types.decoding import UNREADABLE

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 65_536
MAX_REASON_LENGTH = 500
DEFAULT_REASON = "operator request"
ACTORS = frozenset({"http", "cli", "page"})

DEFAULT_FLATTEN_SECONDS = 60.0
MAX_FLATTEN_SECONDS = 3_600.0
FLATTEN_GRACE_SECONDS = 2.0
FLATTEN_LOOK_SECONDS = 0.1

ASKED_NS = web.RequestKey("asked_ns", int)
"""When a request arrived, by `perf_counter_ns`."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlError(RuntimeError):
    """The control port cannot be opened."""


class ControlServer:
    """Serves one dispatcher. `url` is known after `start`."""

    def __init__(self, settings: ControlSettings, sources: ProcessSources) -> None:
        self._settings = settings
        self._dispatcher: Dispatcher = sources.dispatcher
        self._sources = sources
        self._runner: web.AppRunner | None = None
        self.port = settings.port
        self._access = ControlAccess(settings, lambda: self.url, time.monotonic)
        self._page = PageRoutes(self._access)
        self._feed = StateFeed(sources)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"{'http' if self._settings.tls_certificate is None else 'https'}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises `ControlError` when the port cannot be had, or its certificate makes no sense."""
        context = _tls_context(self._settings)
        application = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY_BYTES)
        handlers: dict[str, Handler] = {
            "halt": self._halt,
            "flatten": self._flatten,
            "resume": self._resume,
            "take_signals": self._take_signals,
            "use_networks": self._use_networks,
            "networks": self._networks,
            "state": self._state,
            "stream": self._stream,
            "healthz": self._healthz,
            "readyz": self._readyz,
            "metrics": self._metrics,
            "index": self._page.index,
            "page_file": self._page.file,
            "session": self._page.session,
            "log_in": self._log_in,
            "log_out": self._page.log_out,
        }
        application.add_routes(
            [web.route(operation.method, operation.path, handlers[operation.handler]) for operation in OPERATIONS]
        )
        application.on_shutdown.append(self._end_streams)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise ControlError(
                f"control port {self._settings.host}:{self._settings.port} cannot be opened ({error.strerror or error}): "
                "is another daemon running? Set control.port (MMD_CONTROL__PORT), 0 takes a free one"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close it."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # ---- who may speak

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[ASKED_NS] = perf_counter_ns()
        refusal = self._access.refusal(request)
        if refusal is not None:
            status, text = refusal
            log.warning("control request refused", path=request.path, status=status, why=text, remote=request.remote)
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            return web.json_response({"error": text}, status=status, headers=headers)
        return await handler(request)

    # ---- what they may say

    async def _halt(self, request: web.Request) -> web.Response:
        given = await _fields_of(request)
        open_before = self._dispatcher.open_order_count()
        asked_ns = request[ASKED_NS]
        reason = given.get("reason", "").strip()[:MAX_REASON_LENGTH] or DEFAULT_REASON
        record = self._dispatcher.halt(reason, _actor(given), asked_ns)
        took_ns = self._dispatcher.last_cancel_ns - asked_ns
        gone = await self._orders_gone(_wait_seconds(given, self._settings.halt_wait_seconds))
        document = HaltAnswer(
            halted=record.halted,
            record=record,
            open_orders=open_before,
            cancels_sent_after_ms=took_ns / 1e6 if took_ns > 0 else None,
            confirmed_gone=gone,
            still_open=self._dispatcher.open_order_count(),
            latched_on_disk=self._dispatcher.state.unwritten_halt is None,
        )
        return _json(document, 200 if gone else 202)

    async def _orders_gone(self, wait_seconds: float) -> bool:
        if self._dispatcher.failure:
            return False
        # Shielded: the future is shared by everybody who waits.
        gone = asyncio.shield(self._dispatcher.when_orders_gone())
        try:
            async with asyncio.timeout(wait_seconds):
                await gone
        except TimeoutError:
            return False
        return True

    async def _flatten(self, request: web.Request) -> web.Response:
        given = await _fields_of(request)
        seconds = _bounded(given.get("seconds"), DEFAULT_FLATTEN_SECONDS, MAX_FLATTEN_SECONDS)
        reason = given.get("reason", "").strip()[:MAX_REASON_LENGTH] or DEFAULT_REASON
        try:
            record = self._dispatcher.flatten(f"flatten: {reason}", _actor(given), seconds)
        except ResumeRefused as refused:
            return _refused(str(refused), 409)
        deadline = asyncio.get_running_loop().time() + seconds + FLATTEN_GRACE_SECONDS
        report = self._dispatcher.report().flatten
        # The core tells of it when asked; there is nothing to await.
        while report is not None and report.outcome == "working" and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(FLATTEN_LOOK_SECONDS)
            report = self._dispatcher.report().flatten
        gone = await self._orders_gone(self._settings.halt_wait_seconds)
        document = FlattenAnswer(
            halted=record.halted,
            record=record,
            outcome="stopped" if report is None else report.outcome,
            left={} if report is None else {symbol: left for symbol, left in report.left.items() if left},
            orders_gone=gone,
        )
        flat = report is not None and report.outcome == "flat" and gone
        return _json(document, 200 if flat else 202)

    async def _resume(self, request: web.Request) -> web.Response:
        given = await _fields_of(request)
        try:
            record = self._dispatcher.resume(given.get("reason", "")[:MAX_REASON_LENGTH], _actor(given))
        except ResumeRefused as refused:
            return _refused(str(refused), 409 if refused.conflict else 400)
        return _json(ResumeAnswer(record.halted, record))

    async def _take_signals(self, request: web.Request) -> web.Response:
        try:
            taken = self._sources.signals.take(await _fields_of(request))
        except SignalError as refused:
            return _refused(str(refused), 400)
        return _json(SignalsAnswer(taken))

    async def _use_networks(self, request: web.Request) -> web.Response:
        given = await _fields_of(request)
        networks, folder, watched = self._sources.networks, given.get("use", "").strip(), given.get("challenger", "").strip()
        back = given.get("rollback", "").lower() in ("1", "true", "yes")
        if bool(folder) + back + bool(watched) != 1:
            text = "say one of use=BUNDLE, rollback=true, challenger=BUNDLE (challenger=none ends it)"
            return _refused(text, 400)
        try:
            if watched:
                await networks.challenge(None if watched == "none" else Path(watched))
            else:
                await (networks.roll_back() if back else networks.use(Path(folder)))
        except SwapRefused as refused:
            return _refused(str(refused), 409)
        return await self._networks(request)

    async def _networks(self, request: web.Request) -> web.Response:
        return _json(self._sources.networks.document())

    async def _state(self, request: web.Request) -> web.Response:
        return _json(state_document(self._sources))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        return await self._feed.serve(request, lambda: self._access.still_allowed(request))

    async def _end_streams(self, application: web.Application) -> None:
        await self._feed.close()

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        return await self._page.log_in(request, (await _fields_of(request)).get("token", ""))

    async def _healthz(self, request: web.Request) -> web.Response:
        return _json(Health(True))

    async def _readyz(self, request: web.Request) -> web.Response:
        why = not_ready(self._dispatcher)
        return _json(Readiness(not why, why), 503 if why else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        text = await asyncio.to_thread(metrics_text, gather_metrics(self._sources))
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _tls_context(settings: ControlSettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ControlError(
            f"control.tls_certificate {settings.tls_certificate} with control.tls_key {settings.tls_key} cannot be used: {error}"
        ) from error
    return context


async def _fields_of(request: web.Request) -> dict[str, str]:
    """Fields of query, form or JSON body, whichever there is. What cannot be read is left out, and logged."""
    given = dict(request.query)
    try:
        if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
            given.update({name: value for name, value in (await request.post()).items() if isinstance(value, str)})
        elif request.can_read_body:
            document: Any = msgspec.json.decode(await request.read())
            if isinstance(document, dict):
                given.update({str(name): str(value) for name, value in document.items() if value is not None})
    except (*UNREADABLE, ValueError, web.HTTPException) as error:
        log.warning("the body of a control request makes no sense", path=request.path, error=str(error))
    return given


def _actor(given: dict[str, str]) -> str:
    actor = given.get("actor", "http")
    return actor if actor in ACTORS else "http"


def _wait_seconds(given: dict[str, str], default: float) -> float:
    return _bounded(given.get("wait"), default, 30.0)


def _bounded(text: str | None, default: float, most: float) -> float:
    """Seconds from a request; what makes no sense is the default."""
    try:
        seconds = default if text is None else float(text)
    except ValueError:
        return default
    return min(max(seconds, 0.0), most) if seconds == seconds else default


def _json(document: msgspec.Struct, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json", status=status)


def _refused(text: str, status: int) -> web.Response:
    return _json(Refusal(text), status)
