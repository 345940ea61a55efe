"""Sums over the last steps, and averages that fade with steps. The sums are of integers, so they never drift."""

from __future__ import annotations

from mmd.market.feature_settings import FeatureSettings

StepRow = tuple[int, int, int, int, int, int, int]
EMPTY: StepRow = (0, 0, 0, 0, 0, 0, 0)


class StepSums:
    """Rolling sums over `window_steps`, one over `spread_window_steps` (fewer steps at the start), and averages over all steps so
    far, in which the newest weighs 1, one `average_half_life_steps` ago 1/2, and the weights add up to one.
    """

    __slots__ = (
        "_factor", "_next", "_rows", "_size", "_spread_size", "_weight", "change", "depth_lots", "flow_lots", "signed_lots",
        "spread_ticks", "squared", "ticks_lots", "traded_lots", "usual_squared", "usual_volume_lots",
    )  # fmt: skip

    def __init__(self, settings: FeatureSettings) -> None:
        self._size, self._spread_size = settings.window_steps, settings.spread_window_steps
        self._rows = [EMPTY] * self._size
        self._next = 0
        self._factor = 0.5 ** (1.0 / settings.average_half_life_steps)
        self._weight = 0.0
        self.change = self.squared = 0
        """Of the mid's changes from step to step and of their squares, half-ticks and half-ticks squared."""
        self.flow_lots = 0
        """Order-flow imbalance of the touch."""
        self.depth_lots = 0
        """Best bid's and best ask's quantity together, summed over the steps."""
        self.traded_lots = self.signed_lots = self.ticks_lots = 0
        """Traded; signed: bought less sold; ticks x lots."""
        self.spread_ticks = 0
        """Over the shorter window."""
        self.usual_squared = self.usual_volume_lots = 0.0
        """The fading averages."""

    def push(
        self, change: int, squared: int, flow: int, depth: int, traded: int, signed: int, ticks_lots: int, spread: int
    ) -> None:
        """One step more, and of each window the oldest one less."""
        rows, place = self._rows, self._next
        self.spread_ticks += spread - rows[place - self._spread_size][6]
        old_change, old_flow, old_depth, old_traded, old_signed, old_ticks_lots, _ = rows[place]
        rows[place] = (change, flow, depth, traded, signed, ticks_lots, spread)
        self._next = place + 1 if place + 1 < self._size else 0
        if change or old_change:
            self.change += change - old_change
            self.squared += squared - old_change * old_change
        self.flow_lots += flow - old_flow
        self.depth_lots += depth - old_depth
        if traded or old_traded:
            self.traded_lots += traded - old_traded
            self.signed_lots += signed - old_signed
            self.ticks_lots += ticks_lots - old_ticks_lots
        self._weight = weight = self._weight * self._factor + 1.0
        self.usual_squared += (squared - self.usual_squared) / weight
        self.usual_volume_lots += (traded - self.usual_volume_lots) / weight
