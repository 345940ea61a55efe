"""Every order type and time in force: what trades, what rests, what expires, and in which order it is told."""

from __future__ import annotations

import msgspec
import pytest

from mmd.mock.engine import (
    BACKGROUND,
    BalancesChanged,
    MatchingEngine,
    OrderReport,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
    TradePrint,
)
from mmd.types.instrument import atoms
from mmd.types.market import Side
from mmd.types.orders import OrderStatus
from tests.unit.mock_engine.engine_helpers import (
    BTC,
    BUY,
    FOK,
    IOC,
    SELL,
    SYMBOL,
    background,
    balance,
    funded,
    limit,
    maker,
    market,
    prints,
    reports,
)


def with_asks() -> MatchingEngine:
    engine = funded()
    background(engine, SELL, "100.00", "1")
    background(engine, SELL, "101.00", "2")
    return engine


def test_a_limit_order_rests_and_locks_its_cost() -> None:
    engine = funded()
    order, events = engine.place(limit(BUY, "99.50", "2", client_id="mine"), 7)
    assert reports(events) == [("NEW", "NEW")]
    assert events[-1] == BalancesChanged("alice", ("USDT",), 7)
    assert balance(engine, "USDT").locked_atoms == atoms("199")
    assert engine.touch(SYMBOL) == (1, BTC.ticks("99.50"), BTC.lots("2"), 0, 0)
    assert (order.status, order.created_ns, order.time_in_force) == (OrderStatus.NEW, 7, TimeInForce.GTC)
    assert engine.open_orders("alice", SYMBOL) == [order]


def test_a_crossing_limit_order_trades_at_the_makers_price_and_rests_the_remainder() -> None:
    engine = with_asks()
    order, events = engine.place(limit(BUY, "100.50", "3"), 1)
    assert prints(events) == [("100.00", "1.00000")]
    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert balance(engine, "USDT").locked_atoms == atoms("201")
    assert balance(engine, "USDT").total_atoms == atoms("999900")
    assert balance(engine, "BTC").free_atoms == atoms("11")
    assert engine.depth(SYMBOL, 5)[1:] == (
        [(BTC.ticks("100.50"), BTC.lots("2"))],
        [(BTC.ticks("101.00"), BTC.lots("2"))],
    )


def test_price_comes_before_time_and_time_before_size() -> None:
    engine = funded()
    late_but_better = [background(engine, SELL, price, "1") for price in ("101.00", "100.00", "100.00")]
    _, events = engine.place(limit(BUY, "101.00", "2.5"), 1)
    sellers = [event.seller_order_id for event in events if isinstance(event, TradePrint)]
    assert sellers == [late_but_better[1], late_but_better[2], late_but_better[0]]


def test_both_sides_of_a_trade_are_told_in_order() -> None:
    engine = funded()
    resting, _ = engine.place(maker(SELL, "100.00", "1", account="bob", client_id="ask"), 1)
    taking, events = engine.place(limit(BUY, "100.00", "0.4", client_id="bid"), 2)
    kinds = [(type(e).__name__, getattr(e, "account", None), getattr(e, "execution_type", None)) for e in events]
    assert kinds == [
        ("OrderReport", "alice", "NEW"),
        ("TradePrint", None, None),
        ("OrderReport", "alice", "TRADE"),
        ("OrderReport", "bob", "TRADE"),
        ("BalancesChanged", "alice", None),
        ("BalancesChanged", "bob", None),
    ]
    told = [event.trade for event in events if isinstance(event, OrderReport) and event.trade]
    assert [(t.order_id, t.side, t.is_maker, t.client_order_id) for t in told] == [
        (taking.order_id, BUY, False, "bid"),
        (resting.order_id, SELL, True, "ask"),
    ]
    assert isinstance(events[1], TradePrint)
    assert (events[1].buyer_is_maker, events[1].trade_id, events[1].time_ns) == (False, 1, 2)


