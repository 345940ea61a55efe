"""Our orders in recorded queues, on frames made by hand: one symbol at ticks around 100, times in milliseconds."""

from __future__ import annotations

import pytest

from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, Order, OrderReport, OrderType, Refusal, TimeInForce
from mmd.mock.replay.matcher import DECREASE_WAIT_NS, QueueMatcher
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument
from mmd.types.market import DepthUpdate, Level, MarketTrade, Side, TouchUpdate
from mmd.types.orders import OrderStatus

INSTRUMENTS = [
    Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="1", lot_size="0.01"),
    Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="1", lot_size="0.01"),
]
PLENTY = dict.fromkeys(("BTC", "ETH", "USDT"), 1_000_000 * ATOMS_PER_UNIT)
MS = 1_000_000


class Played:
    """A matcher on an engine of its own, with a clock that the events move."""

    def __init__(self, symbol: str = "BTCUSDT", engine: MatchingEngine | None = None) -> None:
        self.engine = engine if engine is not None else MatchingEngine(INSTRUMENTS)
        if engine is None:
            self.engine.open_account("me", PLENTY)
        self.symbol = symbol
        self.events: list[EngineEvent] = []
        self.matcher = QueueMatcher(self.engine, symbol, lambda _, events: self.events.extend(events))
        self.matcher.load([(99, 10), (98, 20)], [(101, 10), (102, 20)], 0)
        self._update_id = 0
        self._now_ns = 0

    def depth(self, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = (), *, after_ms: int = 1) -> None:
        self._step(after_ms)
        update = DepthUpdate(self.symbol, self._now_ns, self._now_ns, self._update_id, self._update_id, -1, bids, asks)
        self.matcher.on_depth_update(update, self._now_ns)

    def touch(self, bid: Level, ask: Level, *, after_ms: int = 1) -> None:
        self._step(after_ms)
        self.matcher.on_touch_update(
            TouchUpdate(self.symbol, self._now_ns, self._now_ns, self._update_id, *bid, *ask), self._now_ns
        )

    def trade(self, ticks: int, lots: int, aggressor: Side, *, after_ms: int = 1) -> None:
        self._step(after_ms)
        self.matcher.on_trade(MarketTrade(self.symbol, self._now_ns, self._now_ns, 1, ticks, lots, aggressor), self._now_ns)

    def order(
        self, side: Side, ticks: int, lots: int, kind: OrderType = OrderType.LIMIT_MAKER, force: TimeInForce | None = None
    ) -> Order:
        order, _ = self.engine.place(NewOrder("me", self.symbol, side, kind, force, ticks, lots), self._now_ns)
        return order

    def let_decreases_through(self) -> None:
        self.depth(after_ms=DECREASE_WAIT_NS // MS + 1)

    def _step(self, after_ms: int) -> None:
        self._now_ns += after_ms * MS
        self._update_id += 1


@pytest.fixture
def played() -> Played:
    return Played()


def test_an_order_joins_behind_what_is_displayed_and_fills_when_that_is_used_up(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.trade(99, 10, Side.SELL)
    assert order.executed_lots == 0
    played.trade(99, 3, Side.SELL)
    assert (order.executed_lots, order.status) == (3, OrderStatus.PARTIALLY_FILLED)
    played.trade(99, 9, Side.SELL)
    assert order.status is OrderStatus.FILLED
    assert order.executed_lots == 5
    assert [event.trade.lots for event in played.events if isinstance(event, OrderReport) and event.trade] == [3, 2]


def test_what_comes_later_queues_behind_us_and_is_cancelled_before_what_is_ahead(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.depth(bids=((99, 30),))
    played.depth(bids=((99, 10),))
    played.let_decreases_through()
    played.trade(99, 9, Side.SELL)
    assert order.executed_lots == 0, "the twenty behind us were cancelled, not the ten ahead"
    played.trade(99, 3, Side.SELL)
    assert order.executed_lots == 2


def test_once_nothing_is_left_behind_us_what_is_ahead_was_cancelled(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.depth(bids=((99, 4),))
    played.let_decreases_through()
    played.trade(99, 6, Side.SELL)
    assert order.executed_lots == 2


def test_a_decrease_whose_trade_comes_a_moment_later_moves_us_up_once(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.touch((99, 7), (101, 10))
    played.trade(99, 3, Side.SELL)
    played.let_decreases_through()
    played.trade(99, 7, Side.SELL)
    assert order.executed_lots == 0
    played.trade(99, 1, Side.SELL)
    assert order.executed_lots == 1


def test_a_trade_through_our_price_fills_us(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.trade(98, 7, Side.SELL)
    assert order.status is OrderStatus.FILLED
    assert order.quote_executed_atoms == 5 * 99 * INSTRUMENTS[0].notional_atoms


def test_an_ask_that_comes_to_rest_at_our_bid_met_us(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.touch((98, 20), (99, 3))
    assert order.executed_lots == 3
    played.touch((98, 20), (99, 3))
    assert order.executed_lots == 3, "the same three lots are not sold to us twice"


def test_an_order_inside_the_spread_is_first_in_line(played: Played) -> None:
    order = played.order(Side.SELL, 100, 4)
    played.trade(101, 3, Side.BUY)
    assert order.executed_lots == 3


def test_post_only_is_refused_against_the_recorded_touch(played: Played) -> None:
    with pytest.raises(Refusal) as refused:
        played.order(Side.BUY, 101, 1)
    assert refused.value.code == -2010
    played.touch((101, 5), (103, 5))
    with pytest.raises(Refusal):
        played.order(Side.SELL, 101, 1)
    assert played.order(Side.SELL, 102, 1).status is OrderStatus.NEW


def test_ioc_takes_what_is_displayed_and_never_the_same_lots_again(played: Played) -> None:
    first = played.order(Side.BUY, 101, 15, OrderType.LIMIT, TimeInForce.IOC)
    assert (first.executed_lots, first.status) == (10, OrderStatus.EXPIRED)
    played.depth(asks=((101, 10), (102, 20)))
    again = played.order(Side.BUY, 101, 5, OrderType.LIMIT, TimeInForce.IOC)
    assert again.executed_lots == 0
    played.depth(asks=((101, 14),))
    assert played.order(Side.BUY, 101, 9, OrderType.LIMIT, TimeInForce.IOC).executed_lots == 4
    played.depth(asks=((101, 0),))
    played.depth(asks=((101, 6),))
    assert played.order(Side.BUY, 101, 9, OrderType.LIMIT, TimeInForce.IOC).executed_lots == 6


def test_a_diff_older_than_the_touch_does_not_bring_back_what_the_touch_took_away(played: Played) -> None:
    played.touch((98, 20), (101, 10), after_ms=1)
    stale = DepthUpdate("BTCUSDT", 2 * MS, 2 * MS, 0, 0, -1, ((99, 12),), ((102, 25),))
    played.matcher.on_depth_update(stale, 2 * MS)
    assert played.engine.touch("BTCUSDT")[1:3] == (98, 20)
    assert dict(played.engine.depth("BTCUSDT", 5)[2])[102] == 25
    played.depth(bids=((97, 1),))
    assert played.engine.touch("BTCUSDT")[1:3] == (99, 12), "a newer diff that does not speak of it confirms it"


def test_a_cancelled_order_leaves_no_trace_in_the_mirror(played: Played) -> None:
    order = played.order(Side.BUY, 99, 5)
    played.engine.cancel("me", "BTCUSDT", 5, order_id=order.order_id)
    played.trade(99, 10, Side.SELL)
    assert played.engine.touch("BTCUSDT")[1:3] == (98, 20)


def test_two_symbols_do_not_touch_each_other() -> None:
    one = Played()
    other = Played("ETHUSDT", one.engine)
    mine = one.order(Side.BUY, 99, 5)
    theirs = other.order(Side.BUY, 99, 5)
    one.trade(98, 50, Side.SELL)
    assert (mine.executed_lots, theirs.executed_lots) == (5, 0)
    assert other.events == []
    assert one.engine.touch("ETHUSDT")[1:3] == (99, 15)
