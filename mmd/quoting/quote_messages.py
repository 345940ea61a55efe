"""What a quoter decides, and the quote after the clamps with the account of where its prices come from."""

from __future__ import annotations

import msgspec

from mmd.quoting.prediction import ABSENT

BESIDE = ("order_flow", "adverse_selection", "risk", "cross_asset")
"""The networks beside the quote network, in the order of `RawQuote.refusals`."""


class Attribution(msgspec.Struct, frozen=True, gc=False):
    """Where the two prices come from. All in ticks:

    fair = mid + microprice + price_head + order_flow + cross_asset;  reservation = fair + skew;
    bid = reservation - half_spread - adverse_bid + clamp_bid;  ask = reservation + half_spread + adverse_ask + clamp_ask.
    Of the skew, `position_head` came from the position head; of the half-spread, `spread_head` is what the spread head made of
    the one without it.
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
    """Of the half-spread, what the spread head made of the one without it."""
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
