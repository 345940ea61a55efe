"""The same over real sockets: a peer process sends ticks, our stack answers with signed orders, a bare echo stands beside it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from mmd.benchmark.frames import SYMBOL, Frames, simulated_frames
from mmd.benchmark.session import HotSession, nowhere
from mmd.daemon.bundles import make_predictors
from mmd.daemon.busy_poll import BusyPoll
from mmd.daemon.latency import LatencyHistogram, Percentiles
from mmd.daemon.settings import ProcessSettings
from mmd.daemon.shadow_tick import ShadowTicks
from mmd.exchanges.binance.rehearsal import BinanceWireRehearsal
from mmd.inference.bundle import Bundle
from mmd.quoting.settings import QuotingSettings

DONE = b"done "
WARM_SECONDS = 20.0
ROUNDS, MANY_TICKS = 4, 2_000
"""Echo and orders take turns so often, where there are ticks enough for it."""
ECHO = b"x" * 470
"""As long as a signed replacement: what the echo answers with, so that both references write as much at first."""


class WayFigures(msgspec.Struct, frozen=True):
    """Latencies in microseconds, as the peer saw them (`echo`, `wire_to_wire`) and as we did (`tick_to_quote`)."""

    echo: Percentiles
    wire_to_wire: Percentiles
    tick_to_quote: Percentiles
    unanswered: int


class LiveFigures(msgspec.Struct, frozen=True):
    """The loop `sleeping` between ticks, as it does by default, or `polling` (`process.busy_poll`): echo and orders alike."""

    sleeping: WayFigures
    polling: WayFigures
    messages_per_second: float


class _Client(WSListener):
    """Tells the peer what it wants, hands frames over, and keeps the peer's last word."""

    def __init__(self, wish: str, on_frame: Callable[[WSTransport, bytes], None]) -> None:
        self._wish = wish
        self._on_frame = on_frame
        self.done: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, self._wish.encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        message = frame.get_payload_as_bytes()
        if message.startswith(DONE):
            self.done.set_result(msgspec.json.decode(message[len(DONE) :]))
            transport.disconnect()
            return
        try:
            self._on_frame(transport, message)
        except Exception as error:  # noqa: BLE001 (raised again where the run is awaited)
            if not self.done.done():
                self.done.set_exception(error)
            transport.disconnect()


def measure(bundle: Bundle | None, ticks: int, rate: float, flood: int) -> LiveFigures:
    """All live figures, one after the other, against one peer."""
    with _peer() as port:
        return uvloop.run(_measure(f"ws://127.0.0.1:{port}/", bundle, ticks, rate, flood))


async def _measure(url: str, bundle: Bundle | None, ticks: int, rate: float, flood: int) -> LiveFigures:
    frames = simulated_frames(WARM_SECONDS)
    gc.collect()
    gc.disable()
    try:
        sleeping = await _there_and_back(url, frames, bundle, ticks, rate, "")
        busy_poll = BusyPoll()
        busy_poll.start()
        polling = await _there_and_back(url, frames, bundle, ticks, rate, "-polling")
        busy_poll.stop()
        return LiveFigures(sleeping, polling, await _flood(url, frames, flood))
    finally:
        gc.enable()


async def _there_and_back(url: str, frames: Frames, bundle: Bundle | None, ticks: int, rate: float, way: str) -> WayFigures:
    inside = LatencyHistogram()
    unanswered = 0
    # By turns, so that whatever else the machine does falls on both.
    rounds = ROUNDS if ticks >= MANY_TICKS else 1
    for _ in range(rounds):
        session = _Session(frames, bundle)
        wanted = f"{ticks // rounds} {session.bid_ticks} {rate}"
        echo = await _run(url, f"echo{way} {wanted}", _echo)
        session.shadow_ticks.start()
        ours = await _run(url, f"order{way} {wanted}", session.trade(inside))
        session.shadow_ticks.stop()
        unanswered += ours["unanswered"]
    heard, answered = (msgspec.convert(figures["latency"], Percentiles) for figures in (echo, ours))
    return WayFigures(heard, answered, inside.percentiles(), unanswered)


def _echo(transport: WSTransport, _message: bytes) -> None:
    transport.send(WSMsgType.TEXT, ECHO)


async def _run(url: str, wish: str, on_frame: Callable[[WSTransport, bytes], None]) -> dict[str, Any]:
    client = _Client(wish, on_frame)
    transport, _ = await ws_connect(lambda: client, url)
    figures = await client.done
    await transport.wait_disconnected()
    return figures


async def _flood(url: str, frames: Frames, count: int) -> float:
    """Messages a second on one core through decoder, book and features, without quotes."""
    session = _Session(frames, None)
    decode, on_event = session.hot.decode, session.hot.trader.on_event
    times = [0, 0]

    def take(_transport: WSTransport, message: bytes) -> None:
        now = perf_counter_ns()
        times[0] = times[0] or now
        event = decode(message, time.time_ns())
        if event is not None:
            on_event(event)
        times[1] = perf_counter_ns()

    await _run(url, f"flood {count} {session.bid_ticks}", take)
    return count / ((times[1] - times[0]) / 1e9)


class _Session:
    """A session that has seen some seconds of market, ending now, so that features are warm and the book stands.

    With the daemon's shadow ticks at their default, which a feed of this rate leaves no room for.
    """

    def __init__(self, frames: Frames, bundle: Bundle | None) -> None:
        shift = time.time_ns() - frames.frames[-1][0]
        snapshot = msgspec.structs.replace(frames.snapshot, receive_ns=frames.snapshot.receive_ns + shift)
        predictors = {} if bundle is None else make_predictors(bundle, (SYMBOL,))
        self.hot = HotSession(snapshot, {SYMBOL: frames.instrument}, bundle, predictors)
        self._last_ns = 0
        self.shadow_ticks = ShadowTicks(
            self.hot.trader.desks,
            BinanceWireRehearsal({SYMBOL: frames.instrument}, recv_window_ms=1500),
            QuotingSettings(strategy="avellaneda-stoikov" if bundle is None else "neural"),
            bundle,
            predictors,
            interval_seconds=ProcessSettings().shadow_tick_ms / 1000,
            clock_ns=time.time_ns,
            last_batch_ns=lambda: self._last_ns,
        )
        for receive_ns, frame in frames.frames:
            self.hot.tick(receive_ns + shift, frame, nowhere)
            self.hot.settle(receive_ns + shift)

    @property
    def bid_ticks(self) -> int:
        """Where the market stands, and ticks should go on."""
        return self.hot.trader.desks[SYMBOL].book.bid_ticks

    def trade(self, inside: LatencyHistogram) -> Callable[[WSTransport, bytes], None]:
        """What the frame callback does; `inside` is given the time of each tick that sent something."""
        tick, settle = self.hot.tick, self.hot.settle

        def trade(transport: WSTransport, message: bytes) -> None:
            begin = perf_counter_ns()
            self._last_ns = receive_ns = time.time_ns()
            tick(receive_ns, message, lambda request: transport.send(WSMsgType.TEXT, request))
            taken = perf_counter_ns() - begin
            if settle(receive_ns):
                inside.record(taken)

        return trade


@contextmanager
def _peer() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mmd.benchmark.peer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.strip().isdigit():
            raise RuntimeError("the benchmark's peer did not come up; see its message above")
        yield int(line)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(10)
