"""Instruments, settings, back-off and the venue's clock: what needs no socket."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from mmd.exchanges.adapter import AdapterCounters, AdapterError, Event, adapter_factory
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.exchange_info import instruments_of
from mmd.exchanges.binance.market_data import stream_address
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.types.market import BatchEnd
from mmd.types.orders import ClockSync

BTC: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00002000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ],
}


def info(*symbols: dict[str, Any]) -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": symbols}).encode()


def test_instruments() -> None:
    btc = instruments_of(info(BTC), ["BTCUSDT"])["BTCUSDT"]
    assert (btc.base_asset, btc.quote_asset) == ("BTC", "USDT")
    assert (btc.ticks_per_unit, btc.lots_per_unit) == (100.0, 100_000.0)
    assert (btc.min_lots, btc.max_lots) == (2, 900_000_000)
    assert (btc.min_price_ticks, btc.max_price_ticks) == (1, 100_000_000)
    assert btc.min_notional_atoms == 500_000_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (info(), "does not list BTCUSDT"),
        (info({**BTC, "status": "BREAK"}), "status BREAK"),
        (info({**BTC, "filters": []}), "no filter"),
        (info({**BTC, "filters": [{**line, "tickSize": "0"} for line in BTC["filters"]]}), "cannot be used"),
        (b"<html>", "cannot be read"),
    ],
)
def test_instruments_that_cannot_be_used(body: bytes, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        instruments_of(body, ["BTCUSDT"])


def test_profiles_fill_in_urls() -> None:
    live = BinanceSettings(profile="live")
    assert live.rest_url == "https://api.binance.com"
    assert not live.subscribes_announcements
    own = BinanceSettings(profile="mock", stream_url="ws://localhost:1/")
    assert stream_address(own, ["BTCUSDT"]) == (
        "ws://localhost:1/stream?streams=btcusdt@bookTicker/btcusdt@trade/btcusdt@depth@100ms/mmd@announcement"
    )
    assert own.websocket_api_url.startswith("ws://127.0.0.1")
    for wrong in ({"profile": "nowhere"}, {"recv_window_ms": 2001}, {"rest_ulr": "x"}):
        with pytest.raises(ValidationError):
            BinanceSettings.model_validate(wrong)


def test_secrets_do_not_show() -> None:
    settings = BinanceSettings(api_secret=SecretStr("very secret"))
    assert "very secret" not in repr(settings) + settings.model_dump_json()


def test_backoff_grows_to_its_cap_and_begins_anew() -> None:
    backoff = Backoff(Random(1), first=0.25, cap=30, reset_after=60)
    delays = [backoff.next_delay() for _ in range(12)]
    for number, delay in enumerate(delays):
        bound = min(30, 0.25 * 2**number)
        assert bound / 2 <= delay <= bound
    backoff.record_uptime(59)
    assert backoff.next_delay() > 10
    backoff.record_uptime(60)
    assert backoff.next_delay() <= 0.25


def test_the_adapter_is_found_by_name() -> None:
    assert adapter_factory("binance") is BinanceSpotAdapter
    with pytest.raises(AdapterError, match="no exchange adapter is called 'nowhere'"):
        adapter_factory("nowhere")


async def test_the_probe_with_the_shortest_round_trip_counts() -> None:
    events: list[Event] = []

    def fail(error: BaseException, where: str) -> None:
        raise AssertionError(where) from error

    outlet = EventOutlet(fail)
    outlet.open(events.append)
    surroundings = Surroundings(lambda: 42, outlet, Complaints(lambda: 42), AdapterCounters(), Tasks(fail))
    millisecond = 1_000_000
    # The venue is 5 s ahead; the slow probe waited long on its way back only and so says much less.
    answers = [
        (0, 5_010, 400 * millisecond),
        (1_000 * millisecond, 6_010, 1_020 * millisecond),
        (2_000 * millisecond, 7_020, 2_060 * millisecond),
    ]

    async def probe() -> tuple[int, int, int]:
        await asyncio.sleep(0)
        return answers.pop(0)

    clock = VenueClock(probe, surroundings, probes=3, refresh_seconds=60, errors=())
    await clock.measure()
    assert clock.offset_ns == 5_000 * millisecond + 500_000
    assert clock.uncertainty_ns == 10 * millisecond + 500_000
    assert events == [ClockSync(42, clock.offset_ns, clock.uncertainty_ns), BatchEnd(42)]
    assert clock.timestamp_ms(3_000 * millisecond) == 8_000
    assert clock.our_ns(8_000) == 3_000 * millisecond - 500_000


async def test_a_task_that_dies_is_reported() -> None:
    failures: list[str] = []
    reported = asyncio.Event()

    def fail(error: BaseException, where: str) -> None:
        failures.append(f"{where}: {error}")
        reported.set()

    async def die() -> None:
        raise RuntimeError("a bug")

    tasks = Tasks(fail)
    tasks.start(die(), "the work")
    tasks.start(asyncio.Event().wait(), "the endless one")  # type: ignore[arg-type]
    await reported.wait()
    await tasks.close()
    assert failures == ["task the work: a bug"]


def test_complaints_of_one_kind_are_few() -> None:
    now_ns = 0
    complaints = Complaints(lambda: now_ns)
    with capture_logs() as logs:
        for _ in range(1000):
            complaints("malformed message", channel="market data")
        complaints("malformed message", channel="order entry")
        now_ns = 6 * 10**9
        complaints("malformed message", channel="market data")
    assert [(line["channel"], line["held_back"]) for line in logs] == [("market data", 0), ("order entry", 0), ("market data", 999)]
