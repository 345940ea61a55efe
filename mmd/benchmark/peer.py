"""The other end of the live benchmark, a process of its own: sends one touch a tick over a websocket and times what comes back.

Run as `python -m mmd.benchmark.peer`; it prints its port, then serves one connection after another. The first message of each says
what is wanted: `echo N RATE` or `order N RATE` time the first answer to each tick, `flood N` sends N ticks as fast as they go. At
the end it sends `done {json}` with the histogram's percentiles.
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

BASE_TICKS = 6_000_000
STEP_TICKS = 100
SPREAD_TICKS = 30
FIRST_UPDATE_ID = 1_000_000_000


class Peer(WSListener):
    """One connection."""

    def __init__(self) -> None:
        self._histogram = LatencyHistogram()
        self._sent_ns = 0
        self._answers = 0
        self._task: asyncio.Task[None] | None = None
        self._frames: list[bytes] = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Nothing before the client says what it wants."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The wish, then answers to ticks."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        if self._task is None:
            words = frame.get_payload_as_ascii_text().split()
            self._make_frames(int(words[1]))
            rate = float(words[2]) if len(words) > 2 else 0.0
            self._task = asyncio.get_running_loop().create_task(self._run(rate))
            self._task.add_done_callback(_raise)
            return
        self._answers += 1
        if self._sent_ns:
            self._histogram.record(perf_counter_ns() - self._sent_ns)
            self._sent_ns = 0

    def _make_frames(self, count: int) -> None:
        instrument = listed(("BTCUSDT",))[0]
        for number in range(count):
            # A swing wide enough that both quotes must follow each tick.
            bid = BASE_TICKS + (number % 2) * STEP_TICKS
            touch = (bid, 1000 + number % 7, bid + SPREAD_TICKS, 900 + number % 5)
            event = TouchUpdate(instrument.symbol, 0, 0, FIRST_UPDATE_ID + number, *touch)
            self._frames.append(touch_frame(instrument, event))

    async def _run(self, rate: float) -> None:
        begin = perf_counter_ns()
        for number, frame in enumerate(self._frames):
            if rate:
                due = begin + int(number * 1e9 / rate)
                await _spin_until(partial(_is_past, due))
                self._sent_ns = perf_counter_ns()
            self._transport.send(WSMsgType.TEXT, frame)
            if not rate and number % 64 == 63:
                await asyncio.sleep(0)
        deadline = perf_counter_ns() + 1_000_000_000
        await _spin_until(lambda: not rate or not self._sent_ns or perf_counter_ns() >= deadline)
        figures = {"answers": self._answers, "latency": msgspec.to_builtins(self._histogram.percentiles())}
        self._transport.send(WSMsgType.TEXT, b"done " + msgspec.json.encode(figures))


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

    def listener(_request: WSUpgradeRequest) -> WSListener:
        return Peer()

    server = await ws_create_server(listener, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
