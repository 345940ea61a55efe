"""Many seeds, on every processor, and what came of them all."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import structlog

from mmd.daemon.logs import Redactor
from mmd.simulation.invariants import Violation
from mmd.simulation.settings import SECRET
from mmd.simulation.story import draw_story
from mmd.simulation.world import Outcome, run_story

CHUNK = 20


class Tally(msgspec.Struct):
    """Sums over seeds. `processor_seconds` is what they cost, `seconds` how long it took."""

    seeds: int = 0
    events: int = 0
    most_events: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    injected: dict[str, int] = {}
    counts: dict[str, int] = {}
    violations: list[tuple[int, str, str]] = []
    """Seed, invariant and text."""

    def add(self, other: Tally) -> None:
        """Take another's sums in."""
        self.seeds += other.seeds
        self.events += other.events
        self.most_events = max(self.most_events, other.most_events)
        self.processor_seconds += other.processor_seconds
        self.injected = dict(Counter(self.injected) + Counter(other.injected))
        self.counts = dict(Counter(self.counts) + Counter(other.counts))
        self.violations = [*self.violations, *other.violations]


@contextmanager
def silence() -> Iterator[None]:
    """What the daemon's parts log of thousands of disasters is looked through for secrets, and shown to nobody."""
    before = structlog.get_config()
    structlog.configure(processors=[Redactor([SECRET]), _look_and_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _look_and_drop(logger: Any, name: str, event: MutableMapping[str, Any]) -> str:
    if any(SECRET in str(value) for value in event.values()):
        raise Violation("secrets", f"a log entry: {event}")
    raise structlog.DropEvent


def run_seeds(seeds: Iterable[int]) -> Tally:
    """One after the other, here."""
    tally = Tally()
    injected: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    began = time.process_time()
    with silence():
        for seed in seeds:
            outcome: Outcome = run_story(draw_story(seed))
            tally.seeds += 1
            tally.events += outcome.events
            tally.most_events = max(tally.most_events, outcome.events)
            injected.update(outcome.injected)
            counts.update(outcome.counts)
            if outcome.violation is not None:
                tally.violations.append((seed, *outcome.violation))
    tally.injected, tally.counts = dict(injected), dict(counts)
    tally.processor_seconds = time.process_time() - began
    return tally


def run_campaign(first: int, count: int, *, processes: int | None = None, progress: Callable[[Tally], None] | None = None) -> Tally:
    """`count` seeds from `first` on, spread over processes. `progress` hears the sums after each chunk."""
    total = Tally()
    began = time.monotonic()
    chunks = [range(start, min(start + CHUNK, first + count)) for start in range(first, first + count, CHUNK)]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for tally in pool.map(run_seeds, chunks):
            total.add(tally)
            total.seconds = time.monotonic() - began
            if progress is not None:
                progress(total)
    return total
