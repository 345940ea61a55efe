"""The seam between the server and whatever moves its market: a simulation, a recording, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.instruments import opening_price
from mmd.mock.replay import Recording, ReplayMarket
from mmd.mock.server.config import MockConfig
from mmd.mock.server.market_streams import MarketStreams
from mmd.mock.simulation import STRONGLY_INFORMED, SimulatedMarket, SimulationParameters, SymbolParameters, symbol_parameters
from mmd.types.market import Level

MarketSink = Callable[[int, str, Sequence[EngineEvent]], None]
"""Called with (time in UTC ns, symbol, events) after every operation of a market participant."""


class Market(Protocol):
    """Plays the participants who are not accounts."""

    def advance(self, until_ns: int, sink: MarketSink) -> None:
        """Play everything up to `until_ns` (market time), telling `sink` after each operation."""


class MarketContext:
    """What a market is given: the engine to trade on and a way to show recorded frames as they are."""

    def __init__(
        self,
        engine: MatchingEngine,
        config: MockConfig,
        start_ns: int,
        broadcast: Callable[[str, bytes], None],
    ) -> None:
        self.engine = engine
        self.config = config
        self.start_ns = start_ns
        self.depth: Callable[[str, int], tuple[int, list[Level], list[Level]]] = engine.depth
        """What `depth` answers: (symbol, limit) to update id, bids, asks. A recording answers with its own book."""
        self.streams: Callable[[], MarketStreams] = self._no_streams
        """The market streams, once the venue has been put together."""
        self.broadcast = broadcast
        """`broadcast(stream, frame)` sends a raw frame to the subscribers of `stream`, e.g. "btcusdt@depth@100ms"."""
        self.streams_from_engine = True
        """A market that broadcasts its own frames clears this: then none are made from the engine's events."""

        self.on_recorded_trade: Callable[[TradePrint], None] = lambda trade: None
        """Hears of trades that are no operation of the engine, once the venue has been put together."""

    def _no_streams(self) -> MarketStreams:
        raise RuntimeError("the market streams are there only after the market has been made")


MarketFactory = Callable[[MarketContext], Market]


class NoMarket:
    """Only the accounts trade."""

    def advance(self, until_ns: int, sink: MarketSink) -> None:
        """Nothing happens."""


def market_from_config(context: MarketContext) -> Market:
    """The market that the settings name."""
    if context.config.replay:
        recording = Recording(context.config.replay)
        speed = context.config.speed
        market = ReplayMarket(
            context.engine, recording, speed, lambda: context.streams(), lambda trade: context.on_recorded_trade(trade)
        )
        context.streams_from_engine = False
        context.depth = market.depth
        return market
    if context.config.market == "none":
        return NoMarket()
    parameters = SimulationParameters.model_validate({})
    calibrated = {each.symbol: each for each in parameters.symbols}
    symbols = [_symbol_parameters(context.engine, symbol, calibrated) for symbol in context.engine.instruments]
    changes: dict[str, Any] = {"symbols": tuple(symbols), "min_spread_ticks": context.config.min_spread_ticks}
    if context.config.informed != "usual":
        changes["informed"] = STRONGLY_INFORMED if context.config.informed == "strong" else ()
    parameters = parameters.model_copy(update=changes)
    return SimulatedMarket(context.engine, parameters, seed=context.config.seed, start_ns=context.start_ns)


def _symbol_parameters(engine: MatchingEngine, symbol: str, calibrated: Mapping[str, SymbolParameters]) -> SymbolParameters:
    instrument = engine.instruments[symbol]
    chosen = calibrated.get(symbol) or symbol_parameters(instrument, opening_price(instrument))
    last_ticks = engine.last_price_ticks(symbol)
    if not last_ticks:
        return chosen
    # After a restart the market goes on where it was, not at its first opening price.
    return chosen.model_copy(update={"opening_price": float(instrument.price(last_ticks))})
