"""What each asset is worth: stochastic volatility, sudden moves and rare jumps, with a factor common to all symbols.

The path is made ahead of the time asked for, so that the informed may know what comes. It depends on parameters and seed alone:
neither the trading nor the manner in which time is advanced moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt

from mmd.mock.simulation.parameters import SimulationParameters
from mmd.types.instrument import Instrument

STEP_NS = 50_000_000
_STEP_SECONDS = STEP_NS / 1e9
_BLOCK_STEPS = 400
_KEPT_STEPS = 200
_LONGEST_LAG_STEPS = 5_000_000_000 // STEP_NS

_Floats = npt.NDArray[np.float64]


class EfficientPrices:
    """Efficient prices of all symbols in (fractional) ticks, constant over steps of 50 ms. Remembers some ten seconds."""

    def __init__(
        self, parameters: SimulationParameters, instruments: Mapping[str, Instrument], seed: np.random.SeedSequence, start_ns: int
    ) -> None:
        self._parameters = parameters
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._start_ns = start_ns
        self._first_step = 0
        self._fast = 0.0
        self._slow = 0.0
        self._activity: list[float] = []
        self._opening = [log(each.opening_price * instruments[each.symbol].ticks_per_unit) for each in parameters.symbols]
        self._logarithms = list(self._opening)
        self._ticks: list[list[float]] = [[] for _ in parameters.symbols]
        self._lagged_diffusion: _Floats = np.zeros(_LONGEST_LAG_STEPS)
        self._lagged_moves: _Floats = np.zeros(_LONGEST_LAG_STEPS)
        self._lagged_jumps: _Floats = np.zeros(_LONGEST_LAG_STEPS)
        self._extend()

    def ticks_at(self, position: int, time_ns: int) -> float:
        """Efficient price of the symbol at this position of the parameters; before the start, the first price."""
        offset = self._offset(time_ns)  # Looked up first: it may make more of the path, in new lists.
        return self._ticks[position][offset]

    def activity_at(self, time_ns: int) -> float:
        """Volatility as a multiple of its usual level: order flow quickens with it."""
        offset = self._offset(time_ns)
        return self._activity[offset]

    def _offset(self, time_ns: int) -> int:
        step = (time_ns - self._start_ns) // STEP_NS
        while step - self._first_step >= len(self._activity):
            self._extend()
        return max(step - self._first_step, 0)

    def _extend(self) -> None:
        """Make one more block, and forget what is older than anybody looks back."""
        parameters = self._parameters
        surplus = max(0, len(self._activity) - _KEPT_STEPS)
        levels = self._volatility_levels()
        self._activity = self._activity[surplus:] + levels.tolist()
        share = parameters.common_share
        diffusion = np.concatenate((self._lagged_diffusion, self._diffusion(levels)))
        moves = np.concatenate((self._lagged_moves, self._arrivals(levels * (parameters.move_rate * share))))
        jumps = np.concatenate((self._lagged_jumps, self._arrivals(np.full(_BLOCK_STEPS, parameters.jump_rate))))
        for position, symbol in enumerate(parameters.symbols):
            begin = _LONGEST_LAG_STEPS - symbol.common_lag_ms * 1_000_000 // STEP_NS
            heard = slice(begin, begin + _BLOCK_STEPS)
            own_diffusion, own_moves = self._diffusion(levels), self._arrivals(levels * (parameters.move_rate * (1 - share)))
            returns_bps = (
                symbol.volatility_bps * (sqrt(share) * diffusion[heard] + sqrt(1 - share) * own_diffusion)
                + symbol.move_bps * (moves[heard] + own_moves)
                + parameters.jump_bps * jumps[heard]
            )
            self._ticks[position] = self._ticks[position][surplus:] + self._walk(position, returns_bps)
        self._lagged_diffusion = diffusion[-_LONGEST_LAG_STEPS:]
        self._lagged_moves = moves[-_LONGEST_LAG_STEPS:]
        self._lagged_jumps = jumps[-_LONGEST_LAG_STEPS:]
        self._first_step += surplus

    def _volatility_levels(self) -> _Floats:
        parameters = self._parameters
        keep_fast = exp(-_STEP_SECONDS / parameters.fast_volatility_seconds)
        keep_slow = exp(-_STEP_SECONDS / parameters.slow_volatility_seconds)
        shock_fast = parameters.fast_volatility_sigma * sqrt(1 - keep_fast * keep_fast)
        shock_slow = parameters.slow_volatility_sigma * sqrt(1 - keep_slow * keep_slow)
        levels = []
        for fast, slow in self._generator.standard_normal((_BLOCK_STEPS, 2)).tolist():
            self._fast = self._fast * keep_fast + shock_fast * fast
            self._slow = self._slow * keep_slow + shock_slow * slow
            levels.append(exp(self._fast + self._slow))
        return np.array(levels)

    def _diffusion(self, levels: _Floats) -> _Floats:
        return self._generator.standard_normal(_BLOCK_STEPS) * levels * sqrt(_STEP_SECONDS)

    def _arrivals(self, rates: _Floats) -> _Floats:
        """Laplace sizes of unit scale where a Poisson process with these rates (1/s) fires, else 0."""
        sizes = self._generator.laplace(0.0, 1.0, _BLOCK_STEPS)
        fired = self._generator.random(_BLOCK_STEPS) < rates * _STEP_SECONDS
        return np.asarray(sizes * fired, dtype=np.float64)

    def _walk(self, position: int, returns_bps: _Floats) -> list[float]:
        keep = 1 - _STEP_SECONDS / (self._parameters.price_reversion_hours * 3600)
        opening, logarithm = self._opening[position], self._logarithms[position]
        ticks = []
        for change in (returns_bps * 1e-4).tolist():
            logarithm = opening + (logarithm - opening) * keep + change
            ticks.append(exp(logarithm))
        self._logarithms[position] = logarithm
        return ticks
