"""Runs the simulated market on the real engine and measures it as the recordings of real venues are measured."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.simulation.stylised_facts import Aggressors, StylisedFacts, Touches, measure

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
Floats = npt.NDArray[np.float64]


@dataclass
class SymbolRecording:
    """Every change of the touch and every aggressive order of one symbol."""

    touches: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    aggressors: list[tuple[int, int, int]] = field(default_factory=list)

    def sampled(self, step_ns: int, begin_ns: int, end_ns: int) -> dict[str, Floats]:
        """Mid (ticks), spread (ticks) and L1 imbalance on a grid of times."""
        rows = np.array(self.touches, dtype=np.int64)
        grid = np.arange(begin_ns, end_ns, step_ns)
        at = rows[np.searchsorted(rows[:, 0], grid, "right") - 1]
        bid, bid_lots, ask, ask_lots = (at[:, column].astype(np.float64) for column in range(1, 5))
        return {"mid": (bid + ask) / 2, "spread": ask - bid, "imbalance": (bid_lots - ask_lots) / (bid_lots + ask_lots)}


class Recorder:
    """A sink that records, checks that no book is crossed or empty, and hashes all it sees."""

    def __init__(self, engine: MatchingEngine, symbols: Sequence[str]) -> None:
        self.engine = engine
        self.recordings = {symbol: SymbolRecording() for symbol in symbols}
        self.operations = 0
        self._hash = hashlib.sha256()
        for symbol in symbols:
            self.recordings[symbol].touches.append((START_NS, *engine.touch(symbol)[1:]))

    def __call__(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        self.operations += 1
        recording = self.recordings[symbol]
        _, bid, bid_lots, ask, ask_lots = self.engine.touch(symbol)
        assert 0 < bid < ask, f"{symbol}: bid {bid}, ask {ask}"
        if recording.touches[-1][1:] != (bid, bid_lots, ask, ask_lots):
            recording.touches.append((time_ns, bid, bid_lots, ask, ask_lots))
        prints = [event for event in events if isinstance(event, TradePrint)]
        if prints:
            sign = -1 if prints[0].buyer_is_maker else 1
            recording.aggressors.append((time_ns, sign, sum(each.lots for each in prints)))
        self._hash.update(repr((time_ns, symbol, bid, bid_lots, ask, ask_lots, [e.trade_id for e in prints])).encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def simulated(
    seed: int, seconds: float, parameters: SimulationParameters | None = None, *, chunk_seconds: float | None = None
) -> tuple[Recorder, SimulatedMarket]:
    """The market of this seed after so many seconds, and what was recorded of it."""
    parameters = parameters or SimulationParameters()
    symbols = [each.symbol for each in parameters.symbols]
    engine = MatchingEngine(listed(symbols))
    market = SimulatedMarket(engine, parameters, seed=seed, start_ns=START_NS)
    recorder = Recorder(engine, symbols)
    end_ns = START_NS + int(seconds * SECOND_NS)
    while market.now_ns < end_ns:
        market.advance(min(end_ns, market.now_ns + int((chunk_seconds or seconds) * SECOND_NS)), recorder)
    return recorder, market


def imbalance_correlation(recording: SymbolRecording, end_ns: int) -> float:
    """Correlation of L1 imbalance with the next second's mid move, on a grid of 100 ms."""
    sample = recording.sampled(SECOND_NS // 10, START_NS + 5 * SECOND_NS, end_ns)
    return float(np.corrcoef(sample["imbalance"][:-10], sample["mid"][10:] - sample["mid"][:-10])[0, 1])


def returns_bps(recording: SymbolRecording, end_ns: int, step_ns: int = SECOND_NS) -> Floats:
    """Mid returns over steps, in bps."""
    mid = recording.sampled(step_ns, START_NS + 5 * SECOND_NS, end_ns)["mid"]
    return np.diff(np.log(mid)) * 1e4


def autocorrelation(values: Floats, lag: int = 1) -> float:
    """Correlation of a series with itself `lag` rows later."""
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


def simulated_facts(seed: int, seconds: int, parameters: SimulationParameters | None = None) -> dict[str, StylisedFacts]:
    """Stylised facts of each symbol of one simulated market, its first five seconds left out."""
    recorder, market = simulated(seed, seconds, parameters)
    facts = {}
    for symbol, recording in recorder.recordings.items():
        touches = np.array(recording.touches, dtype=np.int64)
        columns = [touches[:, column].astype(np.float64) for column in range(1, 5)]
        aggressors = np.array(recording.aggressors, dtype=np.int64)
        facts[symbol] = measure(
            Touches(touches[:, 0], *columns),
            Aggressors(aggressors[:, 0], aggressors[:, 1].astype(np.float64)),
            START_NS + 5 * SECOND_NS,
            market.now_ns,
        )
    return facts
