"""Any messages in any order: the tracker never raises, and its running totals equal a recomputation."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.execution.order_state import OrderState, OrderStateError
from mmd.execution.quote_diff import AmendIntent, CancelIntent, DesiredQuote, ModifyIntent, PlaceIntent, ReplaceIntent, plan
from mmd.execution.settings import ExecutionSettings
from mmd.execution.tracker import OrderTracker
from mmd.types.instrument import Replacement
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    CancelRejected,
    ClockSync,
    Fill,
    ModifyOrder,
    OrderAccepted,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    ReconciliationReport,
    ReplaceOrder,
)

SYMBOLS = ("BTCUSDT", "ETHUSDT")
KEPT = 5
NAMES = st.sampled_from([f"mmd-e1-{number}" for number in range(1, 9)] + ["mmd-old-1", "mmd-old-2", "web_1", "", "mmd-e1-x-y"])
SIDES = st.sampled_from(Side)
LOTS = st.integers(0, 12)
NUMBERS = st.integers(0, 9)
TEXTS = st.sampled_from(["", "Duplicate order sent.", "Unknown order sent."])
SYMBOL = st.sampled_from(SYMBOLS)
TIMES = st.integers(0, 20_000_000_000)
UPDATES = st.builds(
    OrderUpdate, TIMES, SYMBOL, NAMES, NUMBERS, SIDES, st.integers(90, 110), LOTS, LOTS, st.sampled_from(OrderStatus), TIMES, NAMES
)
FILLS = st.builds(
    Fill,
    TIMES,
    SYMBOL,
    st.integers(0, 30),
    NAMES,
    NUMBERS,
    SIDES,
    st.integers(90, 110),
    st.integers(1, 12),
    st.just(0),
    st.just("USDT"),
    st.booleans(),
    TIMES,
)
EVENTS = st.one_of(
    st.builds(OrderAccepted, TIMES, SYMBOL, NAMES, NUMBERS),
    st.builds(OrderRejected, TIMES, SYMBOL, NAMES, st.just(-2010), TEXTS),
    st.builds(CancelRejected, TIMES, SYMBOL, NAMES, st.sampled_from([-2011, -2022, -2038]), TEXTS),
    st.builds(OutcomeUnknown, TIMES, SYMBOL, NAMES, TEXTS),
    UPDATES,
    st.builds(OrderNotFound, TIMES, SYMBOL, NAMES, st.integers(0, 40_000)),
    FILLS,
    st.builds(OrderChannelStatus, TIMES, st.booleans()),
    st.builds(ClockSync, TIMES, st.integers(-(10**9), 10**9), st.just(0)),
    st.builds(
        ReconciliationReport,
        TIMES,
        TIMES,
        st.just(()),
        st.lists(UPDATES, max_size=3).map(tuple),
        st.lists(FILLS, max_size=3).map(tuple),
    ),
)
COMMANDS = st.one_of(
    st.builds(PlaceOrder, TIMES, NAMES, SYMBOL, SIDES, st.integers(90, 110), st.integers(1, 12)),
    st.builds(CancelOrder, TIMES, NAMES, SYMBOL),
    st.builds(ReplaceOrder, TIMES, NAMES, NAMES, SYMBOL, SIDES, st.integers(90, 110), st.integers(1, 12)),
    st.builds(AmendOrder, TIMES, NAMES, NAMES, SYMBOL, LOTS),
    st.builds(ModifyOrder, TIMES, NAMES, SYMBOL, SIDES, st.integers(90, 110), LOTS),
    st.builds(QueryOrder, TIMES, NAMES, SYMBOL),
)
LOT_COUNTS = st.integers(0, 3)
QUOTES = st.builds(DesiredQuote, SYMBOL, st.integers(90, 100), LOT_COUNTS, st.integers(101, 110), LOT_COUNTS)


def check_totals(tracker: OrderTracker) -> None:
    recomputed: defaultdict[tuple[str, Side], int] = defaultdict(int)
    for order in tracker.every_order():
        ceiling = order.lots if order.is_open else order.filled_lots
        at_risk = max(0, ceiling - order.booked_lots)
        assert order.at_risk_lots == at_risk
        recomputed[order.symbol, order.side] += at_risk
    for symbol in SYMBOLS:
        for side in Side:
            assert tracker.at_risk_lots(symbol, side) == recomputed[symbol, side] >= 0
            assert all(order.is_open and order.side is side for order in tracker.working(symbol, side))
    orders = tracker.every_order()
    assert tracker.open_count == len(tracker.all_open()) == sum(order.is_open for order in orders)
    finished = [order for order in orders if order.is_terminal and not order.at_risk_lots]
    assert len(finished) <= KEPT
    assert all(tracker.find(order.client_order_id) is order for order in orders)


@settings(max_examples=300)
@given(
    steps=st.lists(st.one_of(COMMANDS, EVENTS, EVENTS, TIMES, QUOTES), min_size=20, max_size=60),
    replacement=st.sampled_from(Replacement),
)
def test_totals_hold_whatever_comes(steps: list[object], replacement: Replacement) -> None:
    tracker = OrderTracker(ExecutionSettings(terminal_orders_kept=KEPT), prefix="mmd", session_epoch="e1")
    for step in steps:
        if isinstance(step, int):
            for command in [*tracker.due(step), *tracker.cancel_all(step, SYMBOLS[1])]:
                tracker.on_sent(command)
        elif isinstance(step, DesiredQuote):
            carry_out(step, tracker, replacement)
        elif isinstance(step, PlaceOrder | CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder | QueryOrder):
            with suppress(OrderStateError):
                tracker.on_sent(step)
        else:
            tracker.on_event(step)
        check_totals(tracker)


def carry_out(desired: DesiredQuote, tracker: OrderTracker, replacement: Replacement) -> None:
    """A plan never asks for what the tracker calls a bug, and never adds to a side that is not settled."""
    now_ns = 20_000_000_000
    busy = {
        side: any(order.state is not OrderState.LIVE or order.wants_cancel for order in tracker.working(desired.symbol, side))
        for side in Side
    }
    for intent in plan(desired, tracker, ExecutionSettings(), now_ns, replacement):
        match intent:
            case PlaceIntent():
                assert not tracker.working(intent.symbol, intent.side)
                assert intent.lots > 0
                name = tracker.next_client_order_id() + "p"
                tracker.on_sent(PlaceOrder(now_ns, name, intent.symbol, intent.side, intent.price_ticks, intent.lots))
            case CancelIntent():
                tracker.on_sent(CancelOrder(now_ns, intent.client_order_id, intent.symbol))
            case ReplaceIntent():
                assert not busy[intent.side]
                name = tracker.next_client_order_id() + "p"
                old = intent.client_order_id
                tracker.on_sent(ReplaceOrder(now_ns, old, name, intent.symbol, intent.side, intent.price_ticks, intent.lots))
            case ModifyIntent():
                assert not busy[intent.side]
                name, price_ticks = intent.client_order_id, intent.price_ticks
                tracker.on_sent(ModifyOrder(now_ns, name, intent.symbol, intent.side, price_ticks, intent.lots))
            case AmendIntent():
                name = tracker.next_client_order_id() + "p"
                tracker.on_sent(AmendOrder(now_ns, intent.client_order_id, name, intent.symbol, intent.lots))
