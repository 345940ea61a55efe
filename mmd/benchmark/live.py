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

from mmd.benchmark.frames import SYMBOL, simulated_frames
from mmd.benchmark.session import HotSession, nowhere
from mmd.daemon.latency import LatencyHistogram, Percentiles
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor

DONE = b"done "
WARM_SECONDS = 20.0


class LiveFigures(msgspec.Struct, frozen=True):
    """Latencies in microseconds, as the peer saw them (`echo`, `wire_to_wire`) and as we did (`tick_to_quote`)."""

    echo: Percentiles
    wire_to_wire: Percentiles
    tick_to_quote: Percentiles
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
    gc.collect()
    gc.disable()
    try:
        echo = await _run(url, f"echo {ticks} {rate}", lambda transport, message: transport.send(WSMsgType.TEXT, message[:300]))
        session = _session(bundle)
        inside = LatencyHistogram()

        def trade(transport: WSTransport, message: bytes) -> None:
            begin = perf_counter_ns()
            receive_ns = time.time_ns()
            session.tick(receive_ns, message, lambda request: transport.send(WSMsgType.TEXT, request))
            taken = perf_counter_ns() - begin
            if session.settle(receive_ns):
                inside.record(taken)

        ours = await _run(url, f"order {ticks} {rate}", trade)
        return LiveFigures(
            echo=msgspec.convert(echo["latency"], Percentiles),
            wire_to_wire=msgspec.convert(ours["latency"], Percentiles),
            tick_to_quote=inside.percentiles(),
            messages_per_second=await _flood(url, flood),
        )
    finally:
        gc.enable()


async def _run(url: str, wish: str, on_frame: Callable[[WSTransport, bytes], None]) -> dict[str, Any]:
    client = _Client(wish, on_frame)
    transport, _ = await ws_connect(lambda: client, url)
    figures = await client.done
    await transport.wait_disconnected()
    return figures


async def _flood(url: str, count: int) -> float:
    """Messages a second on one core through decoder, book and features, without quotes."""
    session = _session(None)
    decode, on_event = session.decode, session.trader.on_event
    times = [0, 0]

    def take(_transport: WSTransport, message: bytes) -> None:
        now = perf_counter_ns()
        times[0] = times[0] or now
        event = decode(message, time.time_ns())
        if event is not None:
            on_event(event)
        times[1] = perf_counter_ns()

    await _run(url, f"flood {count}", take)
    return count / ((times[1] - times[0]) / 1e9)


def _session(bundle: Bundle | None) -> HotSession:
    """A session that has seen some seconds of market, ending now, so that features are warm and the book stands."""
    frames = simulated_frames(WARM_SECONDS)
    shift = time.time_ns() - frames.frames[-1][0]
    snapshot = msgspec.structs.replace(frames.snapshot, receive_ns=frames.snapshot.receive_ns + shift)
    predictors = {} if bundle is None else {SYMBOL: QuotePredictor(bundle)}
    session = HotSession(snapshot, {SYMBOL: frames.instrument}, bundle, predictors)
    for receive_ns, frame in frames.frames:
        session.tick(receive_ns + shift, frame, nowhere)
        session.settle(receive_ns + shift)
    return session


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
