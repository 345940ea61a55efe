"""The plainest quoter: a constant half-spread around the mid, leaned by inventory. A baseline, and the slice's first light."""

from __future__ import annotations

from mmd.quoting.quote import QuoteContext, RawQuote, inventory_shift, quote_sizes
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument


def fixed_terms(context: QuoteContext, settings: QuotingSettings, half_spread_fraction: float) -> tuple[float, float]:
    """Half-spread and skew, ticks."""
    half_spread = max(settings.min_half_spread_ticks, 0.5 * (context.bid_ticks + context.ask_ticks) * half_spread_fraction)
    skew = inventory_shift(context.inventory, 0.0, half_spread, half_spread, settings.skew_factor, settings.max_skew_half_spreads)
    return half_spread, skew


class FixedSpreadQuoter:
    """Half-spread = `fixed_half_spread_bps` of the mid, at least `min_half_spread_ticks`; the skew's scale is the half-spread."""

    def __init__(self, settings: QuotingSettings, instrument: Instrument) -> None:
        self._settings = settings
        self._instrument = instrument
        self.half_spread_fraction = settings.fixed_half_spread_bps * 1e-4

    def quote(self, context: QuoteContext) -> RawQuote:
        """Pure: the same context gives the same quote."""
        half_spread, skew = fixed_terms(context, self._settings, self.half_spread_fraction)
        bid_lots, ask_lots = quote_sizes(context, self._instrument, self._settings)
        return RawQuote(
            microprice_shift=0.0,
            price_shift=0.0,
            skew_shift=skew,
            half_spread=half_spread,
            adverse_bid=0.0,
            adverse_ask=0.0,
            bid_lots=bid_lots,
            ask_lots=ask_lots,
            confidence=0.0,
            predicted_direction=0,
            source="fixed",
        )