def test_ioc_takes_what_there_is_and_expires() -> None:
    engine = with_asks()
    order, events = engine.place(limit(BUY, "100.00", "5", tif=IOC), 1)
    assert reports(events) == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("EXPIRED", "EXPIRED")]
    assert order.executed_lots == BTC.lots("1")
    assert balance(engine, "USDT").locked_atoms == 0
    assert engine.open_orders("alice", SYMBOL) == []


def test_fok_fills_wholly_or_not_at_all() -> None:
    engine = with_asks()
    killed, events = engine.place(limit(BUY, "101.00", "3.1", tif=FOK), 1)
    assert reports(events) == [("NEW", "NEW"), ("EXPIRED", "EXPIRED")]
    assert (killed.executed_lots, balance(engine, "USDT").free_atoms) == (0, atoms("1000000"))
    filled, events = engine.place(limit(BUY, "101.00", "3", tif=FOK), 2)
    assert filled.status is OrderStatus.FILLED
    assert prints(events) == [("100.00", "1.00000"), ("101.00", "2.00000")]


def test_fok_does_not_count_on_orders_behind_its_own_accounts() -> None:
    engine = with_asks()
    engine.place(maker(SELL, "100.50", "1"), 1)
    order, events = engine.place(limit(BUY, "101.00", "2", tif=FOK), 2)
    assert (order.status, prints(events)) == (OrderStatus.EXPIRED, [])


def test_market_by_quantity() -> None:
    engine = with_asks()
    order, events = engine.place(market(BUY, "1.5"), 1)
    assert prints(events) == [("100.00", "1.00000"), ("101.00", "0.50000")]
    assert (order.status, order.quote_executed_atoms) == (OrderStatus.FILLED, atoms("150.5"))
    assert balance(engine, "USDT").free_atoms == atoms("999849.5")


@pytest.mark.parametrize("side", [BUY, SELL])
def test_market_on_too_thin_a_book_expires(side: Side) -> None:
    engine = funded()
    background(engine, side.opposite, "100.00", "1")
    order, events = engine.place(market(side, "3"), 1)
    assert reports(events) == [("NEW", "NEW"), ("TRADE", "PARTIALLY_FILLED"), ("EXPIRED", "EXPIRED")]
    assert (order.lots, order.executed_lots) == (BTC.lots("3"), BTC.lots("1"))


def test_market_on_an_empty_book_expires() -> None:
    order, events = funded().place(market(SELL, "1"), 1)
    assert (order.status, reports(events)) == (OrderStatus.EXPIRED, [("NEW", "NEW"), ("EXPIRED", "EXPIRED")])


def test_market_by_quote_quantity_spends_at_most_that() -> None:
    engine = with_asks()
    order, events = engine.place(market(BUY, spend="150.0009"), 1)
    assert prints(events) == [("100.00", "1.00000"), ("101.00", "0.49505")]
    assert (order.status, order.lots) == (OrderStatus.FILLED, BTC.lots("1.49505"))
    assert order.quote_executed_atoms == atoms("150.00005")
    assert order.quote_atoms == atoms("150.0009")


def test_market_sell_by_quote_quantity_stops_short_of_a_lot_that_only_a_worse_price_would_allow() -> None:
    engine = funded()
    background(engine, BUY, "100.00", "1")
    background(engine, BUY, "50.00", "1")
    order, _ = engine.place(market(SELL, spend="50.0009"), 1)
    assert (order.status, order.lots) == (OrderStatus.FILLED, BTC.lots("0.5"))


def test_market_by_quote_quantity_expires_where_the_book_ends_first() -> None:
    engine = with_asks()
    order, events = engine.place(market(BUY, spend="403"), 1)
    assert (order.status, reports(events)[-1]) == (OrderStatus.EXPIRED, ("EXPIRED", "EXPIRED"))
    assert (order.executed_lots, order.lots) == (BTC.lots("3"), BTC.lots("4"))


def test_limit_maker_rests_beside_the_touch() -> None:
    engine = with_asks()
    order, _ = engine.place(maker(BUY, "99.99", "1"), 1)
    assert (order.status, order.order_type) == (OrderStatus.NEW, OrderType.LIMIT_MAKER)


