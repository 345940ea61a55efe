"""A quote as a quoter makes it, with the account of how many ticks came from which part, and its clamped, integer form."""

from __future__ import annotations

import math

import msgspec

from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument


class QuoteContext(msgspec.Struct, gc=False):
    """What a quoter may look at, filled anew for every quote (one object per symbol, so that the hot path allocates little).

    Prices in ticks, sizes in lots. `inventory` is position ÷ limit in [-1, 1]; `budget_left` the unused share of the loss budget.
    """

    bid_ticks: int = 0
    bid_lots: int = 0
    ask_ticks: int = 0
    ask_lots: int = 0
    inventory: float = 0.0
    budget_left: float = 1.0
    buy_room_lots: int = 0
    """Lots that could be bought before the position limit."""
    sell_room_lots: int = 0
    sigma_ticks: float = 0.0
    """Trailing mid volatility over the network's horizon, in ticks."""
    skew_sigma_ticks: float = 0.0
    """The same over the skew's horizon."""

    @property
    def microprice_ticks(self) -> float:
        """Touch prices weighted by the opposite side's size (Stoikov's weighted mid), in ticks."""
        total = self.bid_lots + self.ask_lots
        return (self.bid_ticks * self.ask_lots + self.ask_ticks * self.bid_lots) / total if total else self.mid_ticks

    @property
    def mid_ticks(self) -> float:
        """Mid price in ticks (half ticks occur)."""
        return 0.5 * (self.bid_ticks + self.ask_ticks)


class Attribution(msgspec.Struct, frozen=True, gc=False):
    """Where the two prices come from. All in ticks:

    fair = mid + microprice + price_head;  reservation = fair + skew;
    bid = reservation - half_spread - adverse_bid + clamp_bid;  ask = reservation + half_spread + adverse_ask + clamp_ask.
    """

    mid: float
    microprice: float
    price_head: float
    skew: float
    half_spread: float
    adverse_bid: float
    adverse_ask: float
    clamp_bid: float
    clamp_ask: float

    def as_dict(self) -> dict[str, float]:
        """For reports and logs."""
        return msgspec.structs.asdict(self)


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A two-sided quote after the clamps. A side with 0 lots is withheld; `withheld` says why, by side."""

    symbol: str
    decided_ns: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    fair_ticks: float
    confidence: float
    """0 to 1: how sure the predictor is of the direction; 0 without one."""
    predicted_direction: int
    """Sign of the predicted move, 0 without a prediction."""
    source: str
    """Which quoter made it, and why if it is a fallback."""
    attribution: Attribution
    withheld: str = ""

    @property
    def spread_ticks(self) -> int:
        """Ask minus bid."""
        return self.ask_ticks - self.bid_ticks


class RawQuote(msgspec.Struct, frozen=True, gc=False):
    """What a quoter decides, before clamps. Half-spreads and shifts in ticks, sizes in lots."""

    microprice_shift: float
    price_shift: float
    skew_shift: float
    half_spread: float
    adverse_bid: float
    adverse_ask: float
    bid_lots: int
    ask_lots: int
    confidence: float
    predicted_direction: int
    source: str
    pull_bid: bool = False
    pull_ask: bool = False


def inventory_shift(
    inventory: float, target: float, scale_ticks: float, half_spread_ticks: float, factor: float, max_half_spreads: float
) -> float:
    """Shift of the reservation price in ticks: -φ·scale·(q - q*), bounded by `max_half_spreads` half-spreads.

    When we are long (q > q*) the shift is negative: both quotes move down, so that we rather sell than buy.
    Form of the reservation price: Avellaneda and Stoikov, High-frequency trading in a limit order book (2008).
    """
    shift = -factor * scale_ticks * (inventory - target)
    bound = max_half_spreads * half_spread_ticks
    return max(-bound, min(bound, shift))


def quote_lots(
    instrument: Instrument, mid_ticks: float, order_notional: float, budget_left: float, min_fraction: float, room_lots: int
) -> int:
    """Lots of one side: the notional at the mid, scaled by what is left of the loss budget, clipped by the room to the limit."""
    full = order_notional * ATOMS_PER_UNIT / (mid_ticks * instrument.notional_atoms)
    lots = int(full * max(min_fraction, min(1.0, budget_left)))
    return max(0, min(lots, room_lots, instrument.max_lots))


def quote_sizes(context: QuoteContext, instrument: Instrument, settings: QuotingSettings) -> tuple[int, int]:
    """Lots of bid and ask: one size for both, each clipped by its own room."""
    mid, left, floor = context.mid_ticks, context.budget_left, settings.min_size_fraction
    return (
        quote_lots(instrument, mid, settings.order_notional, left, floor, context.buy_room_lots),
        quote_lots(instrument, mid, settings.order_notional, left, floor, context.sell_room_lots),
    )


def clamp(raw: RawQuote, context: QuoteContext, instrument: Instrument, now_ns: int) -> Quote:
    """Round outward to ticks, hold post-only distance (bid <= best ask - 1, ask >= best bid + 1), drop sides below the minimum.

    Rounding outward and post-only can only move a quote away from fair, never towards it.
    """
    mid = context.mid_ticks
    fair = mid + raw.microprice_shift + raw.price_shift
    reservation = fair + raw.skew_shift
    wanted_bid = reservation - raw.half_spread - raw.adverse_bid
    wanted_ask = reservation + raw.half_spread + raw.adverse_ask
    # Never on the wrong side of fair, however long or short we are: skewing through fair would pay to get flat.
    bid_ticks = min(math.floor(min(wanted_bid, fair)), context.ask_ticks - 1)
    ask_ticks = max(math.ceil(max(wanted_ask, fair)), context.bid_ticks + 1)
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
    return Quote(
        symbol=instrument.symbol,
        decided_ns=now_ns,
        bid_ticks=bid_ticks,
        bid_lots=bid_lots,
        ask_ticks=ask_ticks,
        ask_lots=ask_lots,
        fair_ticks=fair,
        confidence=raw.confidence,
        predicted_direction=raw.predicted_direction,
        source=raw.source,
        attribution=Attribution(
            mid=mid,
            microprice=raw.microprice_shift,
            price_head=raw.price_shift,
            skew=raw.skew_shift,
            half_spread=raw.half_spread,
            adverse_bid=raw.adverse_bid,
            adverse_ask=raw.adverse_ask,
            clamp_bid=bid_ticks - wanted_bid,
            clamp_ask=ask_ticks - wanted_ask,
        ),
        withheld=withheld,
    )


def tradable(instrument: Instrument, price_ticks: int, lots: int) -> bool:
    """Whether the venue would take an order of this size at this price: lot, price and notional filters."""
    return (
        instrument.min_lots <= lots <= instrument.max_lots
        and instrument.min_price_ticks <= price_ticks <= instrument.max_price_ticks
        and price_ticks * lots * instrument.notional_atoms >= instrument.min_notional_atoms
    )
