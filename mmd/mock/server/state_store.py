"""Accounts, orders, trades and ids that survive a restart, also one by kill -9.

Two kinds of files: a *checkpoint* (the engine's snapshot, written atomically: temporary file, fsync, rename) and *journals* of what
happened to accounts since. Each operation that touches an account is appended to the journal before anybody hears of it, so nothing
acknowledged is lost with the process. (The journal is not synced to the disk for each record: a power cut may cost its tail.)

A journal bears the number of the checkpoint it follows. While a checkpoint is being written the next journal is already in use;
loading applies every journal whose number is not below the checkpoint's, in order. A start writes a checkpoint of what it loaded
and then deletes the journals before it, so that no number of crashes makes the files longer.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec
import structlog

from mmd.mock import engine_snapshot
from mmd.mock.engine import AccountTrade, BalancesChanged, EngineEvent, ExecutionType, MatchingEngine, Order, OrderReport
from mmd.mock.server.state_merge import JournalRecord, merge
from mmd.types.decoding import UNREADABLE
from mmd.types.orders import Balance

_CHECKPOINT = "checkpoint.msgpack"
_JOURNAL_PREFIX = "journal-"
_LENGTH_BYTES = 4
_SNAPSHOT_REST_FACTOR = 200
"""A snapshot stops the exchange for a moment: at least this many times as long passes until the next one."""
_IDS_AHEAD = 250_000
_JOURNAL_BYTES = 32 << 20
"""A journal as long as this is due for a checkpoint, however short the time: a start reads all of it."""

logger = structlog.get_logger(__name__)


class StateError(RuntimeError):
    """The state directory cannot be used."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The file. `clean`: written at an orderly stop, so that no id was used after it."""

    number: int
    clean: bool
    engine: bytes


