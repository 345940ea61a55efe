"""Reference symbols are followed and never traded: no order, no pause, no money comes of them."""

from __future__ import annotations

from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.types.control import Timer
from mmd.types.instrument import Instrument
from mmd.types.market import (
    BatchEnd,
    DepthSnapshot,
    DepthUpdate,
    FeedState,
    FeedStatus,
    MarketTrade,
    Side,
    TouchUpdate,
)
from mmd.types.orders import Balance, ClockSync, OrderChannelStatus, PlaceOrder, ReconciliationReport, RequestDepthSnapshot

from .session import BASE_ATOMS, BTC, SECOND, START

ETH = Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.0001", min_notional="5")


def trader() -> Trader:
    config = TraderConfig(session="s1", quoting=QuotingSettings(strategy="fixed"), reference_symbols=("ETHUSDT",))
    return Trader(config, {"BTCUSDT": BTC, "ETHUSDT": ETH})


def snapshot(symbol: str, now: int) -> DepthSnapshot:
    return DepthSnapshot(symbol, now, 100, ((300_000, 500),), ((300_010, 500),))


def connected(core: Trader, now: int = START) -> list[object]:
    given: list[object] = []
    for event in (
        ClockSync(now, 0, 0),
        FeedStatus(now, FeedState.CONNECTED, ("BTCUSDT", "ETHUSDT")),
        OrderChannelStatus(now, True),
        DepthUpdate("BTCUSDT", now, now, 99, 100, -1, (), ()),
        DepthUpdate("ETHUSDT", now, now, 99, 100, -1, (), ()),
        BatchEnd(now),
        Timer(now),
    ):
        given += core.on_event(event)
    return given


def test_it_asks_for_a_snapshot_of_each_symbol_and_follows_both() -> None:
    core = trader()
    asked = {command.symbol for command in connected(core) if isinstance(command, RequestDepthSnapshot)}
    assert asked == {"BTCUSDT", "ETHUSDT"}
    core.on_event(snapshot("ETHUSDT", START))
    core.on_event(TouchUpdate("ETHUSDT", START + 1, START, 101, 300_001, 7, 300_010, 9))
    core.on_event(MarketTrade("ETHUSDT", START + 2, START, 1, 300_010, 3, Side.BUY))
    line = core.report(START + 3).watched[0]
    assert (line.symbol, line.book_valid, line.ticks, line.steps) == ("ETHUSDT", True, 3, 3)
    assert (line.bid, line.ask) == (3000.01, 3000.10)
    assert [each.symbol for each in core.report(START).symbols] == ["BTCUSDT"]


def test_only_the_quoted_symbol_gets_orders_and_only_its_book_pauses() -> None:
    core = trader()
    connected(core)
    commands: list[object] = []
    commands += core.on_event(snapshot("BTCUSDT", START))
    balances = (Balance("BTC", BASE_ATOMS, 0), Balance("ETH", BASE_ATOMS, 0), Balance("USDT", 10**13, 0))
    commands += core.on_event(ReconciliationReport(START, START - 1, balances, (), ()))
    commands += core.on_event(BatchEnd(START))
    # The reference book was never valid: the quoted symbol trades all the same.
    now = START
    for number in range(5):
        now += SECOND // 10
        event = TouchUpdate("BTCUSDT", now, now, 101 + number, 300_000 + number, 500, 300_010 + number, 500)
        commands += core.on_event(event)
        commands += core.on_event(MarketTrade("BTCUSDT", now, now, number, 300_000, 5, Side.SELL))
        commands += core.on_event(BatchEnd(now))
        commands += core.on_event(Timer(now))
    placed = [command for command in commands if isinstance(command, PlaceOrder)]
    assert {command.symbol for command in placed} == {"BTCUSDT"}
    assert not core.report(now).watched[0].book_valid


def test_a_disconnect_invalidates_the_reference_book_and_a_gap_begins_its_features_anew() -> None:
    core = trader()
    connected(core)
    core.on_event(snapshot("ETHUSDT", START))
    assert core.report(START).watched[0].book_valid
    steps = core.watched["ETHUSDT"].stream.features.steps
    assert steps == 1
    core.on_event(FeedStatus(START + SECOND, FeedState.DISCONNECTED, ("BTCUSDT", "ETHUSDT")))
    assert not core.report(START).watched[0].book_valid
    later = START + 60 * SECOND
    core.on_event(FeedStatus(later, FeedState.CONNECTED, ("BTCUSDT", "ETHUSDT")))
    asked = core.on_event(DepthUpdate("ETHUSDT", later, later, 200, 201, -1, (), ()))
    assert [type(command) for command in asked] == [RequestDepthSnapshot]
    core.on_event(DepthSnapshot("ETHUSDT", later, 201, ((300_000, 500),), ((300_010, 500),)))
    assert core.report(later).watched[0].book_valid
    assert core.watched["ETHUSDT"].stream.features.steps == 1
