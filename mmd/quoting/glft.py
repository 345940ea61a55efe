"""Guéant, Lehalle and Fernandez-Tapia's quotes in their closed form, a baseline whose skew knows how often the market trades.

Source: O. Guéant, C.-A. Lehalle, J. Fernandez-Tapia, Dealing with the inventory risk, Mathematics and Financial Economics 7 (2013),
the asymptotic approximation. With lengths in sigma (the mid volatility over the skew's horizon τ), time in τ, and inventory q in
orders:

    c1 = ln(1 + γ/κ)/γ                 c2 = sqrt(γ/(2·A·κ) · (1 + γ/κ)^(1 + κ/γ))
    half-spread = sigma · (c1 + c2/2)   reservation = mid - sigma · c2 · q

where orders arrive at the rate A·exp(-κ·distance). As live, the skew is bounded by a multiple of the half-spread.
"""

from __future__ import annotations

import math

from mmd.quoting.quote import QuoteContext, RawQuote, inventory_shift, quote_lots, quote_sizes
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument


def glft_terms(
    context: QuoteContext, instrument: Instrument, settings: QuotingSettings, half_spread_sigmas: float, skew_sigmas: float
) -> tuple[float, float]:
    """Half-spread and skew, ticks."""
    sigma = context.skew_sigma_ticks
    half_spread = max(settings.min_half_spread_ticks, sigma * half_spread_sigmas)
    limit_lots = (context.buy_room_lots + context.sell_room_lots) / 2
    mid = 0.5 * (context.bid_ticks + context.ask_ticks)
    order_lots = quote_lots(instrument, mid, settings.order_notional, context.budget_left, settings.min_size_fraction, 1 << 62)
    orders = context.inventory * limit_lots / order_lots if order_lots else 0.0
    return half_spread, inventory_shift(orders, 0.0, sigma, half_spread, skew_sigmas, settings.max_skew_half_spreads)


class GlftQuoter:
    """Pure: the same context gives the same quote."""

    def __init__(self, settings: QuotingSettings, instrument: Instrument) -> None:
        self._settings = settings
        self._instrument = instrument
        gamma, kappa, rate = settings.risk_aversion, settings.arrival_decay, settings.arrival_rate
        c1 = math.log1p(gamma / kappa) / gamma
        self.skew_sigmas = math.sqrt(gamma / (2.0 * rate * kappa) * (1.0 + gamma / kappa) ** (1.0 + kappa / gamma))
        self.half_spread_sigmas = c1 + 0.5 * self.skew_sigmas

    def quote(self, context: QuoteContext) -> RawQuote:
        """Half-spread and skew in ticks; sizes as every quoter has them."""
        settings, instrument = self._settings, self._instrument
        half_spread, skew = glft_terms(context, instrument, settings, self.half_spread_sigmas, self.skew_sigmas)
        bid_lots, ask_lots = quote_sizes(context, instrument, settings)
        return RawQuote(0.0, 0.0, skew, half_spread, 0.0, 0.0, bid_lots, ask_lots, 0.0, 0, "glft")
