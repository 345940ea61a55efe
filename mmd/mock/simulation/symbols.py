"""Parameters for a symbol that nobody has calibrated, from its tick and its price: a quieter, smaller Bitcoin."""

from __future__ import annotations

from mmd.mock.instruments import dollars
from mmd.mock.simulation.parameters import SymbolParameters
from mmd.types.instrument import Instrument

_STEP_BPS = 0.06
_ORDER_DOLLARS = 250.0
_LARGEST_ORDER_DOLLARS = 150_000.0
_LIMIT_DOLLARS = 1_000.0
_MAKER_DOLLARS = 8_000.0


def symbol_parameters(instrument: Instrument, opening_price: float) -> SymbolParameters:
    """The market of `instrument`, opening at `opening_price` (quote units).

    Where the tick is fine, people price on a grid of 0.06 bps, as on the calibrated symbols; where it is coarse, on every tick, and
    the price moves more, so that it still crosses ticks, up to about 3 % a day.
    """
    tick_bps = float(instrument.tick_size) / opening_price * 1e4
    step_ticks = max(1, round(_STEP_BPS / tick_bps))
    step_bps = step_ticks * tick_bps
    base_dollars = opening_price * dollars(instrument.quote_asset)
    return SymbolParameters(
        symbol=instrument.symbol,
        opening_price=opening_price,
        step_ticks=step_ticks,
        order_size=_ORDER_DOLLARS / base_dollars,
        order_size_max=_LARGEST_ORDER_DOLLARS / base_dollars,
        limit_size=_LIMIT_DOLLARS / base_dollars,
        maker_size=_MAKER_DOLLARS / base_dollars,
        volatility_bps=min(max(0.13, 2.3 * step_bps), 0.5),
        move_bps=min(max(0.33, 6 * step_bps), 1.0),
        common_lag_ms=100,
    )
