"""Whatever the modes of self-trade prevention, no money appears or vanishes, and nothing stays locked that is not in the book."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.mock.engine import (
    MatchingEngine,
    NewOrder,
    OrderReport,
    OrderType,
    Refusal,
    SelfTradePrevention,
    TimeInForce,
    TradePrint,
)
from mmd.mock.instruments import INSTRUMENTS
from mmd.types.instrument import atoms
from mmd.types.market import Side
from mmd.types.orders import OrderStatus

SYMBOL = "BTCUSDT"
BTC = INSTRUMENTS[SYMBOL]
ACCOUNTS = ("alice", "bob")
DEPOSITS = {"BTC": atoms("5"), "USDT": atoms("2000")}

ORDERS = st.lists(
    st.tuples(
        st.sampled_from(ACCOUNTS),
        st.sampled_from(list(Side)),
        st.sampled_from(
            [(OrderType.LIMIT, tif) for tif in TimeInForce] + [(OrderType.LIMIT_MAKER, None), (OrderType.MARKET, None)]
        ),
        st.integers(98, 102),
        st.integers(1, 9),
        st.sampled_from(list(SelfTradePrevention)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ORDERS)
def test_modes_keep_the_books(drawn) -> None:
    engine = MatchingEngine([BTC], maker_fee=Decimal("-0.0001"), taker_fee=Decimal("0.0005"))
    for name in ACCOUNTS:
        engine.open_account(name, DEPOSITS)
    for number, (account, side, (kind, tif), price, tenths, mode) in enumerate(drawn):
        price_ticks = 0 if kind is OrderType.MARKET else BTC.ticks(str(price))
        new = NewOrder(account, SYMBOL, side, kind, tif, price_ticks, BTC.lots(f"0.{tenths}"), 0, "", mode)
        try:
            order, events = engine.place(new, number)
        except Refusal:
            continue
        check_events(account, mode, order, events)
        check_money(engine)
        check_book(engine)


def check_events(account, mode, order, events) -> None:
    own_makers = [
        event
        for event in events
        if isinstance(event, OrderReport) and event.prevention is not None and event.order_id != order.order_id
    ]
    assert all(event.account == account and mode.expires_makers for event in own_makers)
    if mode is not SelfTradePrevention.NONE:
        makers = {e.order_id for e in events if isinstance(e, OrderReport) and e.trade is not None and e.account == account}
        assert makers <= {order.order_id}, "an account traded with itself"
    if order.status is OrderStatus.EXPIRED_IN_MATCH:
        assert mode.expires_taker
        assert order.prevented_lots == order.remaining_lots > 0
    prints = sum(event.lots for event in events if isinstance(event, TradePrint))
    assert prints == order.executed_lots
    ids = [event.prevention.match_id for event in events if isinstance(event, OrderReport) and event.prevention is not None]
    assert ids == sorted(set(ids))


def check_money(engine: MatchingEngine) -> None:
    for asset, deposit in DEPOSITS.items():
        held = sum(balance.total_atoms for name in ACCOUNTS for balance in engine.balances(name) if balance.asset == asset)
        assert held + engine.fees_collected.get(asset, 0) == deposit * len(ACCOUNTS)
    for name in ACCOUNTS:
        locked = {"BTC": 0, "USDT": 0}
        for order in engine.open_orders(name):
            if order.side is Side.BUY:
                locked["USDT"] += order.price_ticks * order.remaining_lots * BTC.notional_atoms
            else:
                locked["BTC"] += order.remaining_lots * BTC.lot_atoms
        assert {balance.asset: balance.locked_atoms for balance in engine.balances(name)} == locked


def check_book(engine: MatchingEngine) -> None:
    resting: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    for name in ACCOUNTS:
        for order in engine.open_orders(name):
            levels = resting[order.side]
            levels[order.price_ticks] = levels.get(order.price_ticks, 0) + order.remaining_lots
    _, bids, asks = engine.depth(SYMBOL, 100)
    assert (dict(bids), dict(asks)) == (resting[Side.BUY], resting[Side.SELL])
    assert not bids or not asks or bids[0][0] < asks[0][0]
