"""The other end of the live benchmark, a process of its own: sends one touch a tick over a websocket and times what comes back.

Run as `python -m mmd.benchmark.peer`; it prints its port, then serves one connection after another. The first message of each says
what is wanted: `echo N BID RATE` or `order N BID RATE` time the first answer to each of N ticks around a bid, `flood N BID` sends
them as fast as they go. At the end it sends `done {json}`: percentiles over all its connections of that kind so far, ticks, and how
many were not answered.

A tick is sent when it is due, but never before the one ahead of it is answered and the line was quiet for a moment, lest an
answer be taken for another tick's. One that had to wait is timed from when it was due: what holds up others is not forgiven.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from mmd.daemon.latency import LatencyHistogram
from mmd.exchanges.binance.market_frames import touch_frame
from mmd.mock.instruments import listed
from mmd.types.market import TouchUpdate

STEP_TICKS = 100
SPREAD_TICKS = 30
FIRST_UPDATE_ID = 1_000_000_000
QUIET_NS = 200_000
"""The second order of a tick comes well within this of the first."""
HOPELESS_NS = 250_000_000
"""A tick without an answer for so long has none."""


class Peer(WSListener):
    """One connection. `histograms` is shared by all, by kind."""

    def __init__(self, histograms: dict[str, LatencyHistogram]) -> None:
        self._histograms = histograms
        self._histogram = LatencyHistogram()
        self._since_ns = 0
        self._heard_ns = 0
        self._unanswered = 0
        self._task: asyncio.Task[None] | None = None
        self._frames: list[bytes] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Nothing before the client says what it wants."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The wish, then answers to ticks."""
        now = self._heard_ns = perf_counter_ns()
        if self._since_ns:
            self._histogram.record(now - self._since_ns)
            self._since_ns = 0
            return
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
        elif self._task is None:
            kind, count, bid_ticks, *rate = frame.get_payload_as_ascii_text().split()
            self._histogram = self._histograms.setdefault(kind, LatencyHistogram())
            self._make_frames(int(count), int(bid_ticks))
            work = self._run(float(rate[0])) if rate else self._flood()
            self._task = asyncio.get_running_loop().create_task(work)
            self._task.add_done_callback(_raise)

    def _make_frames(self, count: int, bid_ticks: int) -> None:
        instrument = listed(("BTCUSDT",))[0]
        for number in range(count):
            # A swing wide enough that both quotes must follow each tick.
            bid = bid_ticks + (number % 2) * STEP_TICKS
            touch = (bid, 1000 + number % 7, bid + SPREAD_TICKS, 900 + number % 5)
            event = TouchUpdate(instrument.symbol, 0, 0, FIRST_UPDATE_ID + number, *touch)
            self._frames.append(touch_frame(instrument, event))

    async def _run(self, rate: float) -> None:
        begin = perf_counter_ns()
        for number, frame in enumerate(self._frames):
            due = begin + int(number * 1e9 / rate)
            await _spin_until(partial(_is_past, due))
            since = perf_counter_ns()
            if not self._ready():
                await _spin_until(self._ready_or_hopeless)
                self._give_up()
            else:
                since = 0
            self._since_ns = since or perf_counter_ns()
            self._transport.send(WSMsgType.TEXT, frame)
        await _spin_until(self._ready_or_hopeless)
        self._give_up()
        self._finish()

    async def _flood(self) -> None:
        for number, frame in enumerate(self._frames):
            self._transport.send(WSMsgType.TEXT, frame)
            if number % 64 == 63:
                await asyncio.sleep(0)
        self._finish()

    def _finish(self) -> None:
        figures = {
            "ticks": len(self._frames),
            "unanswered": self._unanswered,
            "latency": msgspec.to_builtins(self._histogram.percentiles()),
        }
        self._transport.send(WSMsgType.TEXT, b"done " + msgspec.json.encode(figures))

    def _ready(self) -> bool:
        return not self._since_ns and perf_counter_ns() - self._heard_ns > QUIET_NS

    def _ready_or_hopeless(self) -> bool:
        return self._ready() or (self._since_ns > 0 and perf_counter_ns() - self._since_ns > HOPELESS_NS)

    def _give_up(self) -> None:
        if self._since_ns:
            self._since_ns = 0
            self._unanswered += 1


def _is_past(due_ns: int) -> bool:
    return perf_counter_ns() >= due_ns


async def _spin_until(reached: Callable[[], bool]) -> None:
    """Timers of the loop are too coarse for a tick a millisecond; this end may burn its core."""
    while not reached():  # noqa: ASYNC110 (nothing sets an event at a point in time)
        await asyncio.sleep(0)


def _raise(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        sys.exit(f"the benchmark's peer failed: {error!r}")


async def serve() -> None:
    """Serve until standard input closes."""

    histograms: dict[str, LatencyHistogram] = {}

    def listener(_request: WSUpgradeRequest) -> WSListener:
        return Peer(histograms)

    server = await ws_create_server(listener, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
