"""One run: recorded events to the trader at their receive times, its commands to the matcher, each order's response in between.
between.

Before an event is handed over, the exchange goes on to that moment and stops at each response on the way; timers fire in between.
So the trader hears of everything at its own time and in order, and never of anything that has not been received yet.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from mmd.backtest.matching import Matcher
from mmd.backtest.recorder import Recorder
from mmd.backtest.venue import BacktestVenue
from mmd.trader import Command, Trader
from mmd.types.control import Exit, HaltRecord, PersistHalt, PersistLedger, Shutdown, Timer
from mmd.types.market import BatchEnd, FeedState, FeedStatus
from mmd.types.orders import ClockSync, OrderChannelStatus

TIMER_NS = 100_000_000
GOODBYE_NS = 10_000_000_000
"""Time that is left for the last cancels."""
PROGRESS_EVERY = 4_096
LONG_SILENCE_NS = 60_000_000_000


class BacktestSession:
    """Drives `trader` on `venue`; `recorder` sees what happens. `trade_from_ns`: no order before that."""

    def __init__(
        self,
        trader: Trader,
        matcher: Matcher,
        venue: BacktestVenue,
        recorder: Recorder,
        *,
        trade_from_ns: int = 0,
        on_progress: Callable[[int], None] = lambda _events: None,
        on_command: Callable[[Command], None] = lambda _command: None,
    ) -> None:
        self._trader = trader
        self._matcher = matcher
        self._venue = venue
        self._recorder = recorder
        self._trade_from_ns = trade_from_ns
        self._on_progress = on_progress
        self._on_command = on_command
        self._channel_up = False
        self._next_timer_ns = 0
        self._exited = False
        self.events = 0
        self.halt: HaltRecord | None = None

    def run(self, feeds: Sequence[Iterable[Any]]) -> None:
        """All of the data, one iterable a symbol, then leave. Raises `BacktestError`."""
        last_ns = 0
        for receive_ns, batch in batches(feeds):
            if not last_ns:
                self._begin(receive_ns)
            self._advance(receive_ns)
            for event in batch:
                self._deliver(event)
            self._deliver(BatchEnd(receive_ns))
            self._recorder.on_time(receive_ns)
            last_ns = receive_ns
            before = self.events
            self.events += len(batch)
            if before // PROGRESS_EVERY != self.events // PROGRESS_EVERY:
                self._on_progress(PROGRESS_EVERY)
                self._venue.forget_finished()
        self._recorder.finish(last_ns)
        self._deliver(Shutdown(last_ns, "the data has ended"))
        end_ns = last_ns + GOODBYE_NS
        while not self._exited and self._matcher.now_ns < end_ns:
            self._advance(min(end_ns, self._matcher.now_ns + TIMER_NS))

    def _begin(self, now_ns: int) -> None:
        self._advance_matcher(now_ns)
        self._next_timer_ns = now_ns + TIMER_NS
        self._deliver(ClockSync(now_ns, 0, 0))
        self._deliver(FeedStatus(now_ns, FeedState.CONNECTED, tuple(self._trader.desks)))
        self._open_channel_if_due(now_ns)

    def _open_channel_if_due(self, now_ns: int) -> None:
        if not self._channel_up and now_ns >= self._trade_from_ns:
            self._channel_up = True
            self._recorder.begin(now_ns)
            self._deliver(OrderChannelStatus(now_ns, True))

    def _advance(self, until_ns: int) -> None:
        while self._next_timer_ns <= until_ns:
            if until_ns - self._next_timer_ns > LONG_SILENCE_NS:
                # A night: a timer now and then is enough to notice that the data is stale.
                step_ns = LONG_SILENCE_NS // 10
            else:
                step_ns = TIMER_NS
            timer_ns = self._next_timer_ns
            self._next_timer_ns += step_ns
            self._advance_matcher(timer_ns)
            self._open_channel_if_due(timer_ns)
            self._deliver(Timer(timer_ns))
            self._recorder.on_time(timer_ns)
        self._advance_matcher(until_ns)

    def _advance_matcher(self, until_ns: int) -> None:
        """Up to a moment, handing over everything that comes back on the way."""
        matcher, venue = self._matcher, self._venue
        while True:
            answer_ns = venue.next_answer_ns
            stop_ns = until_ns if answer_ns is None or answer_ns > until_ns else answer_ns
            responded = matcher.advance(stop_ns)
            now_ns = matcher.now_ns
            events = venue.take_responses(now_ns) if responded else []
            if answer_ns is not None and now_ns >= answer_ns:
                events += venue.take_answers(now_ns)
            for event in events:
                self._deliver(event)
            if events:
                self._deliver(BatchEnd(now_ns))
            elif not responded and now_ns >= until_ns:
                return

    def _deliver(self, event: Any) -> None:
        for command in self._trader.on_event(event):
            if isinstance(command, PersistHalt):
                self.halt = self.halt or command.record
            elif isinstance(command, Exit):
                self._exited = True
            elif not isinstance(command, PersistLedger):
                self._on_command(command)
                self._venue.carry_out(command, self._matcher.now_ns)


def batches(feeds: Sequence[Iterable[Any]]) -> Iterator[tuple[int, list[Any]]]:
    """Events of all feeds by receive time; those of one moment together, in the order of the feeds."""
    merged = feeds[0] if len(feeds) == 1 else heapq.merge(*feeds, key=attrgetter("receive_ns"))
    now_ns = 0
    batch: list[Any] = []
    for event in merged:
        if batch and event.receive_ns != now_ns:
            yield now_ns, batch
            batch = []
        now_ns = event.receive_ns
        batch.append(event)
    if batch:
        yield now_ns, batch


def until(events: Iterable[Any], end_ns: int) -> Iterator[Any]:
    """Events received before `end_ns`."""
    for event in events:
        if event.receive_ns >= end_ns:
            return
        yield event
