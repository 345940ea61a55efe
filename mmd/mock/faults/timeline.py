"""A scenario as time goes by: says which faults begin now. The clock comes from outside, so the same seed gives the same faults."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random

from mmd.mock.faults.board import NS_PER_SECOND, FaultBoard
from mmd.mock.faults.kinds import Fault, LastingFault
from mmd.mock.faults.random_faults import draw_fault
from mmd.mock.faults.scenario import Scenario


class Timeline:
    """Switches a scenario's faults on as their time comes, and off when they are over. `speed`: market time per wall time."""

    def __init__(self, scenario: Scenario, board: FaultBoard, start_ns: int, speed: float = 1.0) -> None:
        self._scenario = scenario
        self._board = board
        self._start_ns = start_ns
        # Faults themselves last for wall time; a scenario told in market time runs the faster the faster the market does.
        self._ns_per_second = NS_PER_SECOND / speed if scenario.clock == "market" else float(NS_PER_SECOND)
        self._shrink = 1 / speed if scenario.clock == "market" else 1.0
        self._random = Random(f"{scenario.seed}/timeline")
        self._waiting: list[tuple[int, int, Fault]] = []
        for number, timed in enumerate(scenario.faults):
            heappush(self._waiting, (self._at_ns(timed.at), number, self._scaled(timed.fault)))
        self._draws = self._drawn()
        self._next_draw: tuple[int, Fault] | None = next(self._draws, None)

    def advance(self, now_ns: int) -> list[int]:
        """Let time pass; returns the numbers of the faults that were switched on."""
        begun: list[int] = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            begun.append(self._board.switch_on(heappop(self._waiting)[2], now_ns))
        while self._next_draw is not None and self._next_draw[0] <= now_ns:
            begun.append(self._board.switch_on(self._next_draw[1], now_ns))
            self._next_draw = next(self._draws, None)
        self._board.expire(now_ns)
        return begun

    def _at_ns(self, seconds: float) -> int:
        return self._start_ns + round(seconds * self._ns_per_second)

    def _scaled(self, fault: Fault) -> Fault:
        """With its duration in wall time."""
        seconds = fault.seconds if isinstance(fault, LastingFault) else None
        if seconds is None or self._shrink == 1.0:
            return fault
        return fault.model_copy(update={"seconds": seconds * self._shrink})

    def _drawn(self) -> Iterator[tuple[int, Fault]]:
        rules, random = self._scenario.random, self._random
        if rules is None:
            return
        at = rules.start
        while True:
            at += random.expovariate(1 / rules.every)
            if rules.until is not None and at > rules.until:
                return
            yield self._at_ns(at), self._scaled(draw_fault(random.choice(rules.kinds), random, rules.longest))
