"""The mock exchange as a running server: one port for REST, market streams and WebSocket API, and the market loop."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog
from aiohttp import WSCloseCode, web

from mmd.mock.engine import MatchingEngine
from mmd.mock.faults import FaultBoard, load_scenario
from mmd.mock.futures.config import STREAM_PREFIX, WEBSOCKET_API_PATH
from mmd.mock.instruments import dollars, listed
from mmd.mock.replay import Recording
from mmd.mock.server.admin_guard import AdminGuard
from mmd.mock.server.config import MockConfig
from mmd.mock.server.connection import SocketConnection
from mmd.mock.server.errors import WireError
from mmd.mock.server.fault_admin import FaultAdmin
from mmd.mock.server.fault_rim import FaultRim
from mmd.mock.server.listen_key_operations import LISTEN_KEY_OPERATIONS
from mmd.mock.server.market import MarketFactory, market_from_config
from mmd.mock.server.market_events import shutdown_frame
from mmd.mock.server.operation_tables import OPERATIONS
from mmd.mock.server.operations import OperationTable
from mmd.mock.server.rest import RestApi, retry_headers
from mmd.mock.server.state_store import StateStore
from mmd.mock.server.stream_connection import StreamConnection, StreamRefusal
from mmd.mock.server.time_unit import wants_microseconds
from mmd.mock.server.tls import self_signed, server_context
from mmd.mock.server.transfer_admin import TransferAdmin
from mmd.mock.server.venue import Venue
from mmd.mock.server.websocket_api import ApiSession
from mmd.types.instrument import Instrument, atoms

if TYPE_CHECKING:
    from mmd.mock.futures.face import FuturesFace

_LOOP_BUDGET_SECONDS = 0.01
_SHUTDOWN_SECONDS = 2.0
_API_CONNECTION_WEIGHT = 2
_FIRST_DOLLARS = 1_000_000

logger = structlog.get_logger(__name__)


class MockExchange:
    """A mock exchange, to be used as `async with MockExchange(config) as exchange`.

    `clock` gives UTC ns; `market_factory` makes whatever trades beside the accounts. Raises `ScenarioError`.
    """

    def __init__(
        self,
        config: MockConfig,
        *,
        clock: Callable[[], int] = time.time_ns,
        market_factory: MarketFactory = market_from_config,
    ) -> None:
        self.config = config
        self._clock = clock
        self._market_factory = market_factory
        self._store = StateStore(config.state_dir, config.state_interval)
        self._table = OperationTable((*OPERATIONS, *(LISTEN_KEY_OPERATIONS if config.legacy_listen_keys else ())))
        self._streams: set[StreamConnection] = set()
        self._sessions: set[ApiSession] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self._venue: Venue | None = None
        self._futures: FuturesFace | None = None
        self._port = config.port
        self._temporary: TemporaryDirectory[str] | None = None
        self.certificate: Path | None = None
        """What a client must trust where the exchange serves TLS."""
        self._is_down = False
        scenario = load_scenario(config.scenario) if config.scenario is not None else None
        self._rim = FaultRim(self, scenario, config.seed, config.speed)

    @property
    def venue(self) -> Venue:
        """What the server runs. Raises RuntimeError before `start`."""
        if self._venue is None:
            raise RuntimeError("the mock exchange has not been started")
        return self._venue

    @property
    def engine(self) -> MatchingEngine:
        """The matching engine, for tests that look at it or trade in the background."""
        return self.venue.engine

    @property
    def rest_url(self) -> str:
        """Base URL of the REST API, without /api."""
        return f"{'https' if self.config.tls else 'http'}://{self.config.host}:{self._port}"

    @property
    def stream_url(self) -> str:
        """Base URL of the market streams, without /ws."""
        return f"{'wss' if self.config.tls else 'ws'}://{self.config.host}:{self._port}"

    @property
    def websocket_api_url(self) -> str:
        """URL of the WebSocket API."""
        return f"{self.stream_url}/ws-api/v3"

    @property
    def futures(self) -> FuturesFace:
        """The futures, where they are served. Raises RuntimeError where not."""
        if self._futures is None:
            raise RuntimeError("the mock exchange serves no futures: set futures.enabled")
        return self._futures

    @property
    def futures_stream_url(self) -> str:
        """Base URL of the futures' streams, without /public, /market and /private."""
        return f"{self.stream_url}{STREAM_PREFIX}"

    @property
    def futures_websocket_api_url(self) -> str:
        """URL of the futures' WebSocket API."""
        return f"{self.stream_url}{WEBSOCKET_API_PATH}"

    @property
    def connections(self) -> list[SocketConnection]:
        """The websockets that are open."""
        sockets = [connection.socket for connection in self._streams] + [session.socket for session in self._sessions]
        sockets += [] if self._futures is None else self._futures.sockets
        return [socket for socket in sockets if not socket.is_closing]

    @property
    def faults(self) -> FaultBoard:
        """The faults that are on."""
        return self._rim.board

    def sockets(self, channel: str) -> list[SocketConnection]:
        """The websockets that are open on `market`, `order_entry` or `all`."""
        return [socket for socket in self.connections if channel in ("all", socket.rim.channel)]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bring the state back, open the port, set the market going. Raises StateError, CertificateError, OSError (port in use)."""
        try:
            await self._open(self._store.load())
        except BaseException:
            if self._runner is not None:
                await self._runner.cleanup()
                self._runner = None
            self._store.abandon()
            raise
        loop = asyncio.get_running_loop()
        self._rim.start()
        self._tasks = [loop.create_task(self._pump()), loop.create_task(self._checkpoints())]
        logger.info("mock exchange started", rest=self.rest_url, market=self._market_name, symbols=list(self.engine.instruments))

    async def stop(self) -> None:
        """Announce the end, close every connection, write the state. Raises what the market loop failed with, if it did."""
        await self._rim.stop()
        venue, self._runner, runner = self.venue, None, self._runner
        if runner is not None:
            self.announce_shutdown()
            await self.close_connections("the server is shutting down")
            await runner.cleanup()
        elif not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._store.close(venue.engine)
        if self._temporary is not None:
            self._temporary.cleanup()
        logger.info("mock exchange stopped", rest=self.rest_url)
        for result in [*results, self._rim.failed]:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    @property
    def _market_name(self) -> str:
        return "replay" if self.config.replay else self.config.market

    async def wait_failed(self) -> None:
        """Until the market loop, the checkpoints or a restart fail; `stop` raises what they failed with."""
        waiting: list[asyncio.Future[None]] = [*self._tasks]
        if self._rim.failure is not None:
            waiting.append(self._rim.failure)
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    async def restart(self, *, keep_state: bool, down_seconds: float, announce: bool) -> None:
        """Go down, and come back on the same port with accounts, orders, trades and ids, or without. Raises what `start` does."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._is_down = True
        engine = self.venue.engine
        if announce:
            self.announce_shutdown()
            await self.close_connections("the server is shutting down")
        for socket in self.connections:
            socket.break_off(reset=True)
        await runner.cleanup()
        saved = engine.snapshot() if keep_state else None
        self._store.close(engine)
        if not keep_state:
            self._store.forget()
        await asyncio.sleep(down_seconds)
        stored = self._store.load()
        await self._open(saved if stored is None else stored)
        self._is_down = False
        logger.info("mock exchange restarted", rest=self.rest_url, kept_state=keep_state)

    async def _open(self, saved: bytes | None) -> None:
        self._venue = self._open_venue(saved)
        self._store.begin(self._venue.engine)
        # Futures have no state on disk: a restart that keeps the state keeps them as they are.
        if self.config.futures.enabled and (self._futures is None or saved is None):
            self._futures = _futures_face(self.config, self._clock, self._rim)
        await self._listen(self._venue)

    def _open_venue(self, saved: bytes | None) -> Venue:
        config = self.config
        instruments = list(Recording(config.replay).instruments.values()) if config.replay else listed(config.symbols)
        if saved is None:
            engine = MatchingEngine(instruments, maker_fee=config.maker_fee, taker_fee=config.taker_fee)
        else:
            engine = MatchingEngine.restore(saved, instruments, maker_fee=config.maker_fee, taker_fee=config.taker_fee)
        for name in config.account_names:
            if name not in engine.accounts():
                engine.open_account(name, _first_balances(config, instruments))
        return Venue(config, engine, self._clock, self._store, self._market_factory, self._rim.board)

    async def _listen(self, venue: Venue) -> None:
        rest = RestApi(venue, self._table, self._rim)
        app = web.Application()
        guard = AdminGuard(self.config.admin_token)
        app.add_routes(FaultAdmin(self, self._rim, guard).routes)
        app.add_routes(TransferAdmin(venue, guard).routes)
        for prefix in ("api", "sapi"):
            app.router.add_route("*", f"/{prefix}/{{path:.*}}", rest.handle)
        app.router.add_get("/ws", self._raw_streams)
        app.router.add_get("/ws/{streams:.*}", self._raw_streams)
        app.router.add_get("/stream", self._combined_streams)
        app.router.add_get("/ws-api/v3", self._websocket_api)
        if self._futures is not None:
            self._futures.add_routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self._port, ssl_context=self._tls_context())
        await site.start()
        self._port = self._runner.addresses[0][1]

    def _tls_context(self) -> ssl.SSLContext | None:
        config = self.config
        if not config.tls:
            return None
        if config.tls_certificate is not None and config.tls_key is not None:
            self.certificate = config.tls_certificate
            return server_context(config.tls_certificate, config.tls_key)
        if config.state_dir is None and self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="mmd-mock-tls-")
        directory = config.state_dir or Path(self._temporary.name if self._temporary else "")
        self.certificate, key = self_signed(directory, config.host)
        return server_context(self.certificate, key)

    async def _raw_streams(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.match_info.get("streams", "").split("/") if name]
        return await self._serve_streams(request, names, combined=False)

    async def _combined_streams(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await self._serve_streams(request, names, combined=True)

    async def _serve_streams(self, request: web.Request, names: list[str], *, combined: bool) -> web.StreamResponse:
        venue = self.venue
        refused = await self._rim.admit("market") or self._refuse_connection(venue, request)
        if refused is not None:
            return refused
        socket = SocketConnection(request, self.config, "stream", self._rim.attach("market"))
        connection = StreamConnection(socket, venue.streams, self.config.rate_limits, self._clock, combined=combined)
        # A path of one number is a client's own numbering of its connections.
        try:
            connection.subscribe([name for name in names if not name.isdigit()])
        except StreamRefusal as refusal:
            connection.close()
            return web.json_response({"code": refusal.code, "msg": refusal.message}, status=400)
        self._streams.add(connection)
        try:
            return await socket.serve(connection.on_text, connection.on_incoming)
        finally:
            self._streams.discard(connection)
            connection.close()

    async def _websocket_api(self, request: web.Request) -> web.StreamResponse:
        venue = self.venue
        refused = await self._rim.admit("order_entry") or self._refuse_connection(venue, request, _API_CONNECTION_WEIGHT)
        if refused is not None:
            return refused
        socket = SocketConnection(request, self.config, "websocket api", self._rim.attach("order_entry"))
        return_rate_limits = request.query.get("returnRateLimits", "true") != "false"
        session = ApiSession(socket, venue, self._table, self._rim, return_rate_limits=return_rate_limits)
        self._sessions.add(session)
        try:
            return await socket.serve(session.on_text)
        finally:
            self._sessions.discard(session)
            session.close()

    def _refuse_connection(self, venue: Venue, request: web.Request, weight: int = 0) -> web.Response | None:
        try:
            wants_microseconds(request.query.get("timeUnit"))
            venue.limiter.connect(request.remote or "unknown", weight, venue.server_ms())
        except WireError as error:
            headers = retry_headers(error, venue.server_ms())
            return web.json_response({"code": error.code, "msg": error.message}, status=error.status, headers=headers)
        return None

    def announce_shutdown(self, sockets: Iterable[SocketConnection] | None = None) -> None:
        """Tell these websockets, or all, that the server is about to close, in their own form: raw, combined, WebSocket API's."""
        told = set(self.connections if sockets is None else sockets)
        event = shutdown_frame(self.venue.server_ms())
        combined = b'{"stream":"!serverShutdown","data":%b}' % event
        for connection in self._streams:
            if connection.socket in told:
                connection.send(combined if connection.combined else event)
        for session in self._sessions:
            if session.socket in told:
                session.send(b'{"event":%b}' % event)

    async def close_connections(self, reason: str) -> None:
        """Close every connection, once what is queued for it has been sent. New ones may be opened meanwhile."""
        sockets = self.connections
        for socket in sockets:
            socket.close(WSCloseCode.GOING_AWAY, reason)
        await asyncio.gather(*(socket.wait_closed() for socket in sockets))

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.config.pump_interval)
            self._rim.advance()
            if self._is_down:
                continue
            for venue in [self.venue] if self._futures is None else [self.venue, self._futures.venue]:
                venue.fill_due()
                deadline = loop.time() + _LOOP_BUDGET_SECONDS
                while not self._is_down and venue.step():
                    if loop.time() >= deadline:
                        # The market is behind: let the clients be served between the slices.
                        await asyncio.sleep(0)
                        deadline = loop.time() + _LOOP_BUDGET_SECONDS

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(self.config.state_interval)
            if not self._is_down:
                await self._store.checkpoint_if_due(self.venue.engine)


def _futures_face(config: MockConfig, clock: Callable[[], int], rim: FaultRim) -> FuturesFace:
    # Here, since the futures are built of this package's parts.
    from mmd.mock.futures.face import FuturesFace

    return FuturesFace(config, clock, rim)


def _first_balances(config: MockConfig, instruments: Iterable[Instrument]) -> dict[str, int]:
    """What a new account holds, in atoms: the settings' amounts, and enough of every other asset that is traded."""
    assets = {asset for instrument in instruments for asset in (instrument.base_asset, instrument.quote_asset)}
    derived = {asset: Decimal(round(_FIRST_DOLLARS / dollars(asset))) for asset in sorted(assets)}
    chosen = config.balances if "balances" in config.model_fields_set else derived | dict(config.balances)
    return {asset: atoms(amount) for asset, amount in chosen.items()}
