"""Files of a recording: gzip that survives a crash up to its last flush, one series of segments for each symbol."""

from __future__ import annotations

import datetime
import errno
import gzip
import os
import shutil
from contextlib import suppress
from pathlib import Path

from mmd.recording.settings import RecordingSettings

_SECOND_NS = 1_000_000_000


def segment_name(market: str, symbol: str, begin_ns: int) -> str:
    """`MARKET__SYMBOL_YYYYMMDDTHHMMSSnnnnnnnnnZ.gz`, UTC of the first line: names sort as time does."""
    moment = datetime.datetime.fromtimestamp(begin_ns // _SECOND_NS, datetime.UTC)
    return f"{market}__{symbol.lower()}_{moment:%Y%m%dT%H%M%S}{begin_ns % _SECOND_NS:09d}Z.gz"


class Segment:
    """One file. Never overwrites another. Every method raises `OSError`."""

    def __init__(self, path: Path, begin_ns: int, compression_level: int) -> None:
        self.path = path
        self.begin_ns = begin_ns
        self._file = path.open("xb")
        try:
            self._gzip = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=compression_level, mtime=begin_ns // _SECOND_NS)
            # The file's name must outlast a crash as its content does.
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            self._file.close()
            raise
        self._dirty = False

    @property
    def size(self) -> int:
        """Compressed bytes in the file so far."""
        return self._file.tell()

    def write(self, lines: bytes) -> None:
        """Whole lines."""
        self._dirty = True
        self._gzip.write(lines)

    def flush(self) -> None:
        """Everything written is on disk and can be read, whatever happens now."""
        if self._dirty:
            self._gzip.flush()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._dirty = False

    def close(self) -> None:
        """End the gzip stream; on disk when it returns."""
        try:
            self._gzip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close without asking whether it works: the disk already refused."""
        with suppress(OSError):
            self._gzip.close()
        with suppress(OSError):
            self._file.close()


class SegmentSet:
    """The open segment of each symbol of one market in one folder. `write`, `flush` and `close` raise `OSError`."""

    def __init__(self, folder: Path, market: str, settings: RecordingSettings) -> None:
        self._folder = folder
        self._market = market
        self._settings = settings
        self._open: dict[str, Segment] = {}
        self.segments = 0
        """Files begun."""
        self.bytes_closed = 0
        self._bytes_before = sum(path.stat().st_size for path in folder.glob("*.gz"))

    @property
    def bytes_written(self) -> int:
        """Compressed bytes of this recording."""
        return self.bytes_closed + sum(segment.size for segment in self._open.values())

    def write(self, symbol: str, lines: bytes, begin_ns: int) -> None:
        """Lines received from `begin_ns` on; a segment that is full or old is closed first."""
        segment = self._open.get(symbol)
        if segment is not None and self._is_over(segment, begin_ns):
            self._close(symbol)
            segment = None
        if segment is None:
            path = self._folder / segment_name(self._market, symbol, begin_ns)
            segment = self._open[symbol] = Segment(path, begin_ns, self._settings.compression_level)
            self.segments += 1
        segment.write(lines)

    def flush(self) -> None:
        """Everything on disk; also looks whether there is room for more."""
        for segment in self._open.values():
            segment.flush()
        free = shutil.disk_usage(self._folder).free
        if free < self._settings.min_free_bytes:
            raise OSError(errno.ENOSPC, f"{free:,} bytes are free, fewer than min_free_bytes ({self._settings.min_free_bytes:,})")
        total = self._bytes_before + self.bytes_written
        if total > self._settings.max_total_bytes:
            limit = self._settings.max_total_bytes
            raise OSError(errno.EDQUOT, f"the folder's recordings have {total:,} bytes, more than max_total_bytes ({limit:,})")

    def close(self) -> None:
        """Every segment; the first error is raised when all were tried."""
        errors: list[OSError] = []
        for symbol in list(self._open):
            try:
                self._close(symbol)
            except OSError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def abandon(self) -> None:
        """Let go of every segment after a failure."""
        for segment in self._open.values():
            with suppress(OSError):
                self.bytes_closed += segment.size
            segment.abandon()
        self._open.clear()

    def _is_over(self, segment: Segment, now_ns: int) -> bool:
        settings = self._settings
        return segment.size >= settings.segment_bytes or now_ns - segment.begin_ns >= settings.segment_seconds * _SECOND_NS

    def _close(self, symbol: str) -> None:
        segment = self._open.pop(symbol)
        try:
            segment.close()
        finally:
            with suppress(OSError):
                self.bytes_closed += segment.path.stat().st_size
