"""Carries out what the fault board decides: on the websockets, on requests, on the venue's orders, and on the server as a whole."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog
from aiohttp import web

from mmd.mock.engine import BACKGROUND, EngineEvent, ExecutionType, MatchingEngine, NewOrder, OrderReport, Refusal
from mmd.mock.faults import Fault, FaultBoard, Scenario, Timeline
from mmd.mock.faults.kinds import ABNORMAL_CLOSURE, Cut, Freeze, Restart, ServerShutdown
from mmd.mock.faults.request_plan import PlannedError, RequestPlan, plan_request
from mmd.mock.server.connection import SocketConnection
from mmd.mock.server.connection_rim import ConnectionRim
from mmd.mock.server.errors import WireError

_HOLD_SECONDS = 300.0
_HOLD_CHECK_SECONDS = 0.1
_MAX_FILLS_WAITING = 10_000
GOING_AWAY = 1001

logger = structlog.get_logger(__name__)


class Server(Protocol):
    """What of the server the rim acts on."""

    def sockets(self, channel: str) -> list[SocketConnection]:
        """The websockets that are open on `market`, `order_entry` or `all`."""

    def announce_shutdown(self, sockets: Iterable[SocketConnection]) -> None:
        """Tell them that the server is about to close."""

    async def restart(self, *, keep_state: bool, down_seconds: float, announce: bool) -> None:
        """Go down and come back."""


class FaultRim:
    """One server's. `speed` scales scenarios told in market time."""

    def __init__(self, server: Server, scenario: Scenario | None, seed: int, speed: float) -> None:
        self.board = FaultBoard(seed if scenario is None else scenario.seed)
        self._server = server
        self._scenario = scenario
        self._speed = speed
        self._timeline: Timeline | None = None
        self._rest_thawed = asyncio.Event()
        self._rest_thawed.set()
        self._last_number = 0
        self._seen_version = 0
        self._chores: set[asyncio.Task[None]] = set()
        self.failure: asyncio.Future[None] | None = None
        self.board.on_act(self._act)

    # ---- time

    def start(self) -> None:
        """The scenario begins now."""
        self.failure = asyncio.get_running_loop().create_future()
        if self._scenario is not None:
            self._timeline = Timeline(self._scenario, self.board, time.time_ns(), self._speed)

    def advance(self) -> None:
        """Let what is due begin or end."""
        now_ns = time.time_ns()
        if self._timeline is not None:
            self._timeline.advance(now_ns)
        elif self.board.active:
            self.board.expire(now_ns)
        if self.board.version != self._seen_version:
            self._check_freezes()

    async def stop(self) -> None:
        """End what is still being carried out."""
        chores = [task for task in self._chores if task is not asyncio.current_task()]
        for task in chores:
            task.cancel()
        await asyncio.gather(*chores, return_exceptions=True)

    @property
    def failed(self) -> BaseException | None:
        """What a restart failed with."""
        return self.failure.exception() if self.failure is not None and self.failure.done() else None

    # ---- connections

    def attach(self, channel: str) -> ConnectionRim:
        """The rim of a new websocket."""
        self._last_number += 1
        rim = ConnectionRim(self.board, channel, self._last_number)
        rim.check_freeze()
        return rim

    async def admit(self, channel: str) -> web.Response | None:
        """Wait out a freeze; then None, or the refusal that a new websocket gets."""
        await self._rest_thawed.wait()
        status = self.board.refused_connection(channel, time.time_ns())
        return web.Response(status=status, text="connections are refused by a fault") if status else None

    # ---- requests

    async def rest_thawed(self) -> None:
        """Until REST answers again."""
        await self._rest_thawed.wait()

    def plan(self, channel: str, connection: int, operation: str, *, changes_orders: bool) -> RequestPlan:
        """What becomes of a request."""
        return plan_request(self.board, channel, connection, operation, changes_orders=changes_orders, now_ns=time.time_ns())

    async def hold(self, request: web.Request) -> None:
        """Never answer: keep the line open until the client leaves, or for five minutes."""
        deadline = time.monotonic() + _HOLD_SECONDS
        # Asked again and again, since aiohttp tells a handler of its client's leaving only by cancelling it.
        while request.transport is not None and not request.transport.is_closing() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(_HOLD_CHECK_SECONDS)
        if request.transport is not None:
            request.transport.abort()

    # ---- acts

    def _act(self, fault: Fault, now_ns: int) -> None:
        logger.info("fault", kind=fault.kind)
        if isinstance(fault, Cut):
            for socket in self._chosen(fault):
                socket.break_off(reset=fault.reset) if fault.reset or fault.code == ABNORMAL_CLOSURE else socket.close(
                    fault.code, fault.reason
                )
        elif isinstance(fault, ServerShutdown):
            sockets = self._chosen(fault)
            self._server.announce_shutdown(sockets)
            self._start(self._close_later(sockets, fault.grace_seconds))
        elif isinstance(fault, Restart):
            self._start(self._server.restart(keep_state=fault.keep_state, down_seconds=fault.down_seconds, announce=fault.announce))
        elif isinstance(fault, Freeze):
            self._check_freezes()

    def _chosen(self, fault: Cut | ServerShutdown) -> list[SocketConnection]:
        return [
            socket
            for socket in self._server.sockets(fault.channel)
            if fault.connection in (None, socket.rim.number) and socket.rim.number not in self.board.spared
        ]

    async def _close_later(self, sockets: list[SocketConnection], seconds: float) -> None:
        await asyncio.sleep(seconds)
        for socket in sockets:
            socket.close(GOING_AWAY, "the server is shutting down")

    def _check_freezes(self) -> None:
        self._seen_version = self.board.version
        now_ns = time.time_ns()
        if self.board.frozen_until_ns("rest", 0, now_ns) > now_ns:
            self._rest_thawed.clear()
        else:
            self._rest_thawed.set()
        for socket in self._server.sockets("all"):
            socket.rim.check_freeze()

    def _start(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self.failure and not self.failure.done():
            self.failure.set_exception(error)


class OrderFaults:
    """What befalls the orders of accounts at one venue. `clock` gives UTC ns."""

    def __init__(self, board: FaultBoard, engine: MatchingEngine, clock: Callable[[], int]) -> None:
        self._board = board
        self._engine = engine
        self._clock = clock
        self._fills: deque[tuple[int, OrderReport, float]] = deque(maxlen=_MAX_FILLS_WAITING)
        engine.admit = self._admit

    def on_events(self, events: Iterable[EngineEvent]) -> None:
        """Note the orders that are to be filled in part."""
        for event in events:
            if isinstance(event, OrderReport) and event.execution_type == ExecutionType.NEW and event.account != BACKGROUND:
                fault = self._board.partial_fill(event.account, event.symbol, self._clock())
                if fault is not None:
                    self._fills.append((self._clock() + round(fault.milliseconds * 1e6), event, fault.fraction))

    def fill_due(self, market_ns: int) -> Iterable[tuple[str, list[EngineEvent]]]:
        """Fill what is due, and yield symbol and events of each fill."""
        now_ns = self._clock()
        waiting, self._fills = self._fills, deque(maxlen=_MAX_FILLS_WAITING)
        for due_ns, report, fraction in waiting:
            if due_ns > now_ns:
                self._fills.append((due_ns, report, fraction))
                continue
            events = self._engine.fill_resting(report.account, report.symbol, report.order_id, fraction, market_ns)
            if events:
                yield report.symbol, events

    @property
    def has_fills(self) -> bool:
        """Whether any order waits to be filled."""
        return bool(self._fills)

    def _admit(self, new: NewOrder) -> None:
        if self._board.refuses_orders:
            fault = self._board.refused_order(new.account, new.symbol, self._clock())
            if fault is not None:
                raise Refusal(fault.code, fault.text)


def wire_error(planned: PlannedError, server_ms: int) -> WireError:
    """A planned error as the shells raise it."""
    retry_at_ms = None if planned.retry_seconds is None else server_ms + round(planned.retry_seconds * 1000)
    return WireError(planned.code, planned.message, status=planned.status, retry_at_ms=retry_at_ms)
