"""Order flow that excites itself: a multivariate Hawkes process with exponential memory, simulated by thinning."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from mmd.mock.simulation.draws import Draws


class HawkesFlow:
    """Call `schedule` for the next candidate's time, then `fire` at that time: the kind that happened, or None (thinned away).

    `children[i][j]` is the expected number of events of kind j that one of kind i brings, on average `memory_seconds` later. The
    base rates may change at each `schedule` and hold until the next candidate.
    """

    __slots__ = ("_base", "_bound", "_decay_per_ns", "_draws", "_excited", "_jumps", "_kinds", "_updated_ns")

    def __init__(self, children: Sequence[Sequence[float]], memory_seconds: float, draws: Draws, start_ns: int) -> None:
        self._draws = draws
        self._jumps = [[each / memory_seconds for each in row] for row in children]
        self._kinds = range(len(self._jumps))
        self._excited = [0.0] * len(self._jumps)
        self._base: Sequence[float] = self._excited
        self._decay_per_ns = -1e-9 / memory_seconds
        self._updated_ns = start_ns
        self._bound = 0.0

    def schedule(self, now_ns: int, base_rates: Sequence[float]) -> int:
        """Time of the next candidate, with these base rates (1/s by kind; their sum above 0). `now_ns` is the last candidate's."""
        self._base = base_rates
        self._bound = sum(base_rates) + sum(self._excited)
        return now_ns + self._draws.wait_ns(self._bound)

    def fire(self, now_ns: int) -> int | None:
        """The kind of event at the scheduled time, which then excites others; None where the intensity had fallen."""
        decay = exp(self._decay_per_ns * (now_ns - self._updated_ns))
        self._updated_ns = now_ns
        excited = self._excited = [each * decay for each in self._excited]
        left = self._draws.uniform() * self._bound
        for kind in self._kinds:
            left -= self._base[kind] + excited[kind]
            if left < 0:
                self._excited = [level + jump for level, jump in zip(excited, self._jumps[kind], strict=True)]
                return kind
        return None
