"""Position, cost, profit and fees, by hand-made numbers."""

from __future__ import annotations

import json

import pytest

from mmd.execution.ledger import PositionLedger, balance_changes
from mmd.execution.trade_ids import TradeIds
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side
from mmd.types.orders import Fill

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")


def fill(
    trade_id: int, side: Side, price: str, quantity: str, fee: str = "0", fee_asset: str = "USDT", symbol: str = "BTCUSDT"
) -> Fill:
    return Fill(1, symbol, trade_id, "mmd-e1-1", 1, side, BTC.ticks(price), BTC.lots(quantity), atoms(fee), fee_asset, True, 1)


def test_a_round_trip_with_fees_in_quote() -> None:
    ledger = PositionLedger(BTC)
    assert ledger.book(fill(1, Side.BUY, "20000", "0.5", "10"))
    assert ledger.position_atoms == atoms("0.5")
    assert ledger.average_cost_ticks == 2_000_000
    assert ledger.unrealised_atoms(BTC.ticks("20100")) == atoms("50")
    ledger.book(fill(2, Side.SELL, "20200", "0.5", "10.1"))
    assert (ledger.position_atoms, ledger.cost_atoms) == (0, 0)
    assert ledger.realised_atoms == atoms("100")
    assert ledger.fees_quote_atoms == atoms("20.1")
    assert ledger.pnl_atoms(1) == ledger.cash_atoms == atoms("79.9")
    assert ledger.volume_atoms == atoms("20100")
    assert ledger.average_cost_ticks == 0.0


def test_average_cost_and_partial_closing() -> None:
    ledger = PositionLedger(BTC)
    ledger.book(fill(1, Side.BUY, "20000", "1"))
    ledger.book(fill(2, Side.BUY, "21000", "1"))
    ledger.book(fill(3, Side.SELL, "20600", "0.5"))
    assert ledger.realised_atoms == atoms("50")
    assert ledger.average_cost_ticks == BTC.ticks("20500")
    assert ledger.cost_atoms == atoms("30750")


def test_a_flip_through_zero_closes_at_cost_and_opens_at_the_fill() -> None:
    ledger = PositionLedger(BTC)
    ledger.book(fill(1, Side.BUY, "20000", "1"))
    ledger.book(fill(2, Side.SELL, "20100", "3"))
    assert (ledger.realised_atoms, ledger.position_atoms) == (atoms("100"), -atoms("2"))
    assert ledger.cost_atoms == -atoms("40200")
    ledger.book(fill(3, Side.BUY, "20000", "2.5"))
    assert (ledger.realised_atoms, ledger.position_atoms) == (atoms("300"), atoms("0.5"))
    assert ledger.average_cost_ticks == BTC.ticks("20000")


def test_a_fee_in_base_comes_off_the_position_at_the_fills_price() -> None:
    ledger = PositionLedger(BTC)
    ledger.book(fill(1, Side.BUY, "20000", "1", "0.001", "BTC"))
    assert ledger.position_atoms == atoms("0.999")
    assert ledger.fees_quote_atoms == atoms("20")
    assert ledger.average_cost_ticks == BTC.ticks("20000")
    assert ledger.cash_atoms == -atoms("20000")
    assert ledger.pnl_atoms(BTC.ticks("20000")) == -atoms("20")


def test_rebates_are_negative_fees() -> None:
    ledger = PositionLedger(BTC)
    ledger.book(fill(1, Side.BUY, "20000", "1", "-0.0001", "BTC"))
    ledger.book(fill(2, Side.SELL, "20000", "1", "-1", "USDT"))
    assert ledger.position_atoms == atoms("0.0001")
    assert ledger.fees_quote_atoms == -atoms("3")


def test_a_fee_in_a_third_asset_is_recorded_and_flagged() -> None:
    ledger = PositionLedger(BTC)
    ledger.book(fill(1, Side.BUY, "20000", "1", "0.03", "BNB"))
    ledger.book(fill(2, Side.BUY, "20000", "1", "0.02", "BNB"))
    assert ledger.other_fees_atoms == {"BNB": atoms("0.05")}
    assert (ledger.fees_quote_atoms, ledger.has_unvalued_fees) == (0, True)


