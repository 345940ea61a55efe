"""Perpetual positions: funding, fees in the base asset, and a comparison by positions rather than balances."""

from __future__ import annotations

import msgspec
import pytest

from mmd.execution.ledger import PositionLedger
from mmd.execution.reconciliation import compare
from mmd.types.instrument import Instrument, atoms
from mmd.types.market import Side
from mmd.types.orders import Balance, Fill, FundingPaid, Position, ReconciliationReport
from tests.unit.execution.order_desk import SYMBOL, Desk

PERP = msgspec.structs.replace(
    Instrument.create(SYMBOL, "BTC", "USDT", tick_size="0.1", lot_size="0.001", min_notional="5"), perpetual=True
)
LOT = PERP.lot_atoms


def fill(trade_id: int, side: Side, price: int, lots: int, fee: str = "0", asset: str = "USDT", name: str = "") -> Fill:
    return Fill(1, SYMBOL, trade_id, name, 1, side, price, lots, atoms(fee), asset, True, trade_id)


def funding(number: int, amount: str) -> FundingPaid:
    return FundingPaid(1, SYMBOL, number, atoms(amount), "USDT", number * 1_000)


def test_funding_is_profit_apart_from_what_was_realised() -> None:
    ledger = PositionLedger(PERP)
    ledger.book(fill(1, Side.SELL, 600_000, 10, "0.12"))
    assert ledger.book_funding(funding(1, "0.06"))
    assert not ledger.book_funding(funding(1, "0.06"))
    assert ledger.book_funding(funding(2, "-0.02"))
    assert (ledger.realised_atoms, ledger.funding_atoms) == (0, atoms("0.04"))
    assert ledger.funding_to_ns == 2_000
    # Short 0.01 BTC from 60,000; at 59,900 that is 1.00, less 0.12 of fee, and 0.04 of funding.
    assert ledger.pnl_atoms(599_000) == atoms("0.92")
    value = ledger.unrealised_atoms(599_000) + ledger.cost_atoms
    assert ledger.pnl_atoms(599_000) == ledger.cash_atoms + value


def test_funding_survives_a_restart_and_older_checkpoints_know_none() -> None:
    ledger = PositionLedger(PERP)
    ledger.book_funding(funding(7, "1.5"))
    state = ledger.state()
    restored = PositionLedger(PERP)
    restored.restore(state)
    assert restored.funding_atoms == atoms("1.5")
    assert not restored.book_funding(funding(7, "1.5"))
    for key in ("funding_atoms", "funding_to_ns", "funding_ids"):
        del state[key]
    old = PositionLedger(PERP)
    old.restore(state)
    assert old.funding_atoms == 0


def test_funding_of_another_asset_is_no_business_of_this_ledger() -> None:
    with pytest.raises(ValueError, match="cannot book"):
        PositionLedger(PERP).book_funding(FundingPaid(1, SYMBOL, 1, 5, "BUSD", 1))


def test_a_fee_in_the_base_asset_leaves_a_perpetual_position_alone() -> None:
    ledger = PositionLedger(PERP)
    ledger.book(fill(1, Side.BUY, 600_000, 10, "0.00001", "BTC"))
    assert ledger.position_atoms == 10 * LOT
    assert ledger.fees_quote_atoms == atoms("0.6")


def test_a_position_is_taken_over_once_at_the_mark() -> None:
    ledger = PositionLedger(PERP)
    ledger.take_over(-5 * LOT, 600_000)
    assert (ledger.position_atoms, ledger.pnl_atoms(600_000)) == (-5 * LOT, 0)
    assert ledger.average_cost_ticks == 600_000
    with pytest.raises(ValueError, match="holds a position already"):
        ledger.take_over(LOT, 600_000)


@pytest.mark.parametrize("side", list(Side))
def test_the_position_is_the_venues_signed_number_whatever_the_balances(side: Side) -> None:
    desk = Desk()
    order = desk.place(side, 600_000, 10)
    ledger = PositionLedger(PERP)
    trade = fill(5, side, 600_000, 10, name=order.client_order_id)
    stated = (Position(SYMBOL, side.sign * 10 * LOT, 600_000, 20),)
    report = ReconciliationReport(desk.now, desk.now, (Balance("USDT", 1, 0), Balance("BTC", 7, 0)), (), (trade,), stated)
    comparison = compare(report, desk.tracker, {SYMBOL: ledger}, {SYMBOL: "BTC"}, {SYMBOL: 0})
    assert comparison.fills_to_book == (trade,)
    assert comparison.position_difference_atoms == {SYMBOL: 0}
    ledger.book(trade)
    flat = msgspec.structs.replace(report, positions=(), trades=())
    comparison = compare(flat, desk.tracker, {SYMBOL: ledger}, {SYMBOL: "BTC"}, {SYMBOL: 0})
    assert comparison.position_difference_atoms == {SYMBOL: -side.sign * 10 * LOT}
