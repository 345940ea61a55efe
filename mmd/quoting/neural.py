"""Quotes from the network: fair = mid + E, half-spread from the spread head, leaned towards the position head's target.

E joins what tells of the next move (microprice and price head) with the weights that the bundle's card states, fitted where the
network was validated. With `pull`, a side that E is about to run over is withheld, not merely moved. Everything is in ticks; the
outputs are in units of the trailing mid volatility over its horizon, so that one network serves any instrument.
"""

from __future__ import annotations

from math import exp, log

import msgspec

from mmd.quoting.quote import QuoteContext, RawQuote, inventory_shift, quote_sizes
from mmd.quoting.rescale import OnlineRescale
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument


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


class Prediction(msgspec.Struct, gc=False):
    """The heads' newest outputs, one object per symbol. `usable` is the gate's word."""

    price_change: float = 0.0
    """Predicted mid change over the horizon, in sigma."""
    optimal_spread: float = 0.5
    """0 to 1, log scale between spread_min and spread_max."""
    position_signal: float = 0.0
    usable: bool = False
    refusal: str = "starting"
    made_ns: int = 0


def expected_move(context: QuoteContext, model: QuoteModel, price_change: float) -> tuple[float, float]:
    """E in ticks before the online rescaling, as (microprice part, price-head part), bounded together by max_shift."""
    sigma = context.sigma_ticks
    bid_ticks, bid_lots, ask_ticks, ask_lots = context.bid_ticks, context.bid_lots, context.ask_ticks, context.ask_lots
    lots = bid_lots + ask_lots
    # The context's own microprice and mid, spelt out: every step and every quote asks for them.
    mid = 0.5 * (bid_ticks + ask_ticks)
    micro = model.microprice_weight * (((bid_ticks * ask_lots + ask_ticks * bid_lots) / lots if lots else mid) - mid)
    head = model.price_head_weight * price_change * sigma
    total, bound = micro + head, model.max_shift * sigma
    size = total if total > 0 else -total
    if size > bound:
        shrink = bound / size
        return micro * shrink, head * shrink
    return micro, head


class NeuralQuoter:
    """One symbol's quoter. When the prediction may not be used, the desk asks another."""

    def __init__(self, settings: QuotingSettings, instrument: Instrument, model: QuoteModel) -> None:
        self._settings = settings
        self._instrument = instrument
        self._model = model
        self._log_range = log(model.spread_max / model.spread_min)
        self.rescale = OnlineRescale(model.horizon_ns, settings.rescale_half_life)

    def expected_move(self, context: QuoteContext, prediction: Prediction) -> tuple[float, float]:
        """E in ticks before the online rescaling, as (microprice part, price-head part), bounded together by max_shift."""
        return expected_move(context, self._model, prediction.price_change)

    def quote(self, context: QuoteContext, prediction: Prediction) -> RawQuote:
        """The same context, prediction and scale give the same quote."""
        settings, model = self._settings, self._model
        sigma = context.sigma_ticks
        micro, head = expected_move(context, model, prediction.price_change)
        scale = self.rescale.scale
        micro *= scale
        head *= scale
        move = micro + head
        half_spread = 0.5 * sigma * (model.spread_min * exp(prediction.optimal_spread * self._log_range))
        if half_spread < settings.min_half_spread_ticks:
            half_spread = settings.min_half_spread_ticks
        threshold = model.pull_threshold * half_spread if settings.pull else 0.0
        bid_lots, ask_lots = quote_sizes(context, self._instrument, settings)
        skew = inventory_shift(
            context.inventory,
            prediction.position_signal * model.max_target,
            context.skew_sigma_ticks,
            half_spread,
            settings.skew_factor,
            settings.max_skew_half_spreads,
        )
        return RawQuote(
            micro,
            head,
            skew,
            half_spread,
            0.0,
            0.0,
            bid_lots,
            ask_lots,
            1.0 - exp(-(move if move > 0 else -move) / sigma) if sigma > 0 else 0.0,
            (move > 0) - (move < 0),
            "neural",
            0 < threshold < -move,
            0 < threshold < move,
        )