def test_an_order_does_not_trade_with_its_own_account() -> None:
    engine = with_asks()
    own, _ = engine.place(maker(SELL, "100.50", "1", client_id="own"), 1)
    order, events = engine.place(limit(BUY, "101.00", "3"), 2)
    assert reports(events) == [
        ("NEW", "NEW"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("TRADE_PREVENTION", "EXPIRED_IN_MATCH"),
    ]
    assert (order.status, order.executed_lots, own.status) == (OrderStatus.EXPIRED_IN_MATCH, BTC.lots("1"), OrderStatus.NEW)
    assert balance(engine, "USDT").locked_atoms == 0


def test_fees_are_taken_in_the_asset_received_and_may_be_rebates() -> None:
    engine = funded(maker_fee="-0.0001", taker_fee="0.0005")
    engine.place(maker(SELL, "100.00", "1", account="bob"), 1)
    engine.place(limit(BUY, "100.00", "1"), 2)
    assert balance(engine, "BTC").free_atoms == atoms("10.9995")
    assert balance(engine, "USDT", "bob").free_atoms == atoms("1000100.01")
    assert engine.fees_collected == {"BTC": atoms("0.0005"), "USDT": atoms("-0.01")}
    (paid,), (earned,) = engine.trades("alice", SYMBOL), engine.trades("bob", SYMBOL)
    assert (paid.fee_atoms, paid.fee_asset, paid.is_maker) == (atoms("0.0005"), "BTC", False)
    assert (earned.fee_atoms, earned.fee_asset, earned.is_maker) == (atoms("-0.01"), "USDT", True)


def test_fees_are_rounded_toward_zero() -> None:
    engine = funded(maker_fee="-0.00015", taker_fee="0.00015")
    engine.place(maker(SELL, "100.01", "0.05001", account="bob"), 1)
    engine.place(limit(BUY, "100.01", "0.05001"), 2)
    assert engine.trades("alice", SYMBOL)[0].fee_atoms == 750
    assert engine.trades("bob", SYMBOL)[0].fee_atoms == -75022


def test_the_background_trades_without_balances_and_reports() -> None:
    engine = funded()
    order_id, events = engine.background_limit(SYMBOL, SELL, BTC.ticks("100"), BTC.lots("1"), 1)
    assert (order_id, events) == (1, [])
    filled_id, events = engine.background_limit(SYMBOL, BUY, BTC.ticks("100"), BTC.lots("0.4"), 2)
    assert (filled_id, prints(events), len(events)) == (0, [("100.00", "0.40000")], 1)
    assert prints(engine.background_market(SYMBOL, BUY, BTC.lots("2"), 3)) == [("100.00", "0.60000")]
    assert engine.background_cancel(order_id, 4) is False
    resting = background(engine, BUY, "99.00", "1")
    assert engine.background_cancel(resting, 5) is True
    assert engine.depth(SYMBOL, 10)[1:] == ([], [])
    with pytest.raises(ValueError, match="above zero"):
        engine.background_limit(SYMBOL, BUY, 0, 1, 6)


def test_the_background_fills_an_account_and_the_account_is_told() -> None:
    engine = funded()
    engine.place(maker(BUY, "99.00", "1"), 1)
    events = engine.background_market(SYMBOL, SELL, BTC.lots("0.25"), 2)
    assert reports(events) == [("TRADE", "PARTIALLY_FILLED")]
    assert events[-1] == BalancesChanged("alice", ("BTC", "USDT"), 2)
    assert reports(events, BACKGROUND) == []


@pytest.mark.parametrize(
    ("prevention", "taker", "maker_status", "left", "traded"),
    [
        (SelfTradePrevention.NONE, OrderStatus.FILLED, OrderStatus.FILLED, "0", ["100.00", "101.00"]),
        (SelfTradePrevention.EXPIRE_TAKER, OrderStatus.EXPIRED_IN_MATCH, OrderStatus.NEW, "2", []),
        (SelfTradePrevention.EXPIRE_MAKER, OrderStatus.FILLED, OrderStatus.EXPIRED_IN_MATCH, "0", ["101.00"]),
        (SelfTradePrevention.EXPIRE_BOTH, OrderStatus.EXPIRED_IN_MATCH, OrderStatus.EXPIRED_IN_MATCH, "2", []),
    ],
)
@pytest.mark.parametrize("tif", [TimeInForce.GTC, IOC])
def test_the_takers_mode_decides_what_becomes_of_a_self_trade(prevention, taker, maker_status, left, traded, tif) -> None:
    engine = funded()
    before = sum(held.total_atoms for held in engine.balances("alice") if held.asset == "USDT")
    own, _ = engine.place(limit(SELL, "100.00", "1"), 1)
    background(engine, SELL, "101.00", "2")
    order = msgspec.structs.replace(limit(BUY, "101.00", "2", tif=tif), self_trade_prevention=prevention)
    placed, events = engine.place(order, 2)
    assert (placed.status, own.status) == (taker, maker_status)
    assert [price for price, _ in prints(events)] == traded
    assert BTC.quantity_text(placed.remaining_lots) == f"{left}.00000"
    prevented = [e for e in events if isinstance(e, OrderReport) and e.prevention is not None]
    assert [e.order_id for e in prevented] == [
        number
        for number, status in ((own.order_id, own.status), (placed.order_id, placed.status))
        if status is OrderStatus.EXPIRED_IN_MATCH
    ]
    for e in prevented:
        assert e.execution_type == "TRADE_PREVENTION"
        assert e.prevention.counter_order_id == (placed.order_id if e.order_id == own.order_id else own.order_id)
        assert e.prevention.price_ticks == BTC.ticks("100.00")
    assert own.prevented_lots == (BTC.lots("1") if own.status is OrderStatus.EXPIRED_IN_MATCH else 0)
    # Nothing stays locked but what rests, and money moves only to and from the background.
    locked = {held.asset: held.locked_atoms for held in engine.balances("alice")}
    assert locked == {"BTC": atoms("1") if own.status is OrderStatus.NEW else 0, "USDT": 0}
    paid = sum(BTC.ticks("101.00") * e.lots for e in events if isinstance(e, TradePrint) and e.price_ticks == BTC.ticks("101.00"))
    after = sum(held.total_atoms for held in engine.balances("alice") if held.asset == "USDT")
    assert before - after == paid * BTC.notional_atoms
    if prevention is SelfTradePrevention.NONE:
        both = engine.trades("alice", SYMBOL)
        assert [(trade.trade_id, trade.order_id, trade.is_maker) for trade in both[:2]] == [
            (1, placed.order_id, False),
            (1, own.order_id, True),
        ]


def test_fok_and_market_orders_look_past_their_own_accounts_orders_where_makers_expire() -> None:
    for prevention, status in (
        (SelfTradePrevention.EXPIRE_MAKER, OrderStatus.FILLED),
        (SelfTradePrevention.EXPIRE_TAKER, OrderStatus.EXPIRED),
    ):
        engine = funded()
        engine.place(limit(SELL, "100.00", "1"), 1)
        background(engine, SELL, "101.00", "2")
        order = msgspec.structs.replace(limit(BUY, "101.00", "2", tif=FOK), self_trade_prevention=prevention)
        assert engine.place(order, 2)[0].status is status
    engine = funded()
    engine.place(limit(SELL, "100.00", "1"), 1)
    background(engine, SELL, "101.00", "2")
    spend = msgspec.structs.replace(market(BUY, spend="202"), self_trade_prevention=SelfTradePrevention.EXPIRE_MAKER)
    order, events = engine.place(spend, 2)
    assert (order.status, prints(events)) == (OrderStatus.FILLED, [("101.00", "2.00000")])


def test_symbols_have_books_of_their_own_and_share_balances() -> None:
    engine = funded()
    engine.place(limit(BUY, "99.00", "1"), 1)
    assert engine.touch("ETHUSDT") == (0, 0, 0, 0, 0)
    assert engine.open_orders("alice") == engine.open_orders("alice", SYMBOL)
    assert engine.open_orders("alice", "ETHUSDT") == []
