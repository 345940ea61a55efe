"""The end of the log, kept for people who look at the operator's page: what happened last, bounded, secrets masked."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import msgspec
from structlog.typing import EventDict, WrappedLogger

KEPT = 60
LONGEST_DETAIL = 400
_FIELDS_OF_EVERY_ENTRY = frozenset({"event", "level", "logger", "timestamp", "exception", "stack"})


class Event(msgspec.Struct, frozen=True):
    """One thing that happened. `number` counts up from 1."""

    number: int
    time_ns: int
    level: str
    text: str
    detail: str


class EventTail:
    """The newest `KEPT` events. Any thread may add."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._numbers = count(1)
        self.newest = 0
        """Number of the newest event; 0 while there is none."""

    def __iter__(self) -> Iterator[Event]:
        # Another thread may add meanwhile; `list` of a deque is one step of the interpreter.
        return iter(list(self._events))

    def add(self, level: str, text: str, detail: str = "", time_ns: int | None = None) -> None:
        """One more; the oldest makes room."""
        number = next(self._numbers)
        shown = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}…"
        self._events.append(Event(number, time.time_ns() if time_ns is None else time_ns, level, text[:LONGEST_DETAIL], shown))
        self.newest = number


EVENTS = EventTail()
"""Of this process, whose log is one as well."""


class TailHandler(logging.Handler):
    """Puts entries of the log, as its formatter's last processor leaves them, into `EVENTS`."""

    def emit(self, record: logging.LogRecord) -> None:
        """One entry."""
        try:
            self.format(record)
        except Exception:  # noqa: BLE001 (the way of every handler of the standard library: a log entry never ends its caller)
            self.handleError(record)


def keep_event(logger: WrappedLogger, name: str, entry: EventDict) -> str:
    """A structlog processor that ends a chain: the entry's text, level and fields."""
    detail = "  ".join(f"{key}={_shown(value)}" for key, value in entry.items() if key not in _FIELDS_OF_EVERY_ENTRY)
    stamp = entry.get("timestamp")
    time_ns = round(datetime.fromisoformat(stamp).timestamp() * 1e9) if isinstance(stamp, str) else None
    text = str(entry.get("event", ""))
    EVENTS.add(str(entry.get("level", "info")), text, detail, time_ns)
    return text


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
