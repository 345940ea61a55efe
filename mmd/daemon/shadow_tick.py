"""Keeps the path of a tick warm in a quiet market: every millisecond without a real tick a made-up one goes all the way, on scratch
state, from frame to signed bytes that are thrown away.

Code that has not run for a while has left the processor's caches, and the next real tick then takes several times as long. Nothing
of this touches the real session: trader, book, orders and features are the rehearsal's own, its wire leads nowhere, and of the
real predictors only the buffers that each evaluation overwrites anyway are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mmd.daemon.latency import LatencyHistogram, StageClock
from mmd.daemon.rehearsal import RehearsedSession, nowhere
from mmd.daemon.shadow_market import ShadowMarket
from mmd.exchanges.adapter import WireRehearsal
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.quoting.settings import QuotingSettings

if TYPE_CHECKING:
    from mmd.trader.desk import SymbolDesk

NS_PER_SECOND = 1_000_000_000


class Shadow:
    """The rehearsal of one symbol."""

    def __init__(
        self,
        desk: SymbolDesk,
        wire: WireRehearsal,
        quoting: QuotingSettings,
        bundle: Bundle | None,
        predictor: QuotePredictor | None,
        start_ns: int,
    ) -> None:
        instrument = desk.instrument
        predictors = {} if predictor is None else {instrument.symbol: predictor.rehearsing()}
        self._wire = wire
        self._market = ShadowMarket(instrument, (desk.book.bid_ticks + desk.book.ask_ticks) // 2, start_ns)
        self.session = RehearsedSession(
            (self._market.snapshot(),), {instrument.symbol: instrument}, wire, quoting, bundle, predictors, StageClock()
        )

    def tick(self) -> None:
        """One event of the made-up market, and the venue's made-up answers."""
        event = self._market.next_event()
        self.session.tick(event.receive_ns, self._wire.frame(event), nowhere)
        self.session.settle(event.receive_ns)


class ShadowTicks:
    """Fires between `start` and `stop`, one symbol after the other, whenever the real feed was silent for the interval."""

    def __init__(
        self,
        desks: Mapping[str, SymbolDesk],
        wire: WireRehearsal,
        quoting: QuotingSettings,
        bundle: Bundle | None,
        predictors: Mapping[str, QuotePredictor],
        *,
        interval_seconds: float,
        clock_ns: Callable[[], int],
        last_batch_ns: Callable[[], int],
    ) -> None:
        self._desks = tuple(desks.values())
        self._wire = wire
        self._quoting = quoting
        self._bundle = bundle
        self._predictors = predictors
        self._shadows: list[Shadow | None] = [None] * len(self._desks)
        self._interval_seconds = interval_seconds
        self._interval_ns = round(interval_seconds * NS_PER_SECOND)
        self._clock_ns = clock_ns
        self._last_batch_ns = last_batch_ns
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._turn = 0
        self.took = LatencyHistogram()
        """Time of each shadow tick, venue's answers included."""

    def start(self) -> None:
        """Begin."""
        self._handle = self._loop.call_later(self._interval_seconds, self._fire)

    def rehearse_with(self, bundle: Bundle, predictors: Mapping[str, QuotePredictor]) -> None:
        """Other networks from the next shadow tick on."""
        self._bundle, self._predictors = bundle, predictors
        self._shadows = [None] * len(self._desks)

    def stop(self) -> None:
        """End."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = self._loop.call_later(self._interval_seconds, self._fire)
        begun_ns = self._clock_ns()
        if begun_ns - self._last_batch_ns() < self._interval_ns:
            return
        self._turn = turn = (self._turn + 1) % len(self._desks)
        shadow = self._shadows[turn]
        if shadow is None:
            desk = self._desks[turn]
            # Before the real book stands there is no price to rehearse around, and nothing to be quick for.
            if desk.book.valid:
                predictor = self._predictors.get(desk.instrument.symbol)
                self._shadows[turn] = Shadow(desk, self._wire, self._quoting, self._bundle, predictor, begun_ns)
            return
        shadow.tick()
        self.took.record(self._clock_ns() - begun_ns)
