"""The thread that books: whatever the file says, trading is told, and what was not booked waits or is asked of the exchange again.

Once too much has waited nothing more is booked until the next start, which asks the exchange for all trades after the last booked
one: so there is never a hole with something after it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from mmd.ledger.entries import RELEVANT, Bookkeeper
from mmd.ledger.settings import LedgerSettings
from mmd.ledger.store import LedgerStore

log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 0.05
_CLOSE_SECONDS = 20.0
_AT_ONCE = 1_000


class LedgerStatus(msgspec.Struct, frozen=True):
    """Counts since the start."""

    booked: int
    waiting: int
    lost: int
    failures: int
    failure: str


class LedgerWriter:
    """`take` records (from one thread), `start`, and at the end `close`. `problem` says why trading must stop."""

    def __init__(self, store: LedgerStore, bookkeeper: Bookkeeper, settings: LedgerSettings) -> None:
        self._store = store
        self._bookkeeper = bookkeeper
        self._settings = settings
        self._queue: deque[Any] = deque()
        self._booked = self._lost = self._failures = 0
        self._failure = self._overflow = ""
        self._retry_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger writer", daemon=True)

    def start(self) -> None:
        """Begin to book."""
        self._thread.start()

    def take(self, records: Sequence[Any]) -> None:
        """Those that concern the ledger; the rest is ignored."""
        relevant = [record for record in records if type(record) in RELEVANT]
        if not relevant:
            return
        if self._overflow or len(self._queue) + len(relevant) > self._settings.max_waiting_records:
            self._overflow = (
                f"the ledger does not keep up: more than ledger.max_waiting_records wait for {self._store.path}; nothing is booked "
                "any more until a restart, which asks the exchange for the rest"
            )
            self._lost += len(relevant)
            return
        self._queue.extend(relevant)

    def problem(self) -> str:
        """Empty while everything is booked."""
        return self._overflow or self._failure

    def status(self) -> LedgerStatus:
        """The counts now."""
        return LedgerStatus(self._booked, len(self._queue), self._lost, self._failures, self.problem())

    def close(self) -> LedgerStatus:
        """Book what is left and let go of the file."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)
        status = self.status()
        (log.info if not (status.waiting or status.failure) else log.critical)("ledger ended", **msgspec.structs.asdict(status))
        return status

    def _run(self) -> None:
        while not self._stop.wait(_DRAIN_SECONDS):
            self._turn(time.monotonic())
        self._retry_at = 0.0
        self._turn(time.monotonic())
        self._store.close()

    def _turn(self, now: float) -> None:
        if self._failure and now < self._retry_at:
            return
        try:
            while self._queue:
                # Taken out only once they are booked: what fails is tried again, whole.
                batch = [self._queue[place] for place in range(min(len(self._queue), _AT_ONCE))]
                self._store.write(lambda connection, batch=batch: self._bookkeeper.book(connection, batch))  # type: ignore[misc]
                for _ in batch:
                    self._queue.popleft()
                self._booked += len(batch)
            if self._failure:
                log.warning("the ledger is written again", path=str(self._store.path))
                self._failure = ""
        except (sqlite3.Error, OSError) as error:
            self._failed(error, now)
        except Exception as error:
            self._failed(error, now)
            log.critical("the ledger's thread met a fault", exc_info=error)

    def _failed(self, error: Exception, now: float) -> None:
        self._failures += 1
        self._failure = f"the ledger {self._store.path} cannot be written: {error}"
        self._retry_at = now + self._settings.retry_seconds
        log.critical(self._failure, failures=self._failures, waiting=len(self._queue))
