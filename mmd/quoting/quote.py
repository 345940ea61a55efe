"""A quote as a quoter makes it, with the account of how many ticks came from which part, and its clamped, integer form.

The functions that take and give plain numbers are what a compiled backtest compiles: they read numbers off what they are given,
call nothing but each other and the mathematical functions, and mean the same on 64-bit integers and floats.
"""

from __future__ import annotations

from math import ceil, floor

import msgspec

from mmd.quoting.prediction import ABSENT
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument

BESIDE = ("order_flow", "adverse_selection", "risk", "cross_asset")
"""The networks beside the quote network, in the order of `RawQuote.refusals`."""


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
    size_share: float = 1.0
    """What the risk network leaves of the size."""

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

    fair = mid + microprice + price_head + order_flow + cross_asset;  reservation = fair + skew;
    bid = reservation - half_spread - adverse_bid + clamp_bid;  ask = reservation + half_spread + adverse_ask + clamp_ask.
    Of the skew, `position_head` came from the position head; of the half-spread, `spread_head` is what the spread head made of
    Avellaneda and Stoikov's.
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
    order_flow: float = 0.0
    cross_asset: float = 0.0
    position_head: float = 0.0
    spread_head: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """For reports and logs."""
        return msgspec.structs.asdict(self)


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
    order_flow_shift: float = 0.0
    cross_shift: float = 0.0
    position_shift: float = 0.0
    """Of the skew, what the position head made."""
    spread_shift: float = 0.0
    """Of the half-spread, what the spread head made of Avellaneda and Stoikov's."""
    size_share: float = 1.0
    """What the risk network left of the size."""
    refusals: tuple[str, str, str, str] | None = None
    """Why order flow, adverse selection, risk and cross-asset networks were not used, empty for one that was."""

    def wanted(self, fair_ticks: float) -> tuple[float, float]:
        """Bid and ask before rounding and clamps, ticks."""
        reservation = fair_ticks + self.skew_shift
        return reservation - self.half_spread - self.adverse_bid, reservation + self.half_spread + self.adverse_ask


class Quote(msgspec.Struct, frozen=True, gc=False):
    """A two-sided quote after the clamps. A side with 0 lots is withheld; `withheld` says why, by side.

    It keeps what it was made of; who wants to know more (`attribution` and what stands below it) has it worked out then.
    """

    symbol: str
    decided_ns: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    fair_ticks: float
    mid_ticks: float
    raw: RawQuote
    withheld: str = ""

    @property
    def attribution(self) -> Attribution:
        """The account of both prices, to the last bit of what the clamps worked with."""
        raw = self.raw
        wanted_bid, wanted_ask = raw.wanted(self.fair_ticks)
        return Attribution(
            mid=self.mid_ticks,
            microprice=raw.microprice_shift,
            price_head=raw.price_shift,
            skew=raw.skew_shift,
            half_spread=raw.half_spread,
            adverse_bid=raw.adverse_bid,
            adverse_ask=raw.adverse_ask,
            clamp_bid=self.bid_ticks - wanted_bid,
            clamp_ask=self.ask_ticks - wanted_ask,
            order_flow=raw.order_flow_shift,
            cross_asset=raw.cross_shift,
            position_head=raw.position_shift,
            spread_head=raw.spread_shift,
        )

    @property
    def confidence(self) -> float:
        """0 to 1: how sure the predictor is of the direction; 0 without one."""
        return self.raw.confidence

    @property
    def predicted_direction(self) -> int:
        """Sign of the predicted move, 0 without a prediction."""
        return self.raw.predicted_direction

    @property
    def source(self) -> str:
        """Which quoter made it, and why if it is a fallback."""
        return self.raw.source

    @property
    def refused(self) -> dict[str, str]:
        """Of the networks beside the quote network that the bundle has, those not used, and why."""
        found = zip(BESIDE, self.raw.refusals or (), strict=False)
        return {name: reason for name, reason in found if reason and reason != ABSENT}

    @property
    def spread_ticks(self) -> int:
        """Ask minus bid."""
        return self.ask_ticks - self.bid_ticks


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
