"""What survives: an orderly restart, a kill -9 in the middle of trading, a torn journal."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets

from mmd.mock.server import MockConfig, MockExchange
from mmd.mock.server.state_store import StateError

_PROGRAM = "import sys; from mmd.mock.server import MockConfig, run_mock; run_mock(MockConfig.model_validate_json(sys.argv[1]))"


class Process:
    """`run_mock` in a process of its own."""

    def __init__(self, config: MockConfig) -> None:
        self.config = config
        self.urls: dict[str, str] = {}

    @property
    def rest_url(self) -> str:
        return self.urls["rest"]

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROGRAM, self.config.model_dump_json(), stdout=asyncio.subprocess.PIPE
        )
        assert self.process.stdout is not None
        while True:
            line = (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode()
            assert line, "the mock exchange ended before it was ready"
            if line.startswith("mock exchange ready"):
                self.urls = dict(word.split("=", 1) for word in line.split() if "=" in word)
                return

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        await asyncio.wait_for(self.process.communicate(), 20)
        assert self.process.returncode is not None
        return self.process.returncode


def _tear_journal(directory: Path) -> None:
    (journal,) = directory.glob("journal-*")
    with journal.open("ab") as file:
        file.write(b"\x00\x00\x01\x00half a record")


async def _state(client: Any) -> dict[str, Any]:
    _, account, _ = await client.signed("GET", "account")
    _, open_orders, _ = await client.signed("GET", "openOrders")
    _, trades, _ = await client.signed("GET", "myTrades", symbol="BTCUSDT", fromId=0)
    _, orders, _ = await client.signed("GET", "allOrders", symbol="BTCUSDT")
    return {"balances": account["balances"], "open": open_orders, "trades": trades, "orders": orders}


@pytest.mark.parametrize("settled", [False, True])
async def test_kill_and_restart(tmp_path: Path, client, settled):
    """With `settled`, checkpoints are written again and again in between, so that the kill meets all of their steps."""
    config = MockConfig(market="none", state_dir=tmp_path, state_interval=0.01 if settled else 100.0)
    first = Process(config)
    await first.start()
    alice, bob = client(first), client(first, "K2", "S2")
    resting = await alice.place("BUY", "50000", "0.3", newClientOrderId="resting")
    gone = await alice.place("BUY", "49000", "0.3")
    await alice.signed("DELETE", "order", symbol="BTCUSDT", orderId=gone["orderId"])
    await bob.place("SELL", "50000", "0.1")
    await alice.signed("PUT", "order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="resting", newQty="0.25")
    await bob.place("SELL", "50000", "0.05")
    before, bobs_before = await _state(alice), await _state(bob)
    _, depth, _ = await alice.public("GET", "depth", "symbol=BTCUSDT")
    assert await first.end(signal.SIGKILL) == -signal.SIGKILL

    second = Process(config)
    await second.start()
    alice, bob = client(second), client(second, "K2", "S2")
    assert await _state(alice) == before
    assert await _state(bob) == bobs_before
    assert before["open"][0]["orderId"] == resting["orderId"]
    _, depth_after, _ = await alice.public("GET", "depth", "symbol=BTCUSDT")
    assert depth_after["bids"] == depth["bids"]
    assert depth_after["lastUpdateId"] > depth["lastUpdateId"]
    fill = await bob.place("SELL", "50000", "0.1")
    assert fill["orderId"] > max(order["orderId"] for order in before["orders"] + bobs_before["orders"])
    assert fill["fills"][0]["tradeId"] > max(trade["id"] for trade in before["trades"])
    assert (await alice.signed("GET", "order", symbol="BTCUSDT", orderId=resting["orderId"]))[1]["status"] == "FILLED"
    assert await second.end(signal.SIGTERM) == 0


async def test_ids_go_on_above_the_old_ones_in_a_moving_market(tmp_path: Path, client):
    config = MockConfig(symbols=("BTCUSDT",), speed=10.0, state_dir=tmp_path)
    first = Process(config)
    await first.start()
    async with websockets.connect(f"{first.urls['stream']}/ws/btcusdt@depth@100ms/btcusdt@trade") as socket:
        seen = [json.loads(await socket.recv()) for _ in range(30)]
    await first.end(signal.SIGKILL)
    second = Process(config)
    await second.start()
    async with websockets.connect(f"{second.urls['stream']}/ws/btcusdt@depth@100ms/btcusdt@trade") as socket:
        later = [json.loads(await socket.recv()) for _ in range(30)]
    for kind, name in (("depthUpdate", "u"), ("trade", "t")):
        newest = max((event[name] for event in seen if event["e"] == kind), default=0)
        assert all(event[name] > newest for event in later if event["e"] == kind)
    assert await second.end(signal.SIGTERM) == 0


async def test_orderly_restart_skips_no_ids(tmp_path: Path, client):
    config = MockConfig(market="none", state_dir=tmp_path)
    async with MockExchange(config) as exchange:
        placed = await client(exchange).place("BUY", "50000", "0.1")
    async with MockExchange(config) as exchange:
        again = await client(exchange).place("BUY", "50000", "0.1")
        assert again["orderId"] == placed["orderId"] + 1


async def test_a_torn_journal_loses_only_what_nobody_heard_of(tmp_path: Path, client):
    config = MockConfig(market="none", state_dir=tmp_path, state_interval=100.0)
    process = Process(config)
    await process.start()
    placed = await client(process).place("BUY", "50000", "0.1")
    await process.end(signal.SIGKILL)
    _tear_journal(tmp_path)
    async with MockExchange(config) as exchange:
        _, orders, _ = await client(exchange).signed("GET", "openOrders")
        assert [order["orderId"] for order in orders] == [placed["orderId"]]


async def test_a_directory_serves_one_exchange(tmp_path: Path):
    config = MockConfig(market="none", state_dir=tmp_path)
    async with MockExchange(config):
        with pytest.raises(StateError, match="in use by another mock exchange"):
            await MockExchange(config).start()
    (tmp_path / "checkpoint.msgpack").write_bytes(b"nonsense")
    with pytest.raises(StateError, match="no checkpoint of the mock exchange"):
        await MockExchange(config).start()


async def test_a_port_in_use_is_an_error(quiet_config):
    async with MockExchange(quiet_config) as exchange:
        port = int(exchange.rest_url.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"):
            await MockExchange(quiet_config.model_copy(update={"port": port})).start()
        async with aiohttp.ClientSession() as session, session.get(f"{exchange.rest_url}/api/v3/ping") as response:
            assert response.status == 200
