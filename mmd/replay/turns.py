"""Turns of a session: an event of the core, what the networks said meanwhile, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from mmd.journal.reader import SessionJournal
from mmd.journal.records import COMMANDS, EVENTS, CoreFailed, Gap, Prediction, SentByShell, SessionBegin, SessionEnd, Unreadable


class Turn(msgspec.Struct):
    """Of the core. `number` is that of the event's record."""

    number: int
    event: Any
    times_ns: list[int] = []
    """How long each inference took."""
    predictions: list[Prediction] = []
    commands: list[Any] = []
    shell_commands: list[Any] = []
    """Cancels that the shell sent on its own."""
    requests: list[bytes] = []
    failure: str = ""
    """The core raised."""
    broken: str = ""
    """Why the journal ends within this turn or right after it, other than by the session's end."""
    end: SessionEnd | None = None
    """The session ended after this turn."""


def turns(journal: SessionJournal, on_progress: Callable[[int], None] | None = None) -> Iterator[Turn]:
    """Every turn in order. The last one bears `end` or `broken`. Raises `JournalError`."""
    turn: Turn | None = None
    for number, record in enumerate(journal.records(on_progress)):
        kind = type(record)
        if kind in EVENTS:
            if turn is not None:
                yield turn
            turn = Turn(number, record)
        elif kind is SessionBegin:
            continue
        elif turn is None:
            turn = Turn(number, None, broken=f"record {number} is a {kind.__name__} before any event")
        if turn is None or kind in EVENTS:
            continue
        if not _add(turn, record):
            yield turn
            return
    if turn is not None:
        torn = journal.torn
        ignored = "" if torn is None else f": {torn.bytes_ignored:,} bytes at the end of {torn.path} do not count, {torn.why}"
        turn.broken = f"the journal has no end, as after a crash{ignored}"
        yield turn


def _add(turn: Turn, record: Any) -> bool:
    """False when nothing after this record can be replayed."""
    kind = type(record)
    if kind is int:
        turn.times_ns.append(record)
    elif kind is tuple:
        turn.predictions.append(record)
    elif kind is bytes:
        turn.requests.append(record)
    elif kind in COMMANDS:
        turn.commands.append(record)
    elif kind is SentByShell:
        turn.shell_commands.append(record.command)
    elif kind is CoreFailed:
        turn.failure = record.text
    elif kind is SessionEnd:
        turn.end = record
        return False
    elif kind is Gap:
        turn.broken = f"{record.lost:,} records are missing here: the disk did not take them in time"
        return False
    elif kind is Unreadable:
        turn.broken = f"an object of type {record.kind} follows, which no journal can hold: {record.text}"
        return False
    return not turn.broken
