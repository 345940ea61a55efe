"""The simulated market: its participants on one heap of virtual time, acting on the matching engine in order."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace
from typing import Protocol

import numpy as np

from mmd.mock.engine import EngineEvent, MatchingEngine
from mmd.mock.simulation.desk import Desk, Sink
from mmd.mock.simulation.draws import Draws
from mmd.mock.simulation.efficient_price import EfficientPrices
from mmd.mock.simulation.informed import InformedTraders
from mmd.mock.simulation.makers import Maker
from mmd.mock.simulation.order_flow import NoiseTraders, Watchers
from mmd.mock.simulation.parameters import SimulationParameters, SymbolParameters


class Participant(Protocol):
    """Anybody who acts at a time of its own choosing."""

    def act(self, now_ns: int) -> int:
        """Do what is to be done now; returns the time of the next act, after `now_ns`."""


class SimulatedMarket:
    """Fills an opening book, then trades on it as time is advanced.

    The same seed, parameters and start give the same sequence of operations, however `advance` is called, as long as the orders of
    accounts are the same. Participants see accounts' orders only as part of the book.
    """

    def __init__(self, engine: MatchingEngine, parameters: SimulationParameters, *, seed: int, start_ns: int) -> None:
        """Raises `ValueError` where the parameters name a symbol that the engine does not list."""
        missing = [each.symbol for each in parameters.symbols if each.symbol not in engine.instruments]
        if missing:
            raise ValueError(
                f"simulated market: the engine lists no {', '.join(missing)}; it has {', '.join(engine.instruments)}: "
                "list them there, or leave them out of SimulationParameters.symbols"
            )
        self.now_ns = start_ns
        self._seeds = np.random.SeedSequence(seed)
        self._parameters = parameters
        self._prices = EfficientPrices(parameters, engine.instruments, self._seeds.spawn(1)[0], start_ns)
        self._queue: list[tuple[int, int, Participant]] = []
        self._desks: dict[str, Desk] = {}
        for position, symbol in enumerate(parameters.symbols):
            desk = self._desks[symbol.symbol] = Desk(engine, symbol, position, self._prices, _nobody)
            self._populate(desk, symbol)
        heapify(self._queue)

    def efficient_price_ticks(self, symbol: str) -> float:
        """What the symbol is worth now, in ticks, which no maker knows exactly. Raises `KeyError` for an unknown symbol."""
        return self._desks[symbol].efficient_ticks(self.now_ns)

    def resting_orders(self, symbol: str) -> int:
        """Simulated participants' orders in the book of `symbol`."""
        return self._desks[symbol].resting_count

    def advance(self, until_ns: int, sink: Sink) -> None:
        """Let everything happen up to and including `until_ns`; `sink(time_ns, symbol, events)` after each operation.

        An operation that only changes the book (an order rests or is cancelled) has no events. Raises `ValueError` for a time
        before the present.
        """
        if until_ns < self.now_ns:
            raise ValueError(f"simulated market: cannot go back from {self.now_ns} to {until_ns}")
        for desk in self._desks.values():
            desk.sink = sink
        queue = self._queue
        while queue[0][0] <= until_ns:
            now_ns, number, participant = queue[0]
            self.now_ns = now_ns
            heapreplace(queue, (participant.act(now_ns), number, participant))
        self.now_ns = until_ns

    def _populate(self, desk: Desk, symbol: SymbolParameters) -> None:
        """Bring the symbol's participants into being; makers quote first, so that there is a touch to join."""
        parameters, now_ns = self._parameters, self.now_ns
        for maker in parameters.makers:
            for _ in range(maker.count):
                newcomer = Maker(desk, symbol, maker, parameters, self._draws(), now_ns)
                self._enter(newcomer, newcomer.act(now_ns))
        noise = NoiseTraders(desk, symbol, parameters, self._draws(), now_ns)
        self._enter(noise, noise.open(now_ns))
        watchers = Watchers(noise, parameters, self._draws())
        self._enter(watchers, now_ns)
        for informed in parameters.informed:
            draws = self._draws()
            self._enter(InformedTraders(desk, symbol, informed, draws, noise), now_ns + draws.wait_ns(informed.wakes_per_second))

    def _draws(self) -> Draws:
        return Draws(self._seeds.spawn(1)[0])

    def _enter(self, participant: Participant, first_act_ns: int) -> None:
        self._queue.append((first_act_ns, len(self._queue), participant))


def _nobody(_time_ns: int, _symbol: str, _events: Sequence[EngineEvent]) -> None:
    """The opening book is nobody's news."""
