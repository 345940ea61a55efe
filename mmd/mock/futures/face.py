"""What the futures add to the server: their routes on the same port, their market loop, and their websockets."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from mmd.mock.engine import MatchingEngine
from mmd.mock.futures.config import STREAM_PREFIX, WEBSOCKET_API_PATH
from mmd.mock.futures.engine import FuturesEngine
from mmd.mock.futures.instruments import perpetuals
from mmd.mock.futures.market import perpetual_market
from mmd.mock.futures.operation_tables import FUTURES_OPERATIONS
from mmd.mock.futures.venue import FuturesVenue
from mmd.mock.server.config import MockConfig
from mmd.mock.server.connection import SocketConnection
from mmd.mock.server.fault_rim import FaultRim
from mmd.mock.server.operations import OperationTable
from mmd.mock.server.rest import RestApi
from mmd.mock.server.stream_connection import StreamConnection, StreamRefusal
from mmd.mock.server.websocket_api import ApiSession
from mmd.types.instrument import atoms

_ROUTED = ("", "/public", "/market")
"""The venue serves market streams under paths of their own, and under none at its test networks."""


class FuturesFace:
    """The futures of one mock exchange. `clock` gives UTC ns."""

    def __init__(self, config: MockConfig, clock: Callable[[], int], rim: FaultRim) -> None:
        futures = config.futures
        # A market of its own: other seed, no state, never a replay.
        changes = {"symbols": futures.symbols, "state_dir": None, "replay": (), "seed": config.seed + 1}
        self._config = config.model_copy(update=changes)
        self._clock = clock
        self._rim = rim
        engine = FuturesEngine(
            perpetuals(futures.symbols), maker_fee=futures.maker_fee, taker_fee=futures.taker_fee, leverage=futures.leverage
        )
        for name in config.account_names:
            engine.open_account(name, {asset: atoms(amount) for asset, amount in futures.balances.items()})
        self.venue = FuturesVenue(self._config, futures, engine, clock, perpetual_market, rim.board)
        self._table = OperationTable(FUTURES_OPERATIONS)
        self.sockets: set[SocketConnection] = set()

    @property
    def engine(self) -> MatchingEngine:
        """The matching engine, for tests."""
        return self.venue.engine

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """REST, market streams, user data streams and WebSocket API."""
        rest = RestApi(self.venue, self._table, self._rim)
        router.add_route("*", "/fapi/{path:.*}", rest.handle)
        for routed in _ROUTED:
            router.add_get(f"{STREAM_PREFIX}{routed}/stream", self._combined_streams)
            router.add_get(f"{STREAM_PREFIX}{routed}/ws", self._raw_streams)
            router.add_get(f"{STREAM_PREFIX}{routed}/ws/{{streams:.*}}", self._raw_streams)
        router.add_get(f"{STREAM_PREFIX}/private/ws", self._user_data)
        router.add_get(f"{STREAM_PREFIX}/private/ws/{{key}}", self._user_data)
        router.add_get(f"{STREAM_PREFIX}/private/stream", self._user_data)
        router.add_get(WEBSOCKET_API_PATH, self._websocket_api)

    async def _combined_streams(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await self._serve_streams(request, names, combined=True)

    async def _raw_streams(self, request: web.Request) -> web.StreamResponse:
        names = [name for name in request.match_info.get("streams", "").split("/") if name]
        return await self._serve_streams(request, names, combined=False)

    async def _serve_streams(self, request: web.Request, names: list[str], *, combined: bool) -> web.StreamResponse:
        if len(names) == 1 and "@" not in names[0]:
            return await self._serve_user_data(request, names[0], combined=combined)
        refused = await self._rim.admit("market")
        if refused is not None:
            return refused
        socket = SocketConnection(request, self._config, "futures stream", self._rim.attach("market"))
        connection = StreamConnection(socket, self.venue.streams, self._config.rate_limits, self._clock, combined=combined)
        try:
            connection.subscribe(names)
        except StreamRefusal as refusal:
            connection.close()
            return web.json_response({"code": refusal.code, "msg": refusal.message}, status=400)
        self.sockets.add(socket)
        try:
            return await socket.serve(connection.on_text, connection.on_incoming)
        finally:
            self.sockets.discard(socket)
            connection.close()

    async def _user_data(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info.get("key") or request.query.get("listenKey") or request.query.get("streams", "")
        return await self._serve_user_data(request, key, combined=request.path.endswith("/stream"))

    async def _serve_user_data(self, request: web.Request, key: str, *, combined: bool) -> web.StreamResponse:
        refused = await self._rim.admit("order_entry")
        if refused is not None:
            return refused
        socket = SocketConnection(request, self._config, "futures user data", self._rim.attach("order_entry"))
        if not self.venue.listeners.attach(key, socket, combined=combined):
            return web.json_response({"code": -1125, "msg": "This listenKey does not exist."}, status=400)
        self.sockets.add(socket)
        try:
            return await socket.serve(lambda text: None)
        finally:
            self.sockets.discard(socket)
            self.venue.listeners.detach(socket)

    async def _websocket_api(self, request: web.Request) -> web.StreamResponse:
        refused = await self._rim.admit("order_entry")
        if refused is not None:
            return refused
        socket = SocketConnection(request, self._config, "futures websocket api", self._rim.attach("order_entry"))
        return_rate_limits = request.query.get("returnRateLimits", "true") != "false"
        session = ApiSession(socket, self.venue, self._table, self._rim, return_rate_limits=return_rate_limits)
        self.sockets.add(socket)
        try:
            return await socket.serve(session.on_text)
        finally:
            self.sockets.discard(socket)
            session.close()
