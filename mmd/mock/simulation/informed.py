"""Informed traders: they know what the asset is worth, now or in a moment, and take whatever stands on the wrong side of it."""

from __future__ import annotations

from mmd.mock.simulation.desk import Desk
from mmd.mock.simulation.draws import Draws
from mmd.mock.simulation.order_flow import NoiseTraders
from mmd.mock.simulation.parameters import InformedParameters, SymbolParameters
from mmd.types.market import Side


class InformedTraders:
    """One class of them in one symbol. Where the gain is too small to take, some join the queue that the move will favour."""

    def __init__(
        self, desk: Desk, symbol: SymbolParameters, informed: InformedParameters, draws: Draws, noise: NoiseTraders
    ) -> None:
        self._desk = desk
        self._informed = informed
        self._draws = draws
        self._noise = noise
        self._horizon_ns = informed.horizon_ms * 1_000_000
        self._edge_ticks = informed.edge_steps * symbol.step_ticks
        self._largest_lots = max(1, int(symbol.order_size_max * desk.lots_per_unit))

    def act(self, now_ns: int) -> int:
        """Look once and act on it. Returns when they look again."""
        worth = self._desk.efficient_ticks(now_ns + self._horizon_ns)
        if not self._take(worth, now_ns) and self._draws.uniform() < self._informed.join_share:
            self._join(worth, now_ns)
        return now_ns + self._draws.wait_ns(self._informed.wakes_per_second)

    def _take(self, worth: float, now_ns: int) -> bool:
        desk, taken = self._desk, False
        for _ in range(self._informed.levels):
            bid_ticks, bid_lots, ask_ticks, ask_lots = desk.touch(now_ns)
            if ask_lots and worth > ask_ticks + self._edge_ticks:
                desk.take(Side.BUY, ask_ticks, min(ask_lots, self._largest_lots), now_ns)
            elif bid_lots and worth < bid_ticks - self._edge_ticks:
                desk.take(Side.SELL, bid_ticks, min(bid_lots, self._largest_lots), now_ns)
            else:
                break
            taken = True
        return taken

    def _join(self, worth: float, now_ns: int) -> None:
        bid_ticks, _, ask_ticks, _ = self._desk.touch(now_ns)
        if 2 * worth > bid_ticks + ask_ticks + self._desk.step_ticks:
            self._noise.rest(Side.BUY, now_ns, join=True)
        elif 2 * worth < bid_ticks + ask_ticks - self._desk.step_ticks:
            self._noise.rest(Side.SELL, now_ns, join=True)
