"""The venue's countdown that cancels every order of a symbol: started anew while we live, said to have lapsed when we were late.

It counts from when a heartbeat was sent that was answered: the venue cannot have started earlier, so that we never believe our
orders alive longer than it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.rest import VenueError
from mmd.exchanges.binance_usdm.account import API, SignedRequests
from mmd.types.orders import DeadMansSwitchLapsed

_RETRIES = 5


class DeadMansSwitch:
    """One countdown a symbol. Never disarmed: what we may have left behind when we end, it cancels."""

    def __init__(
        self,
        requests: SignedRequests,
        surroundings: Surroundings,
        symbols: Sequence[str],
        *,
        countdown_seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        self._requests = requests
        self._surroundings = surroundings
        self._symbols = symbols
        self._countdown_seconds = countdown_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._confirmed: dict[str, float] = {}
        self._lapsed: set[str] = set()
        self._armed = asyncio.Event()
        self.heartbeats = 0

    async def arm(self) -> None:
        """Start every countdown. Raises `VenueError`; then nothing may be placed."""
        await asyncio.gather(*[self._beat(symbol) for symbol in self._symbols])
        self._armed.set()

    async def run(self) -> None:
        """Keep them from firing, until cancelled."""
        await self._armed.wait()
        while True:
            failed = [symbol for symbol in self._symbols if not await self._kept(symbol)]
            await asyncio.sleep(self._heartbeat_seconds / _RETRIES if failed else self._heartbeat_seconds)

    async def _kept(self, symbol: str) -> bool:
        """One heartbeat. False where it failed."""
        try:
            await self._beat(symbol)
        except VenueError as error:
            self._surroundings.complaints("heartbeat of the dead-man's switch failed", symbol=symbol, detail=str(error))
            self._check(symbol, f"no heartbeat was answered: {error}")
            return False
        return True

    async def _beat(self, symbol: str) -> None:
        milliseconds = str(round(self._countdown_seconds * 1000))
        # Looked at before and after, since we may have been asleep, or the answer long on its way.
        self._check(symbol, "no heartbeat was sent in time")
        sent = asyncio.get_running_loop().time()
        await self._requests("POST", f"{API}/countdownCancelAll", {"symbol": symbol, "countdownTime": milliseconds})
        self._check(symbol, "a heartbeat was answered too late")
        self._confirmed[symbol] = sent
        self._lapsed.discard(symbol)
        self.heartbeats += 1

    def _check(self, symbol: str, detail: str) -> None:
        now = asyncio.get_running_loop().time()
        silent = now - self._confirmed.get(symbol, now)
        if silent < self._countdown_seconds or symbol in self._lapsed:
            return
        self._lapsed.add(symbol)
        now_ns = self._surroundings.clock_ns()
        text = f"{detail}; {silent:.1f} s of silence, the countdown is {self._countdown_seconds:g} s"
        self._surroundings.outlet.batch([DeadMansSwitchLapsed(now_ns, symbol, text)], now_ns)
