"""How many order messages a second the mock exchange takes: its matching engine alone, and whole, over sockets, on one core.

python bench/mock_speed.py
python bench/mock_speed.py --engine-messages 20000 --socket-messages 4000 > mock-speed.json

Prints one JSON object. Messages are half orders, of which some trade at once, and half cancels. Over sockets the exchange and its
client are processes of their own; what counts is messages per second of the exchange's own processor time (one core's worth), since
the wall clock measures what else the machine does as well; both are given. The exchange runs uvloop on one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance.signing import signer_of
from mmd.mock.engine import MatchingEngine, NewOrder, OrderType, TimeInForce
from mmd.mock.instruments import listed
from mmd.types.instrument import atoms
from mmd.types.market import Side
from mmd.types.orders import CancelOrder, PlaceOrder

SYMBOL = "BTCUSDT"
MID_TICKS = 6_000_000
TAKER_SHARE = 0.4
IN_FLIGHT = 64
LIVE_ORDERS = 100
ENGINE_TARGET, SOCKET_TARGET = 20_000, 2_000


def engine_alone(messages: int, seed: int) -> dict[str, Any]:
    """Orders and cancels of two accounts, by plain calls."""
    engine = MatchingEngine(listed([SYMBOL]))
    for account in ("A", "B"):
        engine.open_account(account, {"USDT": atoms("100000000000"), "BTC": atoms("1000000")})
    random = Random(seed)
    live: list[tuple[str, str]] = []
    trades = sent = 0
    wall, cpu = time.perf_counter(), time.process_time()
    while sent < messages:
        account, side = random.choice(("A", "B")), random.choice((Side.BUY, Side.SELL))
        offset = -random.randint(1, 50) if random.random() < TAKER_SHARE else random.randint(1, 50)
        price = MID_TICKS - offset if side is Side.BUY else MID_TICKS + offset
        name = f"o{sent}"
        new = NewOrder(
            account, SYMBOL, side, OrderType.LIMIT, TimeInForce.GTC, price, random.randint(100, 2_000), client_order_id=name
        )
        order, _ = engine.place(new, sent)
        sent += 1
        trades += order.executed_lots > 0
        if order.status.is_open:
            live.append((account, name))
        if len(live) > LIVE_ORDERS:
            account, name = live.pop(random.randrange(len(live)))
            if engine.find_order(account, SYMBOL, client_order_id=name).status.is_open:
                engine.cancel(account, SYMBOL, sent, client_order_id=name)
                sent += 1
        if sent % 1_000 < 2:
            engine.take_depth_changes(SYMBOL)
    return _figures(sent, time.perf_counter() - wall, time.process_time() - cpu, ENGINE_TARGET) | {"orders_that_took": trades}


class Client(WSListener):
    """Keeps so many requests in flight until all are answered."""

    def __init__(self, encoder: RequestEncoder, messages: int, prefix: str) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.refused = 0
        self.refusal = ""
        self._encoder = encoder
        self._messages = messages
        self._prefix = prefix
        self._sent = self._answered = self._orders = 0
        self._live: list[str] = []
        self._random = Random(1)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin."""
        self._transport = transport
        for _ in range(IN_FLIGHT):
            self._send()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One answer, one more request."""
        if frame.msg_type is not WSMsgType.TEXT:
            return
        self._answered += 1
        if b'"status":200' not in frame.get_payload_as_bytes()[:60]:
            self.refused += 1
            self.refusal = frame.get_payload_as_bytes().decode()
        if self._answered == self._messages:
            self.done.set_result(None)
        elif self._sent < self._messages:
            self._send()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The exchange must not leave."""
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the exchange left after {self._answered} answers"))

    def _send(self) -> None:
        self._sent += 1
        now_ns = time.time_ns()
        if len(self._live) > LIVE_ORDERS or (self._live and self._sent > self._messages - LIVE_ORDERS):
            command: PlaceOrder | CancelOrder = CancelOrder(now_ns, self._live.pop(0), SYMBOL)
        else:
            self._orders += 1
            name = f"{self._prefix}{self._orders}"
            price = MID_TICKS - self._random.randint(1, 500)
            command = PlaceOrder(now_ns, name, SYMBOL, Side.BUY, price, 1_000)
            self._live.append(name)
        self._transport.send(WSMsgType.TEXT, self._encoder.encode(command, self._sent, now_ns // 1_000_000))


async def _drive(url: str, messages: int, prefix: str) -> tuple[float, int, str]:
    settings = BinanceSettings.model_validate({"api_key": "K1", "api_secret": "S1"})
    instruments = {instrument.symbol: instrument for instrument in listed([SYMBOL])}
    encoder = RequestEncoder(instruments, api_key="K1", recv_window_ms=60_000, signer=signer_of(settings))
    began = time.perf_counter()
    transport, client = await ws_connect(lambda *_: Client(encoder, messages, prefix), url)
    async with asyncio.timeout(600):
        await client.done
    seconds = time.perf_counter() - began
    transport.disconnect()
    return seconds, client.refused, client.refusal


def over_sockets(messages: int) -> dict[str, Any]:
    """`mmd mock` in a process of its own, orders and cancels over its WebSocket API."""
    arguments = ["mock", "--port", "0", "--no-market", "--rate-limits", "off", "--symbols", SYMBOL]
    with subprocess.Popen([sys.executable, "-m", "mmd.cli", *arguments], stdout=subprocess.PIPE, text=True) as mock:
        try:
            assert mock.stdout is not None
            line = mock.stdout.readline()
            url = dict(word.split("=", 1) for word in line.split() if "=" in word)["websocket_api"]
            uvloop.run(_drive(url, min(messages, 1_000), "warm-"))
            before = _cpu_seconds(mock.pid)
            seconds, refused, refusal = uvloop.run(_drive(url, messages, "o-"))
            cpu = _cpu_seconds(mock.pid) - before
        finally:
            mock.terminate()
    if refused:
        raise SystemExit(f"{refused} of {messages} messages were refused, which makes the figures mean nothing: {refusal}")
    return _figures(messages, seconds, cpu, SOCKET_TARGET) | {"in_flight": IN_FLIGHT}


def _figures(messages: int, wall: float, cpu: float, target: int) -> dict[str, Any]:
    per_core = messages / cpu
    return {
        "messages": messages,
        "wall_seconds": round(wall, 3),
        "cpu_seconds": round(cpu, 3),
        "per_core_second": round(per_core),
        "per_wall_second": round(messages / wall),
        "target": target,
        "reached": per_core >= target,
    }


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _machine() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def main() -> None:
    """Print the figures; exit code 1 if one misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine-messages", type=int, default=100_000, help="messages to the engine alone")
    parser.add_argument("--socket-messages", type=int, default=20_000, help="messages over sockets")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures = {
        "engine": engine_alone(options.engine_messages, options.seed),
        "sockets": over_sockets(options.socket_messages),
        "machine": _machine(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }
    print(json.dumps(figures, indent=2))
    sys.exit(0 if figures["engine"]["reached"] and figures["sockets"]["reached"] else 1)


if __name__ == "__main__":
    main()