def test_a_fill_is_booked_once_in_whatever_order_it_comes() -> None:
    """An inferred fill, then the real one (nautilus PR #3493)."""
    ledger = PositionLedger(BTC)
    assert ledger.book(fill(7, Side.BUY, "20000", "1"))
    assert not ledger.book(fill(7, Side.BUY, "20000", "1"))
    assert ledger.book(fill(5, Side.BUY, "20000", "1")), "an older one that the stream had lost"
    assert not ledger.book(fill(5, Side.BUY, "20000", "1"))
    assert ledger.last_trade_id == 7
    assert ledger.position_atoms == atoms("2")


def test_trade_ids_in_bounded_memory() -> None:
    ledger = PositionLedger(BTC, recent_trade_ids=3)
    for trade_id in (10, 20, 30, 40):
        assert ledger.book(fill(trade_id, Side.BUY, "20000", "1"))
    assert ledger.seen(10)
    assert ledger.seen(5), "below the window everything counts as seen"
    assert not ledger.book(fill(9, Side.BUY, "20000", "1"))
    assert ledger.book(fill(25, Side.BUY, "20000", "1"))


def test_trades_before_the_neutral_base_are_skipped() -> None:
    ledger = PositionLedger(BTC)
    ledger.skip_to(100)
    ledger.skip_to(-1)
    assert not ledger.book(fill(100, Side.BUY, "20000", "1"))
    assert ledger.book(fill(101, Side.BUY, "20000", "1"))
    assert (ledger.last_trade_id, ledger.reconciled_trade_id) == (101, 100)


def test_a_trade_that_the_stream_lost_is_still_asked_for() -> None:
    ledger = PositionLedger(BTC)
    ledger.skip_to(100)
    ledger.book(fill(103, Side.BUY, "20000", "1"))
    assert ledger.reconciled_trade_id == 100, "101 and 102 may be missing"
    ledger.reconciled_to(103)
    ledger.reconciled_to(-1)
    assert ledger.reconciled_trade_id == 103


def test_state_goes_through_json() -> None:
    ledger = PositionLedger(BTC)
    ledger.skip_to(1)
    for number in range(2, 50):
        ledger.book(fill(number, Side.BUY if number % 3 else Side.SELL, "20000.01", "0.00123", "0.00000001", "BTC"))
    ledger.book(fill(60, Side.BUY, "20000", "1", "0.1", "BNB"))
    ledger.reconciled_to(49)
    document = json.loads(json.dumps(ledger.state()))
    assert document["trade_ids"]["recent"] == [60], "what is complete needs no list"
    other = PositionLedger(BTC)
    other.restore(document)
    assert other.state() == ledger.state()
    assert not any(other.book(fill(number, Side.BUY, "1", "1")) for number in (1, 2, 49, 60))
    assert other.book(fill(55, Side.BUY, "20000", "1"))


def test_a_foreign_state_is_refused() -> None:
    state = PositionLedger(BTC).state()
    for change in ({"version": 99}, {"symbol": "ETHUSDT"}):
        with pytest.raises(ValueError, match="this ledger reads"):
            PositionLedger(BTC).restore({**state, **change})


def test_a_fill_that_cannot_be_ours_is_refused() -> None:
    ledger = PositionLedger(BTC)
    with pytest.raises(ValueError, match="cannot book"):
        ledger.book(fill(1, Side.BUY, "20000", "1", symbol="ETHUSDT"))
    with pytest.raises(ValueError, match="cannot book"):
        ledger.book(fill(1, Side.BUY, "20000", "0"))
    assert ledger.position_atoms == 0


def test_restored_trade_ids_never_exceed_the_bound() -> None:
    many = TradeIds(10)
    for number in range(10):
        many.add(number)
    few = TradeIds(3)
    few.restore(many.state())
    assert len(few) == 3
    assert all(few.seen(number) for number in range(10))
    with pytest.raises(ValueError, match="at least one"):
        TradeIds(0)


def test_what_a_fill_does_to_the_account() -> None:
    assert balance_changes(fill(1, Side.SELL, "20000", "0.5", "10"), BTC) == {"BTC": -atoms("0.5"), "USDT": atoms("9990")}
    assert balance_changes(fill(1, Side.BUY, "20000", "1", "0.001", "BTC"), BTC) == {"BTC": atoms("0.999"), "USDT": -atoms("20000")}