class StateStore:
    """Keeps the state in `directory`; without one, it keeps nothing. Checkpoints follow a change after `interval` (s)."""

    def __init__(self, directory: Path | None, interval: float) -> None:
        self._directory = directory
        self._interval = interval
        self._snapshot_seconds = 0.0
        self._number = 0
        self._journal: IO[bytes] | None = None
        self._journal_bytes = 0
        self._changed_at: float | None = None
        self._saved_update_ids: dict[str, int] = {}
        self._lock: IO[bytes] | None = None
        self._writing = threading.Lock()
        self._written = 0

    def load(self) -> bytes | None:
        """Lock the directory and give the engine's snapshot, brought up to date; None where there is none. Raises `StateError`."""
        if self._directory is None:
            return None
        self._directory.mkdir(parents=True, exist_ok=True)
        self._acquire(self._directory)
        path = self._directory / _CHECKPOINT
        if not path.exists():
            return None
        try:
            checkpoint = msgspec.msgpack.decode(path.read_bytes(), type=Checkpoint)
        except UNREADABLE as error:
            raise StateError(
                f"{path} is no checkpoint of the mock exchange ({error}); delete it to start with fresh accounts"
            ) from error
        records = [
            record for number, journal in self._journals() if number >= checkpoint.number for record in _read_journal(journal)
        ]
        self._number = max([checkpoint.number, *(number for number, _ in self._journals())])
        logger.info("state restored", directory=str(self._directory), checkpoint=checkpoint.number, journal_records=len(records))
        state = merge(engine_snapshot.decode(checkpoint.engine), records, after_crash=not checkpoint.clean or bool(records))
        return engine_snapshot.encode(state)

    def record(self, engine: MatchingEngine, events: Sequence[EngineEvent]) -> None:
        """Append what one operation did to accounts. Raises OSError where it cannot be written."""
        if self._journal is None:
            return
        record = _record_of(engine, events)
        payload = msgspec.msgpack.encode(record)
        line = len(payload).to_bytes(_LENGTH_BYTES, "big") + payload
        if self._journal.write(line) != len(line):
            raise OSError(
                f"{self._journal.name}: a record could not be written whole; free some space and restart the mock exchange"
            )
        self._journal_bytes += len(line)
        if self._changed_at is None:
            self._changed_at = time.monotonic()

    def begin(self, engine: MatchingEngine) -> None:
        """Write the first checkpoint of this run and open its journal."""
        if self._directory is not None:
            self._write(*self._rotate(engine, clean=False))

    async def checkpoint_if_due(self, engine: MatchingEngine) -> None:
        """Write a checkpoint where a change has waited long enough for one, or the ids have run far ahead of the last."""
        if self._directory is None or not self._is_due(engine):
            return
        await asyncio.to_thread(self._write, *self._rotate(engine, clean=False))

    def close(self, engine: MatchingEngine) -> None:
        """Write the last checkpoint and give the directory free."""
        if self._directory is None or self._lock is None:
            return
        if self._journal is not None:
            self._write(*self._rotate(engine, clean=True))
            self._journal.close()
            self._journal = None
        self._lock.close()
        self._lock = None

    def forget(self) -> None:
        """Delete what is kept, after `close`: the next start begins with fresh accounts."""
        if self._directory is not None:
            for path in (self._directory / _CHECKPOINT, *(path for _, path in self._journals())):
                path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Give the directory free without writing (the exchange did not start)."""
        for file in (self._journal, self._lock):
            if file is not None:
                file.close()
        self._journal = self._lock = None

    def _is_due(self, engine: MatchingEngine) -> bool:
        if self._journal_bytes >= _JOURNAL_BYTES:
            return True
        if self._changed_at is not None:
            pause = max(self._interval, self._snapshot_seconds * _SNAPSHOT_REST_FACTOR)
            if time.monotonic() - self._changed_at >= pause:
                return True
        return any(engine.touch(symbol)[0] - saved > _IDS_AHEAD for symbol, saved in self._saved_update_ids.items())

    def _rotate(self, engine: MatchingEngine, *, clean: bool) -> tuple[int, bytes]:
        """Take the snapshot and, in the same breath, turn to a new journal. Returns number and content of the checkpoint file."""
        assert self._directory is not None
        self._number += 1
        if self._journal is not None:
            self._journal.close()
        self._journal = (self._directory / f"{_JOURNAL_PREFIX}{self._number:09d}").open("wb", buffering=0)
        self._journal_bytes = 0
        self._changed_at = None
        self._saved_update_ids = {symbol: engine.touch(symbol)[0] for symbol in engine.instruments}
        started = time.monotonic()
        content = msgspec.msgpack.encode(Checkpoint(self._number, clean, engine.snapshot()))
        self._snapshot_seconds = time.monotonic() - started
        return self._number, content

    def _write(self, number: int, content: bytes) -> None:
        # At a stop the thread of an earlier checkpoint may still be at work: the newer one waits, and is never overwritten.
        with self._writing:
            if number > self._written:
                self._replace_checkpoint(number, content)
                self._written = number

    def _replace_checkpoint(self, number: int, content: bytes) -> None:
        assert self._directory is not None
        path = self._directory / _CHECKPOINT
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        for journal_number, journal in self._journals():
            if journal_number < number:
                journal.unlink()

    def _journals(self) -> list[tuple[int, Path]]:
        assert self._directory is not None
        return sorted((int(path.name.removeprefix(_JOURNAL_PREFIX)), path) for path in self._directory.glob(f"{_JOURNAL_PREFIX}*"))

    def _acquire(self, directory: Path) -> None:
        self._lock = (directory / "lock").open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            self._lock = None
            raise StateError(f"{directory} is in use by another mock exchange; stop it or name another directory") from error


def _record_of(engine: MatchingEngine, events: Sequence[EngineEvent]) -> JournalRecord:
    orders: dict[int, Order] = {}
    trades: list[AccountTrade] = []
    balances: dict[str, list[Balance]] = {}
    for event in events:
        if isinstance(event, OrderReport):
            if event.execution_type != ExecutionType.REJECTED:
                orders[event.order_id] = engine.find_order(event.account, event.symbol, order_id=event.order_id)
            if event.trade is not None:
                trades.append(event.trade)
        elif isinstance(event, BalancesChanged):
            balances[event.account] = [balance for balance in engine.balances(event.account) if balance.asset in event.assets]
    return JournalRecord(list(orders.values()), trades, balances)


def _read_journal(path: Path) -> list[JournalRecord]:
    content = path.read_bytes()
    records: list[JournalRecord] = []
    position = 0
    while position + _LENGTH_BYTES <= len(content):
        length = int.from_bytes(content[position : position + _LENGTH_BYTES], "big")
        payload = content[position + _LENGTH_BYTES : position + _LENGTH_BYTES + length]
        if len(payload) < length:
            # The process died within this write: nobody has heard of it.
            break
        records.append(msgspec.msgpack.decode(payload, type=JournalRecord))
        position += _LENGTH_BYTES + length
    return records
