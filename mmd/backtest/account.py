"""The account of a backtest, as the venue has it: balances, positions, fills and funding.

It is kept from the fills, so that a comparison with it is one of two ledgers made from the same fills.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mmd.backtest.funding import FundingPoint, payment_atoms
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import Balance, Fill, FundingPaid, Margin, OrderUpdate, Position, ReconciliationReport, RequestReconciliation

CASH_ATOMS = 10**18
"""Enough of every asset, and of margin, that no balance ever binds: limits are the core's business."""
LEVERAGE = 20
MOST_TRADES = 1_000
"""Of one report, the newest."""
_NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class FillRecord:
    """A fill with what results need and the core is not told."""

    fill: Fill
    remaining_lots: int


@dataclass(frozen=True)
class FundingRecord:
    """A payment and what it was made of."""

    payment: FundingPaid
    point: FundingPoint
    lots: int
    mark_ticks: float


@dataclass(frozen=True)
class Settlement:
    """A funding that has happened, and that the account will hear of."""

    point: FundingPoint
    mark_ticks: float


class VenueAccount:
    """`maker_fee` is a share of the notional; fees are booked in the quote asset. `mid_x2` and `on_funding` are for perpetuals."""

    def __init__(self, instruments: Sequence[Instrument], maker_fee: float) -> None:
        self._instruments: Mapping[str, Instrument] = {instrument.symbol: instrument for instrument in instruments}
        self._maker_fee = maker_fee
        self._fills: list[Fill] = []
        self._funding: list[FundingPaid] = []
        self.mid_x2: Callable[[str], int] = lambda _symbol: 0
        self.on_funding: Callable[[FundingRecord], None] = lambda _record: None
        self._balances: dict[str, int] = {}
        for instrument in instruments:
            self._balances[instrument.quote_asset] = CASH_ATOMS
            if not instrument.perpetual:
                self._balances[instrument.base_asset] = CASH_ATOMS

    def traded(
        self, now_ns: int, symbol: str, name: str, number: int, side: Side, price_ticks: int, lots: int, exchange_ns: int
    ) -> Fill:
        """Book a trade of ours; the fill that says so."""
        instrument = self._instruments[symbol]
        value = price_ticks * lots * instrument.notional_atoms
        fee = round(value * self._maker_fee)
        trade_id, asset = len(self._fills) + 1, instrument.quote_asset
        fill = Fill(now_ns, symbol, trade_id, name, number, side, price_ticks, lots, fee, asset, True, exchange_ns)
        self._fills.append(fill)
        if not instrument.perpetual:
            self._balances[instrument.base_asset] += side.sign * lots * instrument.lot_atoms
        self._balances[asset] -= side.sign * value + fee
        return fill

    def settled(self, point: FundingPoint) -> Settlement:
        """Funding happens now: at its mark, or at the mid of this moment."""
        return Settlement(point, self.mid_x2(point.symbol) / 2 if point.mark_ticks is None else point.mark_ticks)

    def pay(self, settlement: Settlement, now_ns: int) -> FundingPaid | None:
        """Book what was settled; None where that is nothing."""
        point = settlement.point
        instrument = self._instruments[point.symbol]
        lots = self._lots_at(point.symbol, point.happens_ns)
        amount = payment_atoms(instrument, lots, settlement.mark_ticks, point.rate)
        if not amount:
            return None
        asset = instrument.quote_asset
        payment = FundingPaid(now_ns, point.symbol, point.exchange_ns // _NS_PER_MS, amount, asset, point.exchange_ns)
        self._funding.append(payment)
        self._balances[asset] += amount
        self.on_funding(FundingRecord(payment, point, lots, settlement.mark_ticks))
        return payment

    def report(self, request: RequestReconciliation, open_orders: tuple[OrderUpdate, ...], now_ns: int) -> ReconciliationReport:
        """The venue's view of everything, with the orders that are open."""
        after, since = dict(request.after_trade_ids), dict(request.funding_since_ns)
        trades = [fill for fill in self._fills if fill.symbol in after and fill.trade_id > after[fill.symbol]]
        return ReconciliationReport(
            now_ns,
            request.decided_ns,
            tuple(Balance(asset, amount, 0) for asset, amount in self._balances.items()),
            open_orders,
            tuple(trades[-MOST_TRADES:]),
            self._positions(),
            tuple(each for each in self._funding if each.symbol in since and each.exchange_ns > since[each.symbol]),
            Margin(CASH_ATOMS, CASH_ATOMS) if any(each.perpetual for each in self._instruments.values()) else None,
        )

    def _lots_at(self, symbol: str, exchange_ns: int) -> int:
        """Position at the exchange at that moment, of fills that are known."""
        return sum(fill.side.sign * fill.lots for fill in self._fills if fill.symbol == symbol and fill.exchange_ns <= exchange_ns)

    def _positions(self) -> tuple[Position, ...]:
        """Of perpetuals, as the account has them by now."""
        found = []
        for symbol, instrument in self._instruments.items():
            if instrument.perpetual:
                atoms = self._lots_at(symbol, 1 << 62) * instrument.lot_atoms
                found.append(Position(symbol, atoms, self.mid_x2(symbol) // 2, LEVERAGE))
        return tuple(found)
