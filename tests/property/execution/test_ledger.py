"""The ledger against exact arithmetic, over random fills."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from mmd.execution.ledger import PositionLedger, balance_changes
from mmd.execution.trade_ids import TradeIds
from mmd.types.instrument import Instrument, units
from mmd.types.market import Side
from mmd.types.orders import Fill

INSTRUMENTS = [
    Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001"),
    Instrument.create("ETHBTC", "ETH", "BTC", tick_size="0.00001", lot_size="0.001"),
    Instrument.create("SHIBUSDT", "SHIB", "USDT", tick_size="0.00000001", lot_size="1"),
]


@st.composite
def fills(draw: st.DrawFn) -> tuple[Instrument, list[Fill]]:
    instrument = draw(st.sampled_from(INSTRUMENTS))
    count = draw(st.integers(1, 40))
    booked = []
    for number in range(1, count + 1):
        side = draw(st.sampled_from(Side))
        price = draw(st.integers(1, 5_000_000))
        lots = draw(st.integers(1, 200_000))
        asset = draw(st.sampled_from([instrument.base_asset, instrument.quote_asset, "BNB"]))
        most = lots * instrument.lot_atoms // 100 + 1
        fee = draw(st.integers(-most, most))
        booked.append(Fill(number, instrument.symbol, number, "mmd-e-1", 1, side, price, lots, fee, asset, True, number))
    return instrument, booked


class Reference:
    """Average cost in unrounded decimals, fees apart: position and cash straight from the fills."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.base = self.quote = self.other = Decimal(0)
        self.cost = self.realised = self.fees = Decimal(0)
        self.position = Decimal(0)

    def book(self, fill: Fill) -> None:
        for asset, atoms in balance_changes(fill, self.instrument).items():
            if asset == self.instrument.base_asset:
                self.base += units(atoms)
            elif asset == self.instrument.quote_asset:
                self.quote += units(atoms)
            else:
                self.other += units(atoms)
        price = self.instrument.price(fill.price_ticks)
        self._trade(fill.side.sign * self.instrument.quantity(fill.lots), price)
        if fill.fee_asset == self.instrument.base_asset:
            self._trade(-units(fill.fee_atoms), price)
            self.fees += units(fill.fee_atoms) * price
        elif fill.fee_asset == self.instrument.quote_asset:
            self.fees += units(fill.fee_atoms)

    def _trade(self, quantity: Decimal, price: Decimal) -> None:
        if self.position * quantity >= 0:
            self.position += quantity
            self.cost += quantity * price
            return
        closed = min(abs(quantity), abs(self.position)) * (1 if self.position > 0 else -1)
        average = self.cost / self.position
        self.realised += closed * (price - average)
        opened = quantity + closed
        self.position += quantity
        self.cost = self.cost - closed * average + opened * price


@given(case=fills(), mark=st.integers(1, 5_000_000))
def test_position_cash_and_profit_agree_with_exact_arithmetic(case: tuple[Instrument, list[Fill]], mark: int) -> None:
    instrument, booked = case
    ledger, reference = PositionLedger(instrument), Reference(instrument)
    with localcontext() as context:
        context.prec = 60
        for count, fill in enumerate(booked, 1):
            assert ledger.book(fill)
            reference.book(fill)
            assert units(ledger.position_atoms) == reference.base == reference.position
            assert units(ledger.cash_atoms) == reference.quote
            assert units(sum(ledger.other_fees_atoms.values())) == -reference.other
            # Three roundings of at most an atom for each fill, and what they cost when a tiny rest is closed later.
            slack = Decimal(4 * count) / 10**8
            assert abs(units(ledger.realised_atoms) - reference.realised) <= slack
            assert abs(units(ledger.fees_quote_atoms) - reference.fees) <= slack
            assert abs(units(ledger.cost_atoms) - reference.cost) <= slack
        value = ledger.unrealised_atoms(mark) + ledger.cost_atoms
        exact = units(ledger.position_atoms) * instrument.price(mark)
        assert 0 <= exact - units(value) < units(1)
        identity = ledger.realised_atoms + ledger.unrealised_atoms(mark) - ledger.fees_quote_atoms
        assert identity == ledger.cash_atoms + value == ledger.pnl_atoms(mark)
        assert units(ledger.cash_atoms) == reference.quote


@given(case=fills(), data=st.data())
def test_repeats_disorder_and_restarts_change_nothing(case: tuple[Instrument, list[Fill]], data: st.DataObject) -> None:
    instrument, booked = case
    plain = PositionLedger(instrument)
    for fill in booked:
        plain.book(fill)
    again = PositionLedger(instrument)
    for fill in booked:
        again.book(fill)
        again.book(data.draw(st.sampled_from(booked[: fill.trade_id])))
        if data.draw(st.booleans()):
            again.reconciled_to(fill.trade_id)
            restored = PositionLedger(instrument)
            restored.restore(json.loads(json.dumps(again.state())))
            again = restored
    assert again.pnl_atoms(1_000) == plain.pnl_atoms(1_000)
    assert (again.position_atoms, again.cost_atoms, again.last_trade_id) == (
        plain.position_atoms,
        plain.cost_atoms,
        plain.last_trade_id,
    )
    shuffled = PositionLedger(instrument)
    for fill in data.draw(st.permutations(booked)):
        assert shuffled.book(fill)
    assert (shuffled.position_atoms, shuffled.cash_atoms) == (plain.position_atoms, plain.cash_atoms)


@given(ids=st.lists(st.integers(0, 60)), bound=st.integers(1, 10))
def test_a_trade_id_is_never_taken_twice_in_any_bound(ids: list[int], bound: int) -> None:
    memory = TradeIds(bound)
    taken: set[int] = set()
    for trade_id in ids:
        if memory.add(trade_id):
            assert trade_id not in taken
            taken.add(trade_id)
        assert memory.seen(trade_id)
        assert len(memory) <= bound
        assert memory.last == max(taken)
