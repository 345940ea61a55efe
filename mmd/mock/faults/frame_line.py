"""The way of one connection's frames through the faults that are on: a frame in, and when to send what out.

What leaves is in order: `delay_frames` holds up everything behind it, as TCP does; only `reorder_frames` lets frames pass others.
"""

from __future__ import annotations

from typing import NamedTuple

from mmd.mock.faults.board import ActiveFault, FaultBoard
from mmd.mock.faults.corruption import corrupt, drifted
from mmd.mock.faults.frame_class import classify, symbol_of
from mmd.mock.faults.kinds import (
    CorruptFrames,
    DelayFrames,
    DriftTrades,
    DropFrames,
    DuplicateFrames,
    FrameFault,
    ReorderFrames,
    SkipDepthUpdate,
)


class Delivery(NamedTuple):
    """A frame and when it is to be sent, ns."""

    due_ns: int
    frame: bytes


class FrameLine:
    """One connection. `channel` is `market` or `order_entry`, `connection` its number."""

    def __init__(self, board: FaultBoard, channel: str, connection: int) -> None:
        self.connection = connection
        self.channel = channel
        self._board = board
        self._version = -1
        self._faults: tuple[ActiveFault, ...] = ()
        self._last_due_ns = 0
        self._held: list[tuple[int, bytes]] = []
        """Frames held back, with how many may still pass each."""

    @property
    def clear(self) -> bool:
        """Whether frames can go straight on: nothing is on for this connection, nothing is held back or late."""
        if self._version != self._board.version:
            self._choose()
        return not self._faults and not self._held

    def pass_on(self, frame: bytes, now_ns: int) -> list[Delivery]:
        """What to send for this frame, and when; later than earlier frames, and all due no earlier than now."""
        if self._version != self._board.version:
            self._choose()
        passed = self._befall(frame, now_ns)
        if passed is None:
            return []
        frames, delay_ns, distance = passed
        due_ns = self._last_due_ns = max(now_ns + delay_ns, self._last_due_ns)
        if distance:
            self._held += [(distance, each) for each in frames]
            return []
        return [Delivery(due_ns, each) for each in [*frames, *self._overtaken(len(frames))]]

    def _befall(self, frame: bytes, now_ns: int) -> tuple[list[bytes], int, int] | None:
        """Frames, delay (ns) and how many are to pass them; None for nothing at all."""
        copies, delay_ns, distance = 1, 0, 0
        for active in self._faults:
            fault = active.fault
            if active.ends_ns is not None and active.ends_ns <= now_ns:
                continue
            if not _chosen(fault, frame) or not self._board.strike(active, self.connection):
                continue
            if isinstance(fault, DropFrames | SkipDepthUpdate):
                return None
            random = active.random(self.connection)
            if isinstance(fault, CorruptFrames):
                frame = corrupt(frame, random.choice(fault.corruptions), random)
            elif isinstance(fault, DriftTrades):
                frame = drifted(frame, fault.bps)
            elif isinstance(fault, DuplicateFrames):
                copies += fault.copies
            elif isinstance(fault, DelayFrames):
                delay_ns += round((fault.milliseconds + random.random() * fault.jitter_milliseconds) * 1e6)
            elif isinstance(fault, ReorderFrames):
                distance = max(distance, fault.distance)
        return [frame] * copies, delay_ns, distance

    def _overtaken(self, passing: int) -> list[bytes]:
        """Frames held back that have now been passed often enough."""
        if not self._held:
            return []
        counted = [(left - passing, frame) for left, frame in self._held]
        self._held = [(left, frame) for left, frame in counted if left > 0]
        return [frame for left, frame in counted if left <= 0]

    def _choose(self) -> None:
        self._version = self._board.version
        spared = self.connection in self._board.spared
        self._faults = tuple(
            active for active in self._board.frame_faults if not spared and _is_for(active.fault, self.channel, self.connection)
        )


def _is_for(fault: object, channel: str, connection: int) -> bool:
    assert isinstance(fault, FrameFault)
    return fault.channel in ("all", channel) and fault.connection in (None, connection)


def _chosen(fault: object, frame: bytes) -> bool:
    assert isinstance(fault, FrameFault)
    return (not fault.frames or classify(frame) in fault.frames) and (not fault.symbols or symbol_of(frame) in fault.symbols)
