"""Records to files, off the way of a tick: the shell only appends objects that are there anyway; a thread encodes and writes.

The thread encodes a few records at a time, so that it never keeps the interpreter's lock long: compressing and writing release it.
What the disk does not take waits; when too much waits the journal says so (`problem`), and counts what it loses from then on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from mmd.journal.background_flush import BackgroundFlush
from mmd.journal.codec import RecordEncoder
from mmd.journal.folder import JournalFolder
from mmd.journal.records import Gap, Record, SessionBegin, SessionEnd
from mmd.journal.segments import SegmentFile, block
from mmd.journal.settings import JournalSettings

log = structlog.get_logger(__name__)

CHUNK_RECORDS = 32
"""Encoded in one go, some ten microseconds: as long as a tick may have to wait for the interpreter's lock."""
BLOCK_BYTES = 128_000
"""A block is written when so many bytes were encoded, or after `flush_seconds`."""
_DRAIN_SECONDS = 0.05
_CLOSE_SECONDS = 30.0


class Listener(Protocol):
    """Hears every record in its order, on the journal's thread."""

    def take(self, records: Sequence[Record]) -> None:
        """These too."""

    def problem(self) -> str:
        """What is wrong, empty if nothing is."""


class JournalStatus(msgspec.Struct, frozen=True):
    """Counts since the start. `lost` records are missing, `dropped_segments` were removed to make room."""

    folder: str
    records: int
    waiting: int
    bytes_written: int
    segments: int
    lost: int
    dropped_segments: int
    failures: int
    failure: str
    """What the disk refused last; empty while it works."""
    outbound_sha256: str


