"""Cancel, cancelReplace with all its outcomes, amend, transfers, history, and snapshots."""

from __future__ import annotations

import pytest

from mmd.mock.engine import (
    BalancesChanged,
    BalanceTransferred,
    MatchingEngine,
    NewOrder,
    OrderReport,
    Refusal,
    ReplaceResult,
    SnapshotError,
    TradePrint,
)
from mmd.mock.engine_filters import MAX_NUM_ORDER_AMENDS
from mmd.mock.instruments import INSTRUMENTS, listed
from mmd.types.instrument import atoms
from mmd.types.orders import OrderStatus
from tests.unit.mock_engine.engine_helpers import (
    BTC,
    BUY,
    SELL,
    SYMBOL,
    background,
    balance,
    funded,
    limit,
    maker,
    market,
    reports,
)

SUCCESS, FAILURE, NOT_ATTEMPTED = ReplaceResult.SUCCESS, ReplaceResult.FAILURE, ReplaceResult.NOT_ATTEMPTED


def test_a_cancel_frees_the_lock_and_carries_both_ids() -> None:
    engine = funded()
    engine.place(limit(SELL, "100", "3", client_id="mine"), 1)
    background(engine, BUY, "99", "1")
    order, events = engine.cancel("alice", SYMBOL, 2, client_order_id="mine", new_client_order_id="the-cancel")
    assert isinstance(events[0], OrderReport)
    assert (events[0].client_order_id, events[0].original_client_order_id) == ("the-cancel", "mine")
    assert (events[0].execution_type, events[0].status, events[0].time_ns) == ("CANCELED", OrderStatus.CANCELED, 2)
    assert events[1:] == [BalancesChanged("alice", ("BTC",), 2)]
    assert (balance(engine, "BTC").locked_atoms, balance(engine, "BTC").free_atoms) == (0, atoms("10"))
    assert engine.find_order("alice", SYMBOL, client_order_id="mine") is order


def test_a_cancel_after_a_partial_fill_frees_the_rest() -> None:
    engine = funded()
    order, _ = engine.place(limit(BUY, "100", "3"), 1)
    engine.background_market(SYMBOL, SELL, BTC.lots("1"), 2)
    engine.cancel("alice", SYMBOL, 3, order_id=order.order_id)
    assert (order.status, order.executed_lots) == (OrderStatus.CANCELED, BTC.lots("1"))
    assert balance(engine, "USDT").free_atoms == atoms("999900")


# ---- cancelReplace


def replace_mine(engine: MatchingEngine, new: NewOrder, *, stop: bool, cancel: str = "mine") -> tuple[object, ...]:
    outcome = engine.cancel_replace("alice", SYMBOL, 5, cancel_client_order_id=cancel, new=new, stop_on_failure=stop)
    refusals = [r.code if r else None for r in (outcome.cancel_refusal, outcome.new_order_refusal)]
    return outcome.code, outcome.cancel_result, outcome.new_order_result, *refusals, reports(outcome.events)


def with_order() -> MatchingEngine:
    engine = funded()
    engine.place(maker(BUY, "99", "1", client_id="mine"), 1)
    background(engine, SELL, "101", "1")
    return engine


CANCELED, NEW, REJECTED = ("CANCELED", "CANCELED"), ("NEW", "NEW"), ("REJECTED", "REJECTED")


def test_replace_both_succeed_even_under_the_same_client_id() -> None:
    engine = with_order()
    new = maker(BUY, "98", "1", client_id="mine")
    assert replace_mine(engine, new, stop=True) == (0, SUCCESS, SUCCESS, None, None, [CANCELED, NEW])
    assert [BTC.price_text(order.price_ticks) for order in engine.open_orders("alice")] == ["98.00"]


def test_replace_cancel_fails_and_stops() -> None:
    engine = with_order()
    outcome = replace_mine(engine, maker(BUY, "98", "1"), stop=True, cancel="other")
    assert outcome == (-2022, FAILURE, NOT_ATTEMPTED, -2011, None, [])


def test_replace_cancel_fails_and_the_new_order_is_placed_all_the_same() -> None:
    outcome = replace_mine(with_order(), maker(BUY, "98", "1"), stop=False, cancel="other")
    assert outcome == (-2021, FAILURE, SUCCESS, -2011, None, [NEW])


