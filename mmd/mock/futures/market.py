"""The simulated market of the perpetuals: the calibrated one on the perpetuals' coarser ticks."""

from __future__ import annotations

from mmd.mock.instruments import INSTRUMENTS, opening_price
from mmd.mock.server.market import Market, MarketContext, NoMarket
from mmd.mock.simulation import SimulatedMarket, SimulationParameters, SymbolParameters, symbol_parameters
from mmd.types.instrument import Instrument


def perpetual_market(context: MarketContext) -> Market:
    """The market that the settings name, on the perpetuals."""
    if context.config.market == "none":
        return NoMarket()
    parameters = SimulationParameters.model_validate({})
    calibrated = {each.symbol: each for each in parameters.symbols}
    symbols = [_parameters(instrument, calibrated.get(instrument.symbol)) for instrument in context.engine.instruments.values()]
    changes = {"symbols": tuple(symbols), "min_spread_ticks": context.config.min_spread_ticks}
    return SimulatedMarket(
        context.engine, parameters.model_copy(update=changes), seed=context.config.seed, start_ns=context.start_ns
    )


def _parameters(instrument: Instrument, calibrated: SymbolParameters | None) -> SymbolParameters:
    if calibrated is None:
        return symbol_parameters(instrument, opening_price(instrument))
    ratio = float(instrument.tick_size / INSTRUMENTS[instrument.symbol].tick_size)
    return calibrated.model_copy(update={"step_ticks": max(1, round(calibrated.step_ticks / ratio))})
