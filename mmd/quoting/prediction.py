"""What a symbol's networks said last, head by head, each with the gate's word; and what the bundle's card makes of it."""

from __future__ import annotations

import msgspec

ABSENT = "absent"
"""The refusal of a network that the bundle does not have."""
LEAST_SIZE = 0.1
"""However high the risk score, this share of the size stays."""
LEAST_MULTIPLIER, MOST_MULTIPLIER = 0.5, 3.0


class QuoteModel(msgspec.Struct, frozen=True):
    """What the card says about turning the heads into quotes. Weights are multipliers, spreads multiples of sigma."""

    microprice_weight: float
    price_head_weight: float
    spread_min: float
    spread_max: float
    pull_threshold: float
    """In half-spreads: beyond it a side is withheld. 0 never pulls."""
    max_shift: float
    """Bound of |E| in sigma."""
    max_target: float
    """Largest target inventory as a fraction of the limit; 0 where the position head shows no gain."""
    horizon_ns: int
    order_flow_weight: float = 0.0
    """Of 2 P(up) - 1, in sigma; 0 where the order flow does not beat its baseline."""
    cross_asset_weight: float = 0.0
    cross_base_scale: float = 1.0
    """Where the cross-asset network may be used, the other parts of E are multiplied by it: they tell overlapping stories."""
    cross_max_shift: float = 0.0
    """Bound of |E| in sigma there; 0: the same as elsewhere."""
    adverse_median: float = 0.5
    adverse_slope: float = 0.0
    """The multiplier of a side's half-spread is 1 + slope x (P(adverse) - median), bounded."""
    adverse_pull: float = 1.0
    """P(adverse) beyond which pulling withholds a side; 1 never."""
    risk_sizes: bool = False
    risk_median: float = 0.5
    spread_weight: float = 1.0
    """Of the spread head on a log scale: 1 the half-spread is the head's, 0 it is what the market reaches."""


class Prediction(msgspec.Struct, gc=False):
    """The heads' newest outputs, one object per symbol. `usable` is the gate's word about the quote network; of the others a
    refusal that is not empty says why they may not be used."""

    price_change: float = 0.0
    """Predicted mid change over the horizon, in sigma."""
    optimal_spread: float = 0.5
    """0 to 1, log scale between spread_min and spread_max."""
    position_signal: float = 0.0
    usable: bool = False
    refusal: str = "starting"
    made_ns: int = 0
    stale: bool = False
    """Whether its age was found too high since it was made."""
    p_up: float = 0.5
    order_flow_refusal: str = ABSENT
    p_adverse_bid: float = 0.5
    p_adverse_ask: float = 0.5
    adverse_refusal: str = ABSENT
    risk: float = 0.5
    """0 to 1, the place of the next moves among those of the training."""
    risk_refusal: str = ABSENT
    cross_move: float = 0.0
    """The cross-asset network's mid change over the horizon, in sigma."""
    cross_refusal: str = ABSENT

    def refusals(self) -> tuple[str, str, str, str] | None:
        """Of order flow, adverse selection, risk and cross-asset; None where all are used."""
        if self.order_flow_refusal or self.adverse_refusal or self.risk_refusal or self.cross_refusal:
            return self.order_flow_refusal, self.adverse_refusal, self.risk_refusal, self.cross_refusal
        return None


def size_share(model: QuoteModel, prediction: Prediction) -> float:
    """max(0.1, 1 - risk score), by which sizes are multiplied; the median score where the network is refused."""
    if not model.risk_sizes or prediction.risk_refusal is ABSENT:
        return 1.0
    return size_left(model.risk_median if prediction.risk_refusal else prediction.risk)


def size_left(risk: float) -> float:
    """max(0.1, 1 - risk score)."""
    share = 1.0 - risk
    return share if share > LEAST_SIZE else LEAST_SIZE


def multiplier(slope: float, median: float, p_adverse: float) -> float:
    """Of a side's half-spread: 1 at the median of P(adverse), bounded."""
    factor = 1.0 + slope * (p_adverse - median)
    if factor < LEAST_MULTIPLIER:
        return LEAST_MULTIPLIER
    return factor if factor < MOST_MULTIPLIER else MOST_MULTIPLIER


def widening(model: QuoteModel, p_adverse: float, half_spread: float, least: float) -> float:
    """Ticks by which a side's half-spread is wider for its P(adverse) (below zero: narrower, never below `least` in all)."""
    ticks = half_spread * (multiplier(model.adverse_slope, model.adverse_median, p_adverse) - 1.0)
    return ticks if half_spread + ticks >= least else least - half_spread
