"""Quotes from the network: fair = mid + E, half-spread from the spread head, leaned towards the position head's target.

E joins what tells of the next move (microprice, price head, order flow, cross-asset head) with the weights that the bundle's card
states, fitted where the networks were validated. P(adverse) of each side makes that side wider. With `pull`, a side that E is about
to run over is withheld, not merely moved. Everything is in ticks; the outputs are in units of the trailing mid volatility over its
horizon, so that one network serves any instrument. A network that the gate refuses adds nothing; the others go on.
"""

from __future__ import annotations

from math import exp, log

import msgspec

from mmd.quoting.avellaneda_stoikov import AvellanedaStoikovQuoter
from mmd.quoting.prediction import Prediction, QuoteModel, size_share, widening
from mmd.quoting.quote import QuoteContext, RawQuote, inventory_shift, quote_sizes
from mmd.quoting.rescale import OnlineRescale
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument


def expected_move(
    context: QuoteContext, model: QuoteModel, price_change: float, order_flow: float, cross_move: float | None
) -> tuple[float, float, float, float]:
    """E in ticks before the online rescaling, as its parts of microprice, price head, order flow and cross-asset head.

    `order_flow` is 2 P(up) - 1, the others are in sigma; one that may not be used is 0, the cross-asset network's None. Together
    they are bounded by max_shift.
    """
    sigma = context.sigma_ticks
    bid_ticks, bid_lots, ask_ticks, ask_lots = context.bid_ticks, context.bid_lots, context.ask_ticks, context.ask_lots
    lots = bid_lots + ask_lots
    # The context's own microprice and mid, spelt out: every step and every quote asks for them.
    mid = 0.5 * (bid_ticks + ask_ticks)
    micro = model.microprice_weight * (((bid_ticks * ask_lots + ask_ticks * bid_lots) / lots if lots else mid) - mid)
    head = model.price_head_weight * price_change * sigma
    flow = model.order_flow_weight * order_flow * sigma
    cross, bound = 0.0, model.max_shift * sigma
    if cross_move is not None and model.cross_asset_weight:
        cross, bound = model.cross_asset_weight * cross_move * sigma, (model.cross_max_shift or model.max_shift) * sigma
        base = model.cross_base_scale
        micro, head, flow = micro * base, head * base, flow * base
    total = micro + head + flow + cross
    size = total if total > 0 else -total
    if size > bound:
        shrink = bound / size
        return micro * shrink, head * shrink, flow * shrink, cross * shrink
    return micro, head, flow, cross


def network_spread(sigma_ticks: float, spread_min: float, log_range: float, optimal_spread: float) -> float:
    """Full spread in ticks that the spread head gives, before any bound."""
    return sigma_ticks * (spread_min * exp(optimal_spread * log_range))


def half_spread_terms(
    context: QuoteContext, settings: QuotingSettings, model: QuoteModel, log_range: float, optimal_spread: float
) -> tuple[float, float]:
    """Half-spread in ticks, and what of it the spread head made.

    Without the head it is as far as trades get now and then, or a multiple of volatility where that is not known.
    """
    reach, least = context.reach_ticks, settings.min_half_spread_ticks
    base = reach * settings.half_spread_reach if reach > 0.0 else context.sigma_ticks * settings.half_spread_sigmas
    base *= settings.network_half_spread_factor
    if base < least:
        base = least
    weight = model.spread_weight
    if weight == 0.0:
        return base, 0.0
    half_spread = 0.5 * network_spread(context.sigma_ticks, model.spread_min, log_range, optimal_spread)
    if weight < 1.0:
        half_spread = base ** (1.0 - weight) * half_spread**weight
    if half_spread < least:
        half_spread = least
    return half_spread, half_spread - base


def side_terms(
    settings: QuotingSettings, model: QuoteModel, move: float, half_spread: float, heard: bool, p_bid: float, p_ask: float
) -> tuple[float, float, bool, bool]:
    """Ticks by which bid and ask are wider for their P(adverse), which counts where it is `heard`, and whether each is pulled."""
    threshold = model.pull_threshold * half_spread if settings.pull else 0.0
    pull_bid, pull_ask = 0 < threshold < -move, 0 < threshold < move
    adverse_bid = adverse_ask = 0.0
    if heard:
        if model.adverse_slope:
            adverse_bid = widening(model, p_bid, half_spread, settings.min_half_spread_ticks)
            adverse_ask = widening(model, p_ask, half_spread, settings.min_half_spread_ticks)
        if settings.pull and model.adverse_pull < 1.0:
            pull_bid = pull_bid or p_bid > model.adverse_pull
            pull_ask = pull_ask or p_ask > model.adverse_pull
    return adverse_bid, adverse_ask, pull_bid, pull_ask


