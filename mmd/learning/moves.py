"""What the mid did after a row, counted four ways: by step, where bursts weigh most; by row of the book alone; by tenths of a
second in which the book changed; and by time, each moment alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmd.learning.sessions import Floats, Integers, Session
from mmd.learning.sources import SECOND_NS

HORIZONS_SECONDS = (0.1, 1.0, 10.0, 60.0, 300.0)
GRID_SECONDS = 0.5
"""Of the time count: what stands at each multiple of it since the Unix epoch."""


@dataclass(frozen=True)
class Moves:
    """One entry a row or a moment, in order of time."""

    row: Integers
    """The newest row then."""
    time_ns: Integers
    change_bps: Floats
    """Of the mid over the horizon from then on, basis points."""
    last_bps: Floats
    """Of the mid over the same time before, from the session's first row on."""


def moves_by_step(session: Session, horizon_seconds: float, start: int, stop: int) -> Moves:
    """Of the rows from `start` up to `stop` whose horizon is inside the session."""
    times = session.receive_ns
    last_ns = int(times[-1]) - round(horizon_seconds * SECOND_NS)
    stop = min(stop, int(np.searchsorted(times, last_ns, side="right")))
    row = np.arange(start, max(start, stop))
    return _moves(session, row, np.asarray(times[row]), horizon_seconds)


def moves_by_row(session: Session, horizon_seconds: float, start: int, stop: int) -> Moves:
    """Of the rows of a book file: each change of the touch, trades aside, with what stood when its moment was over."""
    moves = moves_by_step(session, horizon_seconds, start, stop)
    times = moves.time_ns[_touch_changes(session)[moves.row]]
    newest = np.searchsorted(session.receive_ns, times, side="right") - 1
    return _moves(session, np.minimum(newest, max(start, stop - 1)), times, horizon_seconds)


def moves_by_tenth(session: Session, horizon_seconds: float, start: int, stop: int) -> Moves:
    """Of the last change of the touch in each 0.1 s since the Unix epoch in which there was one: a feed conflated."""
    moves = moves_by_row(session, horizon_seconds, start, stop)
    tenth = moves.time_ns // (SECOND_NS // 10)
    last = np.append(tenth[1:] != tenth[:-1], True)[: len(tenth)]
    return Moves(moves.row[last], moves.time_ns[last], moves.change_bps[last], moves.last_bps[last])


def _touch_changes(session: Session) -> npt.NDArray[np.bool_]:
    shown = np.stack([session.bid_ticks, session.bid_lots, session.ask_ticks, session.ask_lots])
    return np.append(True, (shown[:, 1:] != shown[:, :-1]).any(axis=0))


def moves_by_time(session: Session, horizon_seconds: float, start: int, stop: int, grid_seconds: float = GRID_SECONDS) -> Moves:
    """Of the moments between those rows."""
    times = session.receive_ns
    if stop <= start:
        return _moves(session, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), horizon_seconds)
    grid_ns = round(grid_seconds * SECOND_NS)
    end_ns = min(int(times[stop - 1]), int(times[-1]) - round(horizon_seconds * SECOND_NS))
    moments = np.arange(-(-int(times[start]) // grid_ns) * grid_ns, end_ns + 1, grid_ns, dtype=np.int64)
    return _moves(session, np.searchsorted(times, moments, side="right") - 1, moments, horizon_seconds)


def _moves(session: Session, row: Integers, time_ns: Integers, horizon_seconds: float) -> Moves:
    horizon_ns = round(horizon_seconds * SECOND_NS)
    times, mid = session.receive_ns, session.mid_ticks
    later = np.searchsorted(times, time_ns + horizon_ns, side="right") - 1
    earlier = np.maximum(np.searchsorted(times, time_ns - horizon_ns, side="right") - 1, 0)
    now = mid[row]
    return Moves(row, time_ns, 1e4 * (mid[later] - now) / now, 1e4 * (now - mid[earlier]) / now)
