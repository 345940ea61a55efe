"""From what a quoter decides to a quote: the lean, the sizes, and the clamps that make its prices whole.

The functions that take and give plain numbers are what a compiled backtest compiles: they read numbers off what they are given,
call nothing but each other and the mathematical functions, and mean the same on 64-bit integers and floats.
"""

from __future__ import annotations

from math import ceil, floor

from mmd.quoting.context import QuoteContext
from mmd.quoting.quote_messages import BESIDE, Attribution, Quote, RawQuote
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument

__all__ = [
    "BESIDE",
    "Attribution",
    "Quote",
    "QuoteContext",
    "RawQuote",
    "clamp",
    "inventory_shift",
    "outward_prices",
    "quote_lots",
    "quote_sizes",
    "tradable",
]


def inventory_shift(
    inventory: float, target: float, scale_ticks: float, half_spread_ticks: float, factor: float, max_half_spreads: float
) -> float:
    """Shift of the reservation price in ticks: -φ·scale·(q - q*), bounded by `max_half_spreads` half-spreads.

    When we are long (q > q*) the shift is negative: both quotes move down, so that we rather sell than buy.
    Form of the reservation price: Avellaneda and Stoikov, High-frequency trading in a limit order book (2008).
    """
    shift = -factor * scale_ticks * (inventory - target)
    bound = max_half_spreads * half_spread_ticks
    if shift > bound:
        return bound
    return shift if shift >= -bound else -bound


def quote_lots(
    instrument: Instrument, mid_ticks: float, order_notional: float, budget_left: float, min_fraction: float, room_lots: int
) -> int:
    """Lots of one side: the notional at the mid, scaled by what is left of the loss budget, clipped by the room to the limit."""
    share = budget_left if budget_left < 1.0 else 1.0
    if share < min_fraction:
        share = min_fraction
    lots = int(order_notional * ATOMS_PER_UNIT / (mid_ticks * instrument.notional_atoms) * share)
    if lots > instrument.max_lots:
        lots = instrument.max_lots
    if lots > room_lots:
        lots = room_lots
    return lots if lots > 0 else 0


def quote_sizes(context: QuoteContext, instrument: Instrument, settings: QuotingSettings) -> tuple[int, int]:
    """Lots of bid and ask: one size for both, each clipped by its own room."""
    bid_room, ask_room = context.buy_room_lots, context.sell_room_lots
    most = quote_lots(
        instrument,
        0.5 * (context.bid_ticks + context.ask_ticks),
        settings.order_notional * context.size_share,
        context.budget_left,
        settings.min_size_fraction,
        bid_room if bid_room > ask_room else ask_room,
    )
    return bid_room if bid_room < most else most, ask_room if ask_room < most else most


def outward_prices(
    fair: float, skew: float, half_spread: float, adverse_bid: float, adverse_ask: float, best_bid_ticks: int, best_ask_ticks: int
) -> tuple[int, int]:
    """Bid and ask in whole ticks: rounded outward, and at post-only distance (bid <= best ask - 1, ask >= best bid + 1).

    Both can only move a quote away from fair, never towards it.
    """
    reservation = fair + skew
    wanted_bid, wanted_ask = reservation - half_spread - adverse_bid, reservation + half_spread + adverse_ask
    # Never on the wrong side of fair, however long or short we are: skewing through fair would pay to get flat.
    bid_ticks = floor(wanted_bid if wanted_bid < fair else fair)
    if bid_ticks >= best_ask_ticks:
        bid_ticks = best_ask_ticks - 1
    ask_ticks = ceil(wanted_ask if wanted_ask > fair else fair)
    if ask_ticks <= best_bid_ticks:
        ask_ticks = best_bid_ticks + 1
    return bid_ticks, ask_ticks


def clamp(raw: RawQuote, context: QuoteContext, instrument: Instrument, now_ns: int) -> Quote:
    """A raw quote's prices made whole (see `outward_prices`); pulled sides and those below the minimum size are dropped."""
    mid = 0.5 * (context.bid_ticks + context.ask_ticks)
    fair = mid + raw.microprice_shift + raw.price_shift + raw.order_flow_shift + raw.cross_shift
    bid_ticks, ask_ticks = outward_prices(
        fair, raw.skew_shift, raw.half_spread, raw.adverse_bid, raw.adverse_ask, context.bid_ticks, context.ask_ticks
    )
    bid_lots, ask_lots, withheld = raw.bid_lots, raw.ask_lots, ""
    if raw.pull_bid:
        bid_lots, withheld = 0, "bid: pulled"
    if raw.pull_ask:
        ask_lots, withheld = 0, withheld + " ask: pulled"
    if not tradable(instrument, bid_ticks, bid_lots):
        withheld += " bid: below minimum size" if bid_lots else ""
        bid_lots = 0
    if not tradable(instrument, ask_ticks, ask_lots):
        withheld += " ask: below minimum size" if ask_lots else ""
        ask_lots = 0
    return Quote(instrument.symbol, now_ns, bid_ticks, bid_lots, ask_ticks, ask_lots, fair, mid, raw, withheld)


def tradable(instrument: Instrument, price_ticks: int, lots: int) -> bool:
    """Whether the venue would take an order of this size at this price: lot, price and notional filters."""
    return (
        instrument.min_lots <= lots <= instrument.max_lots
        and instrument.min_price_ticks <= price_ticks <= instrument.max_price_ticks
        and price_ticks * lots * instrument.notional_atoms >= instrument.min_notional_atoms
    )
