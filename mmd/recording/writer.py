"""Frames to files, off the way of a tick: the callback only appends to a bounded buffer, a thread of its own sorts and writes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from mmd.recording.frame_sorter import FrameSorter, Verdict
from mmd.recording.instruments import write_instruments
from mmd.recording.segments import SegmentSet
from mmd.recording.settings import RecordingSettings
from mmd.types.instrument import Instrument

log = structlog.get_logger(__name__)

_DRAIN_SECONDS = 0.05
_CLOSE_SECONDS = 30.0
_COMPLAIN_SECONDS = 10.0


class RecordingStatus(msgspec.Struct, frozen=True):
    """Counts since the start. `lost` could not be written, `dropped` found the buffer full: both are holes in the recording."""

    frames: int
    snapshots: int
    bytes_received: int
    bytes_written: int
    bytes_buffered: int
    dropped: int
    lost: int
    repeated: int
    malformed: int
    foreign: int
    segments: int
    failures: int
    failure: str
    """What the disk refused last; empty while it works."""


class RecordingWriter:
    """Records the frames of one market's symbols into `folder`. `start`, then the callbacks, then `close`.

    Raises `OSError` or `InstrumentsFileError` where the folder cannot be written at the start. Later failures are logged and
    counted, and a new file is tried after `retry_seconds`.
    """

    def __init__(self, folder: Path, market: str, instruments: Mapping[str, Instrument], settings: RecordingSettings) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_instruments(folder, market, instruments.values())
        self.folder = folder
        self._market = market
        self._settings = settings
        self._sorter = FrameSorter(instruments)
        self._segments = SegmentSet(folder, market, settings)
        self._queue: deque[tuple[int, str, bytes]] = deque()
        self._max_buffer_bytes = settings.max_buffer_bytes
        self._bytes_accepted = 0
        self._bytes_taken = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording writer", daemon=True)
        self._frames = self._snapshots = self._dropped = self._lost = self._failures = 0
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._failure = ""
        self._retry_at = 0.0
        self._flush_at = 0.0
        self._complained_at = 0.0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def on_frame(self, receive_ns: int, frame: bytes) -> None:
        """A market frame as it was received. Called where the bytes arrive."""
        self._accept(receive_ns, "", frame)

    def on_snapshot(self, receive_ns: int, symbol: str, body: bytes) -> None:
        """A REST depth reply as it was received."""
        self._accept(receive_ns, symbol, body)

    def close(self) -> RecordingStatus:
        """Write what is left and close every file."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            self._failure = self._failure or f"the disk did not take the last frames within {_CLOSE_SECONDS:g} s"
            log.critical("recording did not end", folder=str(self.folder), detail=self._failure)
        return self.status()

    def status(self) -> RecordingStatus:
        """The counts now."""
        verdicts = self._verdicts
        return RecordingStatus(
            frames=self._frames,
            snapshots=self._snapshots,
            bytes_received=self._bytes_accepted,
            bytes_written=self._segments.bytes_closed if self._stop.is_set() else self._bytes_written(),
            bytes_buffered=self._bytes_accepted - self._bytes_taken,
            dropped=self._dropped,
            lost=self._lost,
            repeated=verdicts[Verdict.REPEATED],
            malformed=verdicts[Verdict.MALFORMED],
            foreign=verdicts[Verdict.FOREIGN],
            segments=self._segments.segments,
            failures=self._failures,
            failure=self._failure,
        )

    def _accept(self, receive_ns: int, symbol: str, body: bytes) -> None:
        if self._bytes_accepted - self._bytes_taken > self._max_buffer_bytes:
            self._dropped += 1
            return
        self._bytes_accepted += len(body)
        self._queue.append((receive_ns, symbol, body))

    # ---- the thread

    def _run(self) -> None:
        while True:
            stopping = self._stop.is_set()
            self._turn(stopping)
            if stopping:
                return
            self._stop.wait(_DRAIN_SECONDS)

    def _turn(self, stopping: bool) -> None:
        now = time.monotonic()
        batches = self._take()
        self._complain(now)
        if self._failure and now < self._retry_at and not stopping:
            self._lost += sum(count for _, count, _ in batches.values())
            return
        try:
            for symbol in list(batches):
                lines, count, begin_ns = batches[symbol]
                self._segments.write(symbol, bytes(lines), begin_ns)
                del batches[symbol]
                self._frames += count
            if stopping:
                self._segments.close()
            elif now >= self._flush_at:
                self._segments.flush()
                self._flush_at = now + self._settings.flush_seconds
                self._recovered()
        except OSError as error:
            self._lost += sum(count for _, count, _ in batches.values())
            self._failed(error, now)

    def _take(self) -> dict[str, tuple[bytearray, int, int]]:
        """Everything that is waiting: by symbol its lines, how many are frames, and the first one's time."""
        batches: dict[str, tuple[bytearray, int, int]] = {}
        queue, verdicts = self._queue, self._verdicts
        for _ in range(len(queue)):
            receive_ns, symbol, body = queue.popleft()
            self._bytes_taken += len(body)
            is_frame = not symbol
            if symbol:
                body = body.replace(b"\n", b"")
                self._snapshots += 1
            else:
                verdict, symbol = self._sorter(body)
                verdicts[verdict] += 1
                if verdict is not Verdict.KEEP:
                    continue
            lines, count, begin_ns = batches.get(symbol) or (bytearray(), 0, receive_ns)
            lines += b"%d %b\n" % (receive_ns, body)
            batches[symbol] = (lines, count + is_frame, begin_ns)
        return batches

    def _failed(self, error: OSError, now: float) -> None:
        self._segments.abandon()
        self._failures += 1
        self._failure = f"{error.strerror or error} ({error.filename})" if error.filename else str(error.strerror or error)
        self._retry_at = now + self._settings.retry_seconds
        log.critical("the recording cannot be written", folder=str(self.folder), error=self._failure, failures=self._failures)

    def _recovered(self) -> None:
        if self._failure:
            log.warning("recording goes on in new files", folder=str(self.folder), lost=self._lost)
            self._failure = ""

    def _complain(self, now: float) -> None:
        if (self._dropped or self._lost) and now - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at = now
            log.error("the recording has holes", dropped=self._dropped, lost=self._lost, error=self._failure)

    def _bytes_written(self) -> int:
        # Read from another thread than the one that writes: a file may be closed between two looks.
        try:
            return self._segments.bytes_written
        except (OSError, ValueError, RuntimeError):
            return self._segments.bytes_closed
