"""Random numbers drawn in blocks: one numpy call for thousands, handed out one by one as plain floats."""

from __future__ import annotations

import numpy as np

_BLOCK = 4096


class Draws:
    """A seeded stream (PCG64). Each kind of number has its own block; the sequence depends on the seed and the calls alone."""

    __slots__ = ("_exponentials", "_generator", "_normals", "_uniforms")

    def __init__(self, seed: np.random.SeedSequence) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._uniforms: list[float] = []
        self._normals: list[float] = []
        self._exponentials: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._uniforms:
            self._uniforms = self._generator.random(_BLOCK).tolist()
        return self._uniforms.pop()

    def normal(self) -> float:
        """A standard normal number."""
        if not self._normals:
            self._normals = self._generator.standard_normal(_BLOCK).tolist()
        return self._normals.pop()

    def exponential(self) -> float:
        """An exponential number of mean 1."""
        if not self._exponentials:
            self._exponentials = self._generator.standard_exponential(_BLOCK).tolist()
        return self._exponentials.pop()

    def wait_ns(self, rate_per_second: float) -> int:
        """Nanoseconds to the next event of a Poisson process, at least 1."""
        return int(self.exponential() * 1e9 / rate_per_second) + 1
