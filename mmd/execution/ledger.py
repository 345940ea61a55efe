"""Position, cost and profit of one symbol, in whole atoms, from fills booked once each.

Everything is exact but the split of cost when part of a position is closed, which is rounded to an atom; what is rounded away
stays in the cost, so that the identity holds to the atom, always:

    realised + unrealised(mark) - fees + funding == cash + value(position, mark)

Fees: in the quote asset they are fees. In the base asset (Binance takes a buyer's fee from what he bought) they change the
position, as if that much had been sold at the fill's price, and that value is a fee. In a third asset they are recorded by asset
and are *not* part of any profit here, since nothing here knows their price: `has_unvalued_fees` says so. Of a perpetual no base
is ever taken: a fee in that asset is valued like one, and leaves the position alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mmd.execution.trade_ids import TradeIds
from mmd.types.instrument import Instrument
from mmd.types.orders import Fill, FundingPaid

STATE_VERSION: Final = 1
FUNDING_IDS_KEPT: Final = 100


class PositionLedger:
    """One symbol's ledger. `position_atoms` counts base atoms, everything else quote atoms unless it says otherwise."""

    def __init__(self, instrument: Instrument, *, recent_trade_ids: int = 1_000) -> None:
        self.instrument = instrument
        self._trade_ids = TradeIds(recent_trade_ids)
        self.position_atoms = 0
        self.cost_atoms = 0
        """Cost basis at average cost, with the position's sign: negative for a short, whose proceeds it is."""
        self.realised_atoms = 0
        """Profit of what was closed, before fees."""
        self.fees_quote_atoms = 0
        """Fees paid in quote, and in base at the fill's price; rebates reduce them."""
        self.other_fees_atoms: dict[str, int] = {}
        """Fees paid in third assets, atoms of that asset; in no profit."""
        self.funding_atoms = 0
        """Funding received for holding a perpetual position; below zero where it was paid."""
        self.funding_to_ns = 0
        """Exchange time of the newest funding booked or skipped, UTC ns."""
        self._funding_ids = TradeIds(FUNDING_IDS_KEPT)
        self.volume_atoms = 0
        """Sum of the fills' notionals."""

    # ---- booking

    def book(self, fill: Fill) -> bool:
        """Book a fill; False when it was booked before. Raises `ValueError` for another symbol's fill or one without quantity."""
        instrument = self.instrument
        if fill.symbol != instrument.symbol or fill.lots <= 0 or fill.price_ticks <= 0:
            raise ValueError(f"the ledger of {instrument.symbol} cannot book {fill}")
        if not self._trade_ids.add(fill.trade_id):
            return False
        notional = fill.price_ticks * fill.lots * instrument.notional_atoms
        self.volume_atoms += notional
        self._trade(fill.side.sign * fill.lots * instrument.lot_atoms, fill.side.sign * notional)
        self._charge(fill)
        return True

    def book_funding(self, payment: FundingPaid) -> bool:
        """Book a funding payment; False when it was booked before. Raises `ValueError` for another symbol's or asset's."""
        if payment.symbol != self.instrument.symbol or payment.asset != self.instrument.quote_asset:
            raise ValueError(f"the ledger of {self.instrument.symbol} cannot book {payment}")
        if not self._funding_ids.add(payment.funding_id):
            return False
        self.funding_atoms += payment.amount_atoms
        self.funding_to_ns = max(self.funding_to_ns, payment.exchange_ns)
        return True

    def take_over(self, base_atoms: int, price_ticks: int) -> None:
        """Begin with a position that was there before us, as if bought or sold at this price. Raises `ValueError` once in use."""
        if self.position_atoms or self.volume_atoms:
            raise ValueError(f"the ledger of {self.instrument.symbol} holds a position already")
        self._trade(base_atoms, self._value(base_atoms, price_ticks))

    def skip_funding(self, payment: FundingPaid) -> None:
        """Funding up to this payment is none of ours to book."""
        self._funding_ids.skip_to(payment.funding_id)
        self.funding_to_ns = max(self.funding_to_ns, payment.exchange_ns)

    def seen(self, trade_id: int) -> bool:
        """Whether a trade was booked, or is older than all we remember."""
        return self._trade_ids.seen(trade_id)

    @property
    def last_trade_id(self) -> int:
        """The newest trade booked or skipped; -1 for none. Older ones may still be missing: see `reconciled_trade_id`."""
        return self._trade_ids.last

    @property
    def reconciled_trade_id(self) -> int:
        """Up to here the venue's own list was compared: ask for trades after this one, lest one that the stream lost stays lost."""
        return self._trade_ids.complete_to

    def reconciled_to(self, trade_id: int) -> None:
        """Every trade up to this one was in the venue's list and is booked now."""
        self._trade_ids.completed(trade_id)

    def skip_to(self, trade_id: int) -> None:
        """Trades up to this one are none of ours to book (they are before the neutral base). Never goes back."""
        self._trade_ids.skip_to(trade_id)

    def _trade(self, base_atoms: int, quote_atoms: int) -> None:
        """Change the position by `base_atoms`, for `quote_atoms` paid; both signed, positive for a buy."""
        self.position_atoms, self.cost_atoms, gain = traded(self.position_atoms, self.cost_atoms, base_atoms, quote_atoms)
        self.realised_atoms += gain

    def _charge(self, fill: Fill) -> None:
        fee, instrument = fill.fee_atoms, self.instrument
        if fee == 0:
            return
        if fill.fee_asset == instrument.quote_asset:
            self.fees_quote_atoms += fee
        elif fill.fee_asset == instrument.base_asset:
            value = self._value(fee, fill.price_ticks)
            if not instrument.perpetual:
                self._trade(-fee, -value)
            self.fees_quote_atoms += value
        else:
            self.other_fees_atoms[fill.fee_asset] = self.other_fees_atoms.get(fill.fee_asset, 0) + fee

    # ---- profit

    def unrealised_atoms(self, mark_ticks: int) -> int:
        """Profit of the open position at a price in ticks, before fees."""
        return self._value(self.position_atoms, mark_ticks) - self.cost_atoms

    def pnl_atoms(self, mark_ticks: int) -> int:
        """Realised and unrealised profit after fees, with funding."""
        return self.realised_atoms + self.unrealised_atoms(mark_ticks) - self.fees_quote_atoms + self.funding_atoms

    @property
    def cash_atoms(self) -> int:
        """Change of the quote balance by all that was booked."""
        return self.realised_atoms - self.cost_atoms - self.fees_quote_atoms + self.funding_atoms

    @property
    def average_cost_ticks(self) -> float:
        """Average cost of the open position in ticks; 0 when flat."""
        if self.position_atoms == 0:
            return 0.0
        return self.cost_atoms * self.instrument.lot_atoms / (self.position_atoms * self.instrument.notional_atoms)

    @property
    def has_unvalued_fees(self) -> bool:
        """Whether fees were paid in an asset whose price we do not know: profits here leave them out."""
        return any(self.other_fees_atoms.values())

    def _value(self, base_atoms: int, price_ticks: int) -> int:
        return base_atoms * price_ticks * self.instrument.notional_atoms // self.instrument.lot_atoms

    # ---- what survives

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "version": STATE_VERSION,
            "symbol": self.instrument.symbol,
            "position_atoms": self.position_atoms,
            "cost_atoms": self.cost_atoms,
            "realised_atoms": self.realised_atoms,
            "fees_quote_atoms": self.fees_quote_atoms,
            "other_fees_atoms": dict(self.other_fees_atoms),
            "volume_atoms": self.volume_atoms,
            "trade_ids": self._trade_ids.state(),
            "funding_atoms": self.funding_atoms,
            "funding_to_ns": self.funding_to_ns,
            "funding_ids": self._funding_ids.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` left off. Raises `ValueError` for another version or symbol, `KeyError` where it is incomplete."""
        if state["version"] != STATE_VERSION or state["symbol"] != self.instrument.symbol:
            raise ValueError(
                f"ledger state of version {state['version']!r} and symbol {state['symbol']!r}; this ledger reads version "
                f"{STATE_VERSION} of {self.instrument.symbol}"
            )
        self.position_atoms = int(state["position_atoms"])
        self.cost_atoms = int(state["cost_atoms"])
        self.realised_atoms = int(state["realised_atoms"])
        self.fees_quote_atoms = int(state["fees_quote_atoms"])
        self.other_fees_atoms = {str(asset): int(fee) for asset, fee in state["other_fees_atoms"].items()}
        self.volume_atoms = int(state["volume_atoms"])
        self._trade_ids.restore(state["trade_ids"])
        # Ledgers that were written before perpetuals were traded know of no funding.
        self.funding_atoms = int(state.get("funding_atoms", 0))
        self.funding_to_ns = int(state.get("funding_to_ns", 0))
        if "funding_ids" in state:
            self._funding_ids.restore(state["funding_ids"])


def balance_changes(fill: Fill, instrument: Instrument) -> dict[str, int]:
    """What a fill does to the account, in atoms by asset: base, quote and fee."""
    sign = fill.side.sign
    changes = {
        instrument.base_asset: sign * fill.lots * instrument.lot_atoms,
        instrument.quote_asset: -sign * fill.price_ticks * fill.lots * instrument.notional_atoms,
    }
    if fill.fee_atoms:
        changes[fill.fee_asset] = changes.get(fill.fee_asset, 0) - fill.fee_atoms
    return changes


def traded(position: int, cost: int, base: int, quote: int) -> tuple[int, int, int]:
    """Position and cost after `base` was bought (sold, below zero) for `quote`, and the profit of what that closed.

    Plain numbers in and out; base and position in any one unit, the rest in quote atoms.
    """
    if position * base >= 0:
        return position + base, cost + quote, 0
    closed = min(abs(base), abs(position))
    released = share_of(cost, closed, abs(position))
    closing_quote = share_of(quote, closed, abs(base))
    return position + base, cost + quote - closing_quote - released, -closing_quote - released


def share_of(amount: int, part: int, whole: int) -> int:
    """`amount * part / whole`, rounded to the nearest whole number; all of it when part is whole."""
    return (2 * amount * part + whole) // (2 * whole)
