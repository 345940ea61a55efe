"""Rows of the cross-asset network for whole sessions: what `mmd.market.reference` would have shown live, worked out at once.

Markets that were received together form a group. Each of them is a primary in turn, the others are its references, in the order
in which the data names them, as many as the network has places for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mmd.learning.sessions import Floats, Integers, Rows, Session
from mmd.market.reference import (
    ASSET_COLUMNS,
    FAST_SHARE,
    FEATURE_PLACES,
    LIMIT,
    SECONDS_PER_NS,
    SLOW_SECONDS,
    STALE_NS,
    Moves,
)

SLOTS = 4
"""Assets that the network has places for: the primary and three references."""
PLACES = list(FEATURE_PLACES)
FRESHNESS = ASSET_COLUMNS - 1


class AssetHistory:
    """The sessions of one series, with the fading moves at each of their rows."""

    def __init__(self, series: str, symbol: str, sessions: Sequence[Session], group: str = "") -> None:
        self.series = series
        self.symbol = symbol
        self.group = group
        self.sessions = tuple(sessions)
        self._moves: dict[int, Floats] = {}

    def moves(self, number: int) -> Floats:
        """[rows, 2] fading sums of a session's mid, fast and slow, over its volatility over H."""
        if number not in self._moves:
            session = self.sessions[number]
            moves = Moves()
            found = np.zeros((session.rows, 2))
            twice = (session.bid_ticks + session.ask_ticks).tolist()
            for row, (time_ns, mid_x2) in enumerate(zip(session.receive_ns.tolist(), twice, strict=True)):
                moves.add(time_ns, mid_x2)
                found[row] = moves.fast, moves.slow
            self._moves[number] = found / session.sigma_ticks[:, None]
        return self._moves[number]

    def number(self, session: Session) -> int:
        """Place of a session of this series. Raises `ValueError` for another one."""
        for number, own in enumerate(self.sessions):
            if own is session:
                return number
        raise ValueError(f"{session.series}: not a session of {self.series}")

    def own_rows(self, number: int, span: slice) -> Rows:
        """[rows, 10] of rows of a session as a primary."""
        market = np.asarray(self.sessions[number].market[span])
        return _rows(self.moves(number)[span], market, np.ones(len(market)))

    def before(self, times: Integers) -> Rows:
        """[moments, 10] as a reference: zeros where nothing fresh stood before the moment."""
        found = np.zeros((len(times), ASSET_COLUMNS), dtype=np.float32)
        for number, session in enumerate(self.sessions):
            row = np.searchsorted(session.receive_ns, times, side="left") - 1
            row = np.maximum(row, 0)
            age = times - session.receive_ns[row]
            known = np.flatnonzero((age > 0) & (age <= STALE_NS))
            if len(known):
                freshness = np.exp2(-age[known] * SECONDS_PER_NS / SLOW_SECONDS)
                found[known] = _rows(self.moves(number)[row[known]], np.asarray(session.market)[row[known]], freshness)
        return found


def _rows(moves: Floats, market: Rows, freshness: Floats) -> Rows:
    fade = np.stack([freshness**FAST_SHARE, freshness], axis=1)
    faded = np.clip(moves * fade, -LIMIT, LIMIT)
    return np.asarray(np.concatenate([faded, market[:, PLACES], freshness[:, None]], axis=1), dtype=np.float32)


def cross_rows(
    primary: AssetHistory, session: Session, references: Sequence[AssetHistory], start: int, stop: int, slots: int = SLOTS
) -> Rows:
    """[rows, slots, 10] of the rows `start` up to `stop` of a session of the primary; places without a reference are neutral."""
    span = slice(start, stop)
    times = np.asarray(session.receive_ns[span])
    found = np.zeros((len(times), slots, ASSET_COLUMNS), dtype=np.float32)
    found[:, 0] = primary.own_rows(primary.number(session), span)
    for slot, reference in enumerate(references[: slots - 1], start=1):
        found[:, slot] = reference.before(times)
    return found


def references_of(primary: AssetHistory, group: Sequence[AssetHistory], slots: int = SLOTS) -> list[AssetHistory]:
    """Those of the primary's group that are another symbol and were received while it was, first ones first."""
    times = [(int(session.receive_ns[0]), int(session.receive_ns[-1])) for session in primary.sessions]
    found = []
    for other in group:
        if not primary.group or other.group != primary.group or other.symbol == primary.symbol:
            continue
        together = any(
            int(session.receive_ns[0]) < end and int(session.receive_ns[-1]) > begin
            for session in other.sessions
            for begin, end in times
        )
        if together:
            found.append(other)
    return found[: slots - 1]


def received_together(histories: Sequence[AssetHistory]) -> bool:
    """Whether any series has a reference."""
    return any(references_of(each, histories) for each in histories)


def with_reference(rows: Rows) -> npt.NDArray[np.bool_]:
    """[rows] whether any reference was fresh."""
    return np.asarray((rows[:, 1:, FRESHNESS] > 0).any(axis=1))
