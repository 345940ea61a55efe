"""Journals for tests, written by the real writer's thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmd.daemon.core_building import trader_config
from mmd.daemon.session_journal import session_begin
from mmd.daemon.settings import Settings
from mmd.journal.records import SessionBegin
from mmd.journal.settings import JournalSettings
from mmd.journal.writer import JournalStatus, JournalWriter
from mmd.mock.instruments import listed
from mmd.types.market import Side, TouchUpdate

START_NS = 1_700_000_000_000_000_000
PATIENCE_SECONDS = 20.0
ROOMY = JournalSettings(min_free_bytes=0, flush_seconds=0.01)


def a_beginning(**settings: Any) -> SessionBegin:
    made = Settings.model_validate({"quoting": {"strategy": "fixed"}, **settings})
    instruments = {instrument.symbol: instrument for instrument in listed(made.symbols)}
    return session_begin(made, trader_config(made, START_NS), START_NS, instruments, None, None, None, {})


def touches(count: int, begin: int = 0) -> list[TouchUpdate]:
    return [TouchUpdate("BTCUSDT", START_NS + n, 0, n, 100 + n % 7, 1 + n % 3, 108 + n % 5, 1) for n in range(begin, begin + count)]


def write(root: Path, records: Iterable[Any], settings: JournalSettings = ROOMY, session: str = "session") -> JournalStatus:
    writer = JournalWriter(root, session, settings)
    writer.begin(a_beginning())
    for record in records:
        writer.append(record)
    return writer.close("over", START_NS + 10**9)


def wait_for(what: str, check: Callable[[], Any]) -> None:
    """A thread and a disk: there is nothing to wait on, so it is looked at until the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(0.005)


__all__ = ["ROOMY", "START_NS", "Side", "a_beginning", "touches", "wait_for", "write"]
