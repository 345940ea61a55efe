"""The venue's clock against ours: request timestamps are written in its time, or it refuses them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mmd.exchanges.binance.connection import Surroundings
from mmd.types.orders import ClockSync

_HALF_MILLISECOND_NS = 500_000
_RETRY_SECONDS = 1.0

Probe = Callable[[], Awaitable[tuple[int, int, int]]]
"""Asks the venue's time: ns of our clock before, ms of the venue's, ns of our clock after."""


class VenueClock:
    """Measures the offset (venue minus ours, ns) by several probes, of which the one with the shortest round trip counts."""

    def __init__(
        self, probe: Probe, surroundings: Surroundings, *, probes: int, refresh_seconds: float, errors: tuple[type[Exception], ...]
    ) -> None:
        self._probe = probe
        self._surroundings = surroundings
        self._probes = probes
        self._refresh_seconds = refresh_seconds
        self._errors = errors
        self._wanted = asyncio.Event()
        self.measured = asyncio.Event()
        self.offset_ns = 0
        self.uncertainty_ns = 0

    def timestamp_ms(self, our_ns: int) -> int:
        """The venue's time, ms, at `our_ns` of our clock."""
        return (our_ns + self.offset_ns) // 1_000_000

    def our_ns(self, venue_ms: int) -> int:
        """Our clock, ns, at `venue_ms` of the venue's."""
        return venue_ms * 1_000_000 - self.offset_ns

    def measure_soon(self) -> None:
        """The venue found a timestamp wrong: do not wait for the timer."""
        self._wanted.set()

    async def measure(self) -> None:
        """Measure once. Raises what the probe raises."""
        best: tuple[int, int] | None = None
        for _ in range(self._probes):
            sent_ns, venue_ms, received_ns = await self._probe()
            round_trip_ns = received_ns - sent_ns
            # The venue cuts its time to whole milliseconds: on average it is half of one later.
            offset_ns = venue_ms * 1_000_000 + _HALF_MILLISECOND_NS - (sent_ns + received_ns) // 2
            if best is None or round_trip_ns < best[0]:
                best = (round_trip_ns, offset_ns)
        assert best is not None
        self.offset_ns = best[1]
        self.uncertainty_ns = max(0, best[0]) // 2 + _HALF_MILLISECOND_NS
        self.measured.set()
        now_ns = self._surroundings.clock_ns()
        self._surroundings.outlet.batch([ClockSync(now_ns, self.offset_ns, self.uncertainty_ns)], now_ns)

    async def run(self) -> None:
        """Measure at once, then on the timer and on demand, until cancelled."""
        while True:
            self._wanted.clear()
            wait_seconds = self._refresh_seconds
            try:
                await self.measure()
            except self._errors as error:
                self._surroundings.complaints("cannot measure the venue's clock", detail=str(error))
                wait_seconds = _RETRY_SECONDS
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._wanted.wait()
            except TimeoutError:
                continue