@pytest.mark.parametrize("stop", [True, False])
def test_replace_the_new_order_fails_after_the_cancel(stop: bool) -> None:
    engine = with_order()
    outcome = engine.cancel_replace(
        "alice", SYMBOL, 5, cancel_client_order_id="mine", new=maker(BUY, "101", "1", client_id="new"), stop_on_failure=stop
    )
    assert (outcome.code, outcome.cancel_result, outcome.new_order_result) == (-2021, SUCCESS, FAILURE)
    assert outcome.new_order_refusal is not None
    assert outcome.new_order_refusal.message == "Order would immediately match and take."
    assert reports(outcome.events) == [CANCELED, REJECTED]
    rejected = outcome.events[-1]
    assert isinstance(rejected, OrderReport)
    assert (rejected.client_order_id, rejected.reject_reason) == ("new", "WOULD_MATCH_IMMEDIATELY")
    assert engine.open_orders("alice") == []


def test_replace_both_fail() -> None:
    outcome = replace_mine(with_order(), maker(BUY, "101", "1"), stop=False, cancel="other")
    assert outcome == (-2022, FAILURE, FAILURE, -2011, -2010, [])


def test_replace_checks_filters_before_it_cancels() -> None:
    engine = with_order()
    with pytest.raises(Refusal, match="-1013 Filter failure: NOTIONAL"):
        replace_mine(engine, maker(BUY, "98", "0.00001"), stop=True)
    assert len(engine.open_orders("alice")) == 1


def test_replace_can_use_the_money_of_the_order_it_cancels() -> None:
    engine = funded()
    engine.place(maker(SELL, "100", "10", client_id="mine"), 1)
    assert replace_mine(engine, maker(SELL, "99", "10"), stop=True)[0] == 0


def test_replace_stays_within_account_and_symbol() -> None:
    with pytest.raises(ValueError, match="cannot place an order of 'bob'"):
        replace_mine(with_order(), maker(BUY, "98", "1", account="bob"), stop=True)


# ---- amend


def test_an_amended_order_keeps_its_place_in_the_queue() -> None:
    engine = funded()
    first, _ = engine.place(maker(SELL, "100", "2", client_id="one"), 1)
    background(engine, SELL, "100", "2")
    amended, events = engine.amend("alice", SYMBOL, 2, client_order_id="one", lots=BTC.lots("1"), new_client_order_id="two")
    assert amended is first
    report = events[0]
    assert isinstance(report, OrderReport)
    assert (report.execution_type, report.status, report.lots) == ("REPLACED", OrderStatus.NEW, BTC.lots("1"))
    assert (report.client_order_id, report.original_client_order_id) == ("two", "one")
    assert events[1] == BalancesChanged("alice", ("BTC",), 2)
    assert balance(engine, "BTC").locked_atoms == atoms("1")
    assert engine.depth(SYMBOL, 1)[2] == [(BTC.ticks("100"), BTC.lots("3"))]
    trades = [e for e in engine.background_market(SYMBOL, BUY, BTC.lots("1.5"), 3) if isinstance(e, TradePrint)]
    assert [(t.seller_order_id, t.lots) for t in trades] == [(first.order_id, BTC.lots("1")), (2, BTC.lots("0.5"))]
    with pytest.raises(Refusal, match="-2013"):
        engine.find_order("alice", SYMBOL, client_order_id="one")


@pytest.mark.parametrize(
    ("quantity", "code", "message"),
    [
        ("3.00001", -2038, "Order amend (quantity increase) is not supported."),
        ("3", -2038, "The requested action would change no state; rejecting."),
        ("0", -1013, "Filter failure: LOT_SIZE"),
        ("1", -2038, "Order amend (quantity at or below the executed quantity) is not supported."),
    ],
)
def test_amends_that_are_refused(quantity: str, code: int, message: str) -> None:
    engine = funded()
    engine.place(limit(BUY, "100", "3", client_id="mine"), 1)
    engine.background_market(SYMBOL, SELL, BTC.lots("1"), 2)
    before = engine.snapshot()
    with pytest.raises(Refusal) as caught:
        engine.amend("alice", SYMBOL, 3, client_order_id="mine", lots=BTC.lots(quantity))
    assert (caught.value.code, caught.value.message) == (code, message)
    assert engine.snapshot() == before


def test_amends_of_the_wrong_order() -> None:
    engine = funded()
    engine.place(limit(BUY, "100", "1", client_id="one"), 1)
    engine.place(limit(BUY, "100", "1", client_id="two"), 1)
    with pytest.raises(Refusal, match="-2038 Unknown order sent"):
        engine.amend("alice", SYMBOL, 2, client_order_id="three", lots=1)
    with pytest.raises(Refusal, match="-2038 Duplicate order sent"):
        engine.amend("alice", SYMBOL, 2, client_order_id="one", lots=BTC.lots("0.5"), new_client_order_id="two")
    with pytest.raises(Refusal, match="-1013 Filter failure: NOTIONAL"):
        engine.amend("alice", SYMBOL, 2, client_order_id="one", lots=1)


