"""Avellaneda and Stoikov's quotes: a baseline, and what the desk falls back to, wider, when a prediction may not be used.

Source: M. Avellaneda, S. Stoikov, High-frequency trading in a limit order book, Quantitative Finance 8 (2008),
with a constant remaining time τ, as a market without a close has it. In units of sigma, the mid volatility over τ, with inventory
as a fraction of its limit:

    reservation = mid - γ·q·sigma
    half-spread = sigma · (γ/2 + ln(1 + γ/κ)/γ)

where γ is risk aversion and κ the decay of the arrival rate of orders with the distance, both per sigma.
"""

from __future__ import annotations

import math

from mmd.quoting.quote import QuoteContext, RawQuote, inventory_shift, quote_sizes
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument


def avellaneda_stoikov_terms(
    context: QuoteContext, settings: QuotingSettings, half_spread_sigmas: float, widening: float
) -> tuple[float, float]:
    """Half-spread and skew, ticks."""
    sigma = context.skew_sigma_ticks
    half_spread = max(settings.min_half_spread_ticks, sigma * half_spread_sigmas) * widening
    skew = inventory_shift(context.inventory, 0.0, sigma, half_spread, settings.risk_aversion, settings.max_skew_half_spreads)
    return half_spread, skew


class AvellanedaStoikovQuoter:
    """`widening` multiplies the half-spread: above 1 when this stands in for a network that cannot be trusted."""

    def __init__(self, settings: QuotingSettings, instrument: Instrument) -> None:
        self._settings = settings
        self._instrument = instrument
        gamma, kappa = settings.risk_aversion, settings.arrival_decay
        self.half_spread_sigmas = 0.5 * gamma + math.log1p(gamma / kappa) / gamma

    def quote(self, context: QuoteContext, *, widening: float = 1.0, source: str = "avellaneda-stoikov") -> RawQuote:
        """Pure: the same context gives the same quote."""
        half_spread, skew = avellaneda_stoikov_terms(context, self._settings, self.half_spread_sigmas, widening)
        bid_lots, ask_lots = quote_sizes(context, self._instrument, self._settings)
        return RawQuote(0.0, 0.0, skew, half_spread, 0.0, 0.0, bid_lots, ask_lots, 0.0, 0, source)
