"""The loss budget: the day's loss and the fall from the highest PnL, which no restart and no resume refills.

PnL is the ledger's running total in quote atoms, fees included, marked at the worse touch. The ledger carries on over restarts,
so the day's first PnL and the peak are all that has to be remembered. The checkpoint holds the peak a step (1 % of `max_drawdown`)
ahead, so that it need not be written at each new high: after a restart the drawdown is at most a step too large, never too small.
"""

from __future__ import annotations

from typing import Final, TypedDict

from mmd.risk.limits import NS_PER_SECOND, RiskLimits, limit_atoms
from mmd.types.instrument import units

_HOUR_NS: Final = 3_600 * NS_PER_SECOND
_DAY_NS: Final = 24 * _HOUR_NS
_NO_DAY: Final = -1


class LossState(TypedDict):
    """Checkpoint. `day` counts days since 1970 (shifted by the day's first hour), the rest is quote atoms."""

    day: int
    day_start_pnl_atoms: int
    last_pnl_atoms: int
    peak_pnl_atoms: int


class LossBudget:
    """Fed with marks; read by the checks and, through `breach`, by the halt."""

    __slots__ = (
        "_day_shift_ns", "_max_drawdown_atoms", "_max_loss_atoms", "_peak_step", "_persisted_day", "_persisted_peak", "day",
        "day_start_pnl_atoms", "drawdown_atoms", "frozen_marks", "last_pnl_atoms", "loss_used_atoms", "peak_pnl_atoms",
    )  # fmt: skip

    def __init__(self, limits: RiskLimits) -> None:
        self._day_shift_ns = limits.day_start_hour_utc * _HOUR_NS
        self._max_loss_atoms = limit_atoms(limits.max_daily_loss)
        self._max_drawdown_atoms = limit_atoms(limits.max_drawdown)
        self._peak_step = max(1, self._max_drawdown_atoms // 100)
        self._persisted_day = _NO_DAY
        self._persisted_peak = 0
        self.day = _NO_DAY
        self.day_start_pnl_atoms = 0
        self.last_pnl_atoms = 0
        self.peak_pnl_atoms = 0
        self.loss_used_atoms = 0
        """The day's loss, quote atoms, at least 0."""
        self.drawdown_atoms = 0
        """Fall from the highest PnL ever seen, quote atoms, at least 0."""
        self.frozen_marks = 0
        """Marks that were invalid and left everything as it stood."""

    def on_mark(self, now_ns: int, pnl_atoms: int | None) -> None:
        """The PnL now. None (no valid mark) freezes loss and drawdown where they are; only the day may still turn."""
        day = (now_ns - self._day_shift_ns) // _DAY_NS
        if day > self.day:
            if self.day != _NO_DAY:
                # From the last PnL of the old day, not the first of the new: a fall in between belongs to one of them.
                self.day_start_pnl_atoms = self.last_pnl_atoms
            self.day = day
            self.loss_used_atoms = max(0, self.day_start_pnl_atoms - self.last_pnl_atoms)
        if pnl_atoms is None:
            self.frozen_marks += 1
            return
        self.last_pnl_atoms = pnl_atoms
        if pnl_atoms > self.peak_pnl_atoms:
            self.peak_pnl_atoms = pnl_atoms
        self._measure()

    def breach(self) -> str | None:
        """Text for the halt when the day's loss or the drawdown has reached its limit."""
        if self.loss_used_atoms >= self._max_loss_atoms:
            return f"daily loss {units(self.loss_used_atoms)} has reached max_daily_loss {units(self._max_loss_atoms)}"
        if self.drawdown_atoms >= self._max_drawdown_atoms:
            return f"drawdown {units(self.drawdown_atoms)} has reached max_drawdown {units(self._max_drawdown_atoms)}"
        return None

    @property
    def persist_due(self) -> bool:
        """The last checkpoint no longer covers day or peak: write one before the next order leaves."""
        return self.day != self._persisted_day or self.peak_pnl_atoms > self._persisted_peak

    def state(self) -> LossState:
        """The checkpoint. Call it only to write it to disk: it counts as written."""
        if self.peak_pnl_atoms > self._persisted_peak:
            self._persisted_peak = self.peak_pnl_atoms + self._peak_step
        self._persisted_day = self.day
        return {
            "day": self.day,
            "day_start_pnl_atoms": self.day_start_pnl_atoms,
            "last_pnl_atoms": self.last_pnl_atoms,
            "peak_pnl_atoms": self._persisted_peak,
        }

    def restore(self, state: LossState) -> None:
        """Take up a checkpoint where it left off. Raises ValueError for a damaged one."""
        day, start, last, peak = state["day"], state["day_start_pnl_atoms"], state["last_pnl_atoms"], state["peak_pnl_atoms"]
        if peak < 0 or day < _NO_DAY or not all(isinstance(number, int) for number in (day, start, last, peak)):
            raise ValueError(f"loss checkpoint is damaged: {state}")
        self.day = self._persisted_day = day
        self.day_start_pnl_atoms = start
        self.last_pnl_atoms = last
        self.peak_pnl_atoms = self._persisted_peak = peak
        self._measure()

    def _measure(self) -> None:
        self.loss_used_atoms = max(0, self.day_start_pnl_atoms - self.last_pnl_atoms)
        self.drawdown_atoms = max(0, self.peak_pnl_atoms - self.last_pnl_atoms)
