"""What is traded: tick and lot, filters, and the exact way between the venue's decimal texts and our integers.

Three integer units are used everywhere inside: a *tick* is the instrument's price step, a *lot* its quantity step, and an *atom*
is 1e-8 of an asset (balances, fees, cash). `price_ticks * lots * notional_atoms` is an amount of the quote asset in atoms, exactly.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

ATOMS_PER_UNIT = 100_000_000


class InstrumentError(ValueError):
    """An instrument's filters, or a text that should be a price or quantity of it, make no sense."""


class Replacement(Enum):
    """How the venue lets one order take another's place: an adapter states it, the core plans by it."""

    CANCEL_REPLACE = "cancel_replace"
    """One message cancels the old order and places a new one (`ReplaceOrder`); quantity may be reduced in place (`AmendOrder`)."""
    MODIFY = "modify"
    """Price and quantity of a resting order can be changed; it keeps its ids and loses its place (`ModifyOrder`)."""
    CANCEL_FIRST = "cancel_first"
    """Neither: the old order is cancelled, and the new one is placed once it is gone."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol of a venue. Sizes are `Decimal` as the venue states them; limits are in lots, ticks and atoms.

    >>> btc = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
    >>> btc.ticks("28165.47000000"), btc.price_text(2816547), btc.notional_atoms
    (2816547, '28165.47', 10)
    """

    symbol: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal
    lot_size: Decimal
    min_lots: int
    max_lots: int
    min_price_ticks: int
    max_price_ticks: int
    min_notional_atoms: int
    ticks_per_unit: float
    """Multiplier from a price in quote units to ticks."""
    lots_per_unit: float
    lot_atoms: int
    """Base atoms in one lot."""
    notional_atoms: int
    """Quote atoms in one tick times one lot."""
    price_decimals: int
    quantity_decimals: int
    perpetual: bool = False
    """A linear perpetual future: the position is the venue's own signed number, profit and funding are paid in the quote asset."""
    replacement: Replacement = Replacement.CANCEL_REPLACE

    @classmethod
    def create(
        cls,
        symbol: str,
        base_asset: str,
        quote_asset: str,
        *,
        tick_size: str,
        lot_size: str,
        min_notional: str = "0",
        min_quantity: str | None = None,
        max_quantity: str = "9000",
        max_price: str = "1000000",
    ) -> Instrument:
        """Build from decimal texts. Raises `InstrumentError` where tick x lot is no whole number of quote atoms."""
        tick, lot = Decimal(tick_size).normalize(), Decimal(lot_size).normalize()
        if tick <= 0 or lot <= 0:
            raise InstrumentError(f"{symbol}: tick size {tick_size} and lot size {lot_size} must be above zero")
        notional = tick * lot * ATOMS_PER_UNIT
        lot_atoms = lot * ATOMS_PER_UNIT
        if notional != int(notional) or lot_atoms != int(lot_atoms):
            raise InstrumentError(f"{symbol}: tick {tick_size} x lot {lot_size} is finer than 1e-8 {quote_asset}")
        return cls(
            symbol=symbol,
            base_asset=base_asset,
            quote_asset=quote_asset,
            tick_size=tick,
            lot_size=lot,
            min_lots=max(1, int(Decimal(min_quantity or lot_size) / lot)),
            max_lots=int(Decimal(max_quantity) / lot),
            min_price_ticks=1,
            max_price_ticks=int(Decimal(max_price) / tick),
            min_notional_atoms=int(Decimal(min_notional) * ATOMS_PER_UNIT),
            ticks_per_unit=float(1 / tick),
            lots_per_unit=float(1 / lot),
            lot_atoms=int(lot_atoms),
            notional_atoms=int(notional),
            price_decimals=_decimals(tick),
            quantity_decimals=_decimals(lot),
        )

    def ticks(self, price: str | Decimal) -> int:
        """Ticks of a decimal price text, exactly. Raises `InstrumentError` off the grid. (The feed decoder has a faster way.)"""
        return _whole(Decimal(price) / self.tick_size, self.symbol, "price", price, self.tick_size)

    def lots(self, quantity: str | Decimal) -> int:
        """Lots of a decimal quantity text, exactly. Raises `InstrumentError` off the grid."""
        return _whole(Decimal(quantity) / self.lot_size, self.symbol, "quantity", quantity, self.lot_size)

    def price(self, price_ticks: int) -> Decimal:
        """Price in quote units."""
        return price_ticks * self.tick_size

    def quantity(self, lots: int) -> Decimal:
        """Quantity in base units."""
        return lots * self.lot_size

    def price_text(self, price_ticks: int) -> str:
        """The price as the venue wants it written."""
        return fixed_point(price_ticks * self.tick_size, self.price_decimals)

    def quantity_text(self, lots: int) -> str:
        """The quantity as the venue wants it written."""
        return fixed_point(lots * self.lot_size, self.quantity_decimals)


def atoms(amount: str | Decimal) -> int:
    """Atoms (1e-8) of a decimal amount, exactly. Raises `InstrumentError` for finer amounts."""
    scaled = Decimal(amount) * ATOMS_PER_UNIT
    if scaled != int(scaled):
        raise InstrumentError(f"amount {amount} is finer than 1e-8")
    return int(scaled)


def units(amount_atoms: int) -> Decimal:
    """The decimal amount of an integer number of atoms."""
    return Decimal(amount_atoms) / ATOMS_PER_UNIT


def atoms_text(amount_atoms: int) -> str:
    """An amount with eight decimals, as Binance writes every amount."""
    sign = "-" if amount_atoms < 0 else ""
    whole, rest = divmod(abs(amount_atoms), ATOMS_PER_UNIT)
    return f"{sign}{whole}.{rest:08d}"


def fixed_point(amount: Decimal, decimals: int) -> str:
    """A decimal without exponent and with exactly `decimals` places."""
    return f"{amount:.{decimals}f}"


def _decimals(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _whole(steps: Decimal, symbol: str, what: str, text: str | Decimal, step: Decimal) -> int:
    if steps != int(steps):
        raise InstrumentError(f"{symbol}: {what} {text} is no multiple of {step}")
    return int(steps)
