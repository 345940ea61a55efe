"""The stages of one tick, and the seam through which a shell may time them: the core itself reads no clock."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol


class Stage(IntEnum):
    """Where the time of a tick goes, in order."""

    DECODE = 0
    BOOK = 1
    FEATURES = 2
    INFERENCE = 3
    COMPANION = 4
    """Networks beside the quote network."""
    QUOTE = 5
    RISK = 6
    SEND = 7


class StageTimer(Protocol):
    """`lap(stage)` books the time since the previous lap (or start) to that stage, and returns it in ns."""

    def start(self) -> None:
        """A tick begins."""

    def lap(self, stage: Stage) -> int:
        """`stage` ends here. The ns it took; 0 where nothing is measured."""


class NoTimer:
    """For backtests, replays and tests: measures nothing."""

    __slots__ = ()

    def start(self) -> None:
        """Nothing."""

    def lap(self, stage: Stage) -> int:
        """Nothing."""
        return 0