def skew_terms(
    context: QuoteContext, settings: QuotingSettings, model: QuoteModel, half_spread: float, position_signal: float
) -> tuple[float, float]:
    """The skew in ticks, and what of it the position head made."""
    inventory, sigma = context.inventory, context.skew_sigma_ticks
    target = position_signal * model.max_target
    factor, most = settings.skew_factor, settings.max_skew_half_spreads
    skew = inventory_shift(inventory, target, sigma, half_spread, factor, most)
    plain = inventory_shift(inventory, 0.0, sigma, half_spread, factor, most) if target else skew
    return skew, skew - plain


class NeuralQuoter:
    """One symbol's quoter."""

    def __init__(self, settings: QuotingSettings, instrument: Instrument, model: QuoteModel) -> None:
        self._settings = settings
        self._instrument = instrument
        self._model = model
        self._log_range = log(model.spread_max / model.spread_min)
        self._baseline = AvellanedaStoikovQuoter(settings, instrument)
        self.rescale = OnlineRescale(model.horizon_ns, settings.rescale_half_life)

    def expected_move(self, context: QuoteContext, prediction: Prediction) -> tuple[float, float, float, float]:
        """E in ticks before the online rescaling, in its parts; see the function."""
        return expected_move(
            context,
            self._model,
            prediction.price_change,
            0.0 if prediction.order_flow_refusal else 2.0 * prediction.p_up - 1.0,
            None if prediction.cross_refusal else prediction.cross_move,
        )

    @property
    def weightless(self) -> tuple[str, ...]:
        """The networks whose word moves no quote, by the card."""
        model = self._model
        weights = {
            "price_head": model.price_head_weight,
            "spread_head": model.spread_weight,
            "position_head": model.max_target,
            "order_flow": model.order_flow_weight,
            "cross_asset": model.cross_asset_weight,
            "adverse_selection": model.adverse_slope or float(self._settings.pull and model.adverse_pull < 1.0),
            "risk": float(model.risk_sizes),
        }
        return tuple(name for name, weight in weights.items() if not weight)

    def spread_ticks(self, sigma_ticks: float, optimal_spread: float) -> float:
        """Full spread that the spread head gives, before any bound."""
        return network_spread(sigma_ticks, self._model.spread_min, self._log_range, optimal_spread)

    def quote(self, context: QuoteContext, prediction: Prediction) -> RawQuote:
        """The same context, prediction and scale give the same quote."""
        settings, model = self._settings, self._model
        sigma = context.sigma_ticks
        micro, head, flow, cross = self.expected_move(context, prediction)
        scale = self.rescale.scale
        micro *= scale
        head *= scale
        flow *= scale
        cross *= scale
        move = micro + head + flow + cross
        half_spread, of_spread_head = half_spread_terms(context, settings, model, self._log_range, prediction.optimal_spread)
        adverse_bid, adverse_ask, pull_bid, pull_ask = side_terms(
            settings,
            model,
            move,
            half_spread,
            not prediction.adverse_refusal,
            prediction.p_adverse_bid,
            prediction.p_adverse_ask,
        )
        share = context.size_share = size_share(model, prediction)
        bid_lots, ask_lots = quote_sizes(context, self._instrument, settings)
        skew, of_head = skew_terms(context, settings, model, half_spread, prediction.position_signal)
        return RawQuote(
            micro,
            head,
            skew,
            half_spread,
            adverse_bid,
            adverse_ask,
            bid_lots,
            ask_lots,
            1.0 - exp(-(move if move > 0 else -move) / sigma) if sigma > 0 else 0.0,
            (move > 0) - (move < 0),
            "neural",
            pull_bid,
            pull_ask,
            flow,
            cross,
            of_head,
            of_spread_head,
            share,
            prediction.refusals(),
        )

    def fallback(self, context: QuoteContext, prediction: Prediction) -> RawQuote:
        """Avellaneda and Stoikov's quote, wider, where the quote network is refused; what the other networks say still counts.

        P(adverse) only widens here.
        """
        settings, model = self._settings, self._model
        share = context.size_share = size_share(model, prediction)
        raw = self._baseline.quote(
            context,
            widening=settings.fallback_widening,
            source=f"avellaneda-stoikov, for the prediction is refused: {prediction.refusal or 'stale'}",
        )
        adverse_bid = adverse_ask = 0.0
        if model.adverse_slope and not prediction.adverse_refusal:
            half_spread = raw.half_spread
            adverse_bid = max(0.0, widening(model, prediction.p_adverse_bid, half_spread, half_spread))
            adverse_ask = max(0.0, widening(model, prediction.p_adverse_ask, half_spread, half_spread))
        return msgspec.structs.replace(
            raw, adverse_bid=adverse_bid, adverse_ask=adverse_ask, size_share=share, refusals=prediction.refusals()
        )