class JournalWriter:
    """One session's. Give `append` and `extend` records from one thread; `begin`, then `check` now and then, at the end `close`."""

    def __init__(self, root: Path, session: str, settings: JournalSettings) -> None:
        self._settings = settings
        self._session = session
        self._place = JournalFolder(root, session, settings)
        self.listener: Listener | None = None
        """To be set before `begin`."""
        self._queue: deque[Record] = deque()
        self._bound = settings.max_waiting_records
        self.append: Callable[[Record], None] = self._queue.append
        """Takes one record. An attribute, so that it costs no call of ours."""
        self.extend: Callable[[list[Record]], None] = self._queue.extend
        self._encoder = RecordEncoder()
        self._chunks: list[bytes] = []
        self._chunk_bytes = 0
        self._count = 0
        self._pending: bytes | None = None
        self._segment: SegmentFile | None = None
        self._segment_number = 0
        self._flush: BackgroundFlush | None = None
        self._records = 0
        self._written = 0
        self._bytes = 0
        self._lost = 0
        self._lost_before = 0
        self._failures = 0
        self._failure = ""
        self._overflow = ""
        self._flush_at = self._sync_at = self._retry_at = 0.0
        self._digest = self._encoder.outbound.hexdigest()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal writer", daemon=True)

    def begin(self, begin: SessionBegin) -> None:
        """Open the session's folder and start to write. Raises `OSError` where that cannot be had."""
        self._place.make()
        self._open_segment()
        self._queue.appendleft(begin)
        self._thread.start()

    @property
    def crowded(self) -> bool:
        """Whether more records wait than may: `check` must be called before another is appended."""
        return len(self._queue) > self._bound

    def check(self) -> str:
        """What is wrong, empty if nothing is; to be called by whoever appends. Where too much waits, the rest is only counted."""
        if self._overflow:
            if not self._failure and not self._queue:
                self._queue.append(Gap(self._lost - self._lost_before))
                self._lost_before = self._lost
                self._overflow = ""
                self.append, self.extend = self._queue.append, self._queue.extend
        elif self.crowded:
            self._overflow = f"{len(self._queue):,} records wait for the disk, more than journal.max_waiting_records"
            self.append, self.extend = self._lose_one, self._lose
        problem = self._overflow or self._failure
        return problem or (self.listener.problem() if self.listener is not None else "")

    def status(self) -> JournalStatus:
        """The counts now."""
        return JournalStatus(
            folder=str(self._place.folder),
            records=self._written,
            waiting=len(self._queue) + self._records - self._written,
            bytes_written=self._bytes,
            segments=self._segment_number,
            lost=self._lost,
            dropped_segments=self._place.dropped,
            failures=self._failures,
            failure=self._overflow or self._failure,
            outbound_sha256=self._digest,
        )

    def close(self, detail: str, now_ns: int) -> JournalStatus:
        """Write what is left, the session's end, and close. Nothing is taken afterwards."""
        self.append, self.extend = self._lose_one, self._lose
        if not self._thread.ident:
            return self.status()
        self._detail, self._ended_ns = detail, now_ns
        self._stop.set()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self._failure = self._failure or f"the disk did not take the last records within {_CLOSE_SECONDS:g} s"
        status = self.status()
        whole = not (status.lost or status.waiting or status.failure)
        (log.info if whole else log.critical)("journal ended", **msgspec.structs.asdict(status))
        return status

    _detail = ""
    _ended_ns = 0

    def _lose_one(self, _record: Record) -> None:
        self._lost += 1

    def _lose(self, records: list[Record]) -> None:
        self._lost += len(records)

    # ---- the thread

    def _run(self) -> None:
        try:
            while not self._stop.wait(_DRAIN_SECONDS):
                self._turn(time.monotonic())
            self._finish()
        except Exception as error:
            self._failures += 1
            self._failure = f"the journal's thread died: {type(error).__name__}: {error}"
            log.critical(self._failure, exc_info=error)

    def _turn(self, now: float) -> None:
        if self._failure and now < self._retry_at:
            return
        try:
            self._look_after_flush()
            self._drain()
            if now >= self._flush_at:
                self._flush_at = now + self._settings.flush_seconds
                self._write_block()
            if now >= self._sync_at:
                self._sync_at = now + self._settings.sync_seconds
                self._sync()
            self._recovered()
        except OSError as error:
            self._failed(error, now)

    def _drain(self) -> None:
        """Encode everything that waits, a chunk at a time; write each block that fills up."""
        self._write_pending()
        queue = self._queue
        waiting = len(queue)
        while waiting:
            chunk = [queue.popleft() for _ in range(min(CHUNK_RECORDS, waiting))]
            waiting -= len(chunk)
            if self.listener is not None:
                self.listener.take(chunk)
            encoded = self._encoder.encode(chunk)
            self._chunks.append(encoded)
            self._chunk_bytes += len(encoded)
            self._count += len(chunk)
            if self._chunk_bytes >= BLOCK_BYTES:
                self._write_block()

    def _write_block(self) -> None:
        if self._count:
            self._pending = block(self._chunks, self._count, self._records, self._settings.compression_level)
            self._records += self._count
            self._chunks, self._chunk_bytes, self._count = [], 0, 0
            self._digest = self._encoder.outbound.hexdigest()
        self._write_pending()

    def _write_pending(self) -> None:
        """What the disk refuses is kept, whole, and goes into the next file."""
        if self._pending is None:
            return
        if self._segment is None or self._segment.size >= self._settings.segment_bytes:
            self._open_segment()
        assert self._segment is not None
        self._place.make_room(len(self._pending), keep=self._segment.path)
        self._segment.write(self._pending)
        self._bytes += len(self._pending)
        self._place.written(len(self._pending))
        self._pending = None
        self._written = self._records

    def _open_segment(self) -> None:
        if self._segment is not None:
            self._end_flush()
            segment, self._segment = self._segment, None
            segment.close()
        number, self._segment_number = self._segment_number, self._segment_number + 1
        self._segment = SegmentFile(self._place.folder, number, self._session, self._written)
        self._place.flush()

    def _sync(self) -> None:
        segment = self._segment
        if segment is not None:
            if not self._settings.sync_seconds:
                segment.sync()
            elif self._flush is None:
                self._flush = segment.flush_beside()
        self._place.check_free()

    def _look_after_flush(self) -> None:
        if self._flush is not None and self._flush.done:
            self._end_flush()

    def _end_flush(self) -> None:
        if self._flush is not None:
            flush, self._flush = self._flush, None
            flush.wait()

    def _failed(self, error: OSError, now: float) -> None:
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None
        self._flush = None
        self._failures += 1
        text = f"{error.strerror or error} ({error.filename})" if error.filename else str(error.strerror or error)
        self._failure = f"the journal cannot be written: {text}"
        self._retry_at = now + self._settings.retry_seconds
        log.critical(self._failure, folder=str(self._place.folder), failures=self._failures, waiting=len(self._queue))

    def _recovered(self) -> None:
        if self._failure:
            log.warning("the journal is written again", folder=str(self._place.folder), lost=self._lost)
            self._failure = ""

    def _finish(self) -> None:
        """At the end: everything, in spite of an earlier failure."""
        try:
            if self._lost > self._lost_before:
                self._queue.append(Gap(self._lost - self._lost_before))
            self._drain()
            self._write_block()
            outbound = self._encoder.outbound
            end = SessionEnd(
                self._ended_ns, self._detail, self._records, outbound.requests, outbound.commands, outbound.hexdigest()
            )
            self._queue.append(end)
            self._drain()
            self._write_block()
            self._end_flush()
            if self._segment is not None:
                self._segment.close()
            self._recovered()
        except OSError as error:
            self._failed(error, time.monotonic())