def test_an_order_can_be_amended_so_often() -> None:
    engine = funded()
    engine.place(limit(BUY, "100", "1", client_id="mine"), 1)
    for step in range(1, MAX_NUM_ORDER_AMENDS + 1):
        engine.amend("alice", SYMBOL, 2, client_order_id="mine", lots=BTC.lots("1") - step)
    with pytest.raises(Refusal, match="-2038 Filter failure: MAX_NUM_ORDER_AMENDS"):
        engine.amend("alice", SYMBOL, 2, client_order_id="mine", lots=BTC.lots("0.5"))


# ---- transfers, history, market data


def test_a_transfer_is_an_event_of_its_own() -> None:
    engine = funded()
    assert engine.transfer("alice", "BNB", 5, 9) == [
        BalanceTransferred("alice", "BNB", 5, 9),
        BalancesChanged("alice", ("BNB",), 9),
    ]
    assert balance(engine, "BNB").free_atoms == 5


def test_trades_are_selected_by_id_order_and_limit() -> None:
    engine = funded()
    resting, _ = engine.place(limit(BUY, "100", "1"), 1)
    for _ in range(3):
        engine.background_market(SYMBOL, SELL, BTC.lots("0.1"), 2)
    background(engine, SELL, "101", "1")
    taking, _ = engine.place(market(BUY, "0.2"), 3)

    def ids(**selection: int) -> list[int]:
        return [trade.trade_id for trade in engine.trades("alice", SYMBOL, **selection)]

    assert ids() == [1, 2, 3, 4]
    assert ids(limit=2) == [3, 4]
    assert ids(from_id=2, limit=2) == [2, 3]
    assert ids(from_id=5) == []
    assert ids(order_id=resting.order_id) == [1, 2, 3]
    assert ids(order_id=taking.order_id) == [4]


def test_history_is_bounded() -> None:
    engine = funded(history_limit=3)
    for count in range(5):
        background(engine, BUY, "100", "1")
        engine.place(market(SELL, "1", client_id=f"number-{count}"), count)
    assert [order.client_order_id for order in engine.orders("alice", SYMBOL)] == ["number-2", "number-3", "number-4"]
    assert [trade.trade_id for trade in engine.trades("alice", SYMBOL)] == [3, 4, 5]
    with pytest.raises(Refusal, match="-2013"):
        engine.find_order("alice", SYMBOL, client_order_id="number-1")


def test_each_change_of_a_level_has_an_update_id() -> None:
    engine = funded()
    assert engine.take_depth_changes(SYMBOL) is None
    background(engine, BUY, "99", "1")
    background(engine, BUY, "99", "2")
    cancelled = background(engine, SELL, "101", "1")
    engine.background_cancel(cancelled, 1)
    changes = engine.take_depth_changes(SYMBOL)
    assert changes is not None
    assert (changes.first_update_id, changes.final_update_id) == (1, 4)
    assert changes.bids == ((BTC.ticks("99"), BTC.lots("3")),)
    assert changes.asks == ((BTC.ticks("101"), 0),)
    assert engine.take_depth_changes(SYMBOL) is None


# ---- snapshots


def test_a_snapshot_brings_back_accounts_and_their_orders() -> None:
    engine = funded(taker_fee="0.001")
    first, _ = engine.place(maker(BUY, "99", "1", client_id="first"), 1)
    background(engine, SELL, "100", "1")
    engine.place(limit(BUY, "99", "1", account="bob"), 2)
    engine.place(limit(BUY, "100", "0.5", account="bob", client_id="done"), 3)
    restored = MatchingEngine.restore(engine.snapshot(), INSTRUMENTS.values())
    assert restored.depth(SYMBOL, 5) == (engine.touch(SYMBOL)[0] + 1, [(BTC.ticks("99"), BTC.lots("2"))], [])
    assert restored.balances("bob") == engine.balances("bob")
    assert restored.trades("bob", SYMBOL) == engine.trades("bob", SYMBOL)
    assert restored.find_order("bob", SYMBOL, client_order_id="done").status is OrderStatus.FILLED
    events = restored.background_market(SYMBOL, SELL, BTC.lots("1"), 4)
    (trade,) = [event for event in events if isinstance(event, TradePrint)]
    assert (trade.trade_id, trade.buyer_order_id) == (2, first.order_id)


def test_bytes_that_are_no_snapshot() -> None:
    with pytest.raises(SnapshotError, match="not a snapshot"):
        MatchingEngine.restore(b"nonsense", INSTRUMENTS.values())
    with pytest.raises(SnapshotError, match="holds BTCUSDT"):
        MatchingEngine.restore(funded().snapshot(), listed(["ETHUSDT"]))
