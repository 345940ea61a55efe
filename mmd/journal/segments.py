"""Segment files: blocks of compressed records that say where they belong, so that what a crash tore off is found, and no more lost.

A file is a head and then blocks. Head: magic, number of the segment, number of its first record, the session's name, CRC-32 of
all that. Block: mark, compressed length, CRC-32 of all that follows, count of records, number of the first record; then the bytes:
zlib of chunks, each with its length before it. All numbers are little-endian.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from mmd.journal.background_flush import BackgroundFlush
from mmd.journal.errors import JournalError

MAGIC = b"MMDJRNL\x01"
MARK = b"BLK\x01"
SUFFIX = ".journal"
_HEAD = struct.Struct("<8sIQ16s")
_CHECK = struct.Struct("<I")
_BLOCK = struct.Struct("<4sIIIQ")
_PLACE = struct.Struct("<IQ")
_LENGTH = struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CHECK.size
MOST_BLOCK_BYTES = 256_000_000
"""No block is larger, compressed or not: a length beyond it is damage."""
OWNER_ONLY = 0o600


def segment_path(folder: Path, number: int) -> Path:
    """Names sort as their numbers do."""
    return folder / f"{number:06d}{SUFFIX}"


def segment_paths(folder: Path) -> list[Path]:
    """The segments of a session, oldest first. Raises `OSError`."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def block(chunks: Sequence[bytes], count: int, first_record: int, compression_level: int) -> bytes:
    """A block as it stands in a file."""
    body = zlib.compress(b"".join(_LENGTH.pack(len(chunk)) + chunk for chunk in chunks), compression_level)
    return _BLOCK.pack(MARK, len(body), _checksum(body, count, first_record), count, first_record) + body


def _checksum(body: bytes, count: int, first_record: int) -> int:
    return zlib.crc32(body, zlib.crc32(_PLACE.pack(count, first_record)))


class SegmentFile:
    """One file that is being written. Every method raises `OSError`."""

    def __init__(self, folder: Path, number: int, session: str, first_record: int) -> None:
        self.path = segment_path(folder, number)
        head = _HEAD.pack(MAGIC, number, first_record, session.encode()[:16])
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        self.size = 0
        self._unsynced = self._unflushed = True
        try:
            self.write(head + _CHECK.pack(zlib.crc32(head)))
            os.fsync(self._descriptor)
        except OSError:
            self.abandon()
            raise

    def write(self, content: bytes) -> None:
        """Whole blocks, past Python's buffers: what this returns from survives the process."""
        left = memoryview(content)
        while left:
            written = os.write(self._descriptor, left)
            self.size += written
            left = left[written:]
        self._unsynced = self._unflushed = True

    def sync(self) -> None:
        """What was written survives the machine."""
        if self._unsynced:
            os.fsync(self._descriptor)
            self._unsynced = False

    def flush_beside(self) -> BackgroundFlush | None:
        """Begin to bring what was written to disk; None where nothing was since the last time. `close` makes sure of it anyway."""
        if not self._unflushed:
            return None
        flush = BackgroundFlush(self._descriptor)
        self._unflushed = False
        return flush

    def close(self) -> None:
        """On disk when it returns."""
        try:
            self.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close without asking whether what was written is there."""
        with suppress(OSError):
            os.close(self._descriptor)


class Block(msgspec.Struct, frozen=True):
    """A block that was read."""

    first_record: int
    count: int
    chunks: tuple[bytes, ...]


class Torn(msgspec.Struct, frozen=True):
    """The end of a file that was not written to its end."""

    path: Path
    position: int
    """Of the first byte that does not count."""
    bytes_ignored: int
    why: str


class SegmentReader:
    """The blocks of one file, in order. Afterwards `torn` says whether its end was cut."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: Torn | None = None
        self.bytes_read = 0

    def blocks(self) -> Iterator[Block]:
        """Raises `JournalError` for damage that no crash explains, `OSError` where the file cannot be read."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if not self._is_head(head, size):
                return
            position = self.bytes_read = HEAD_BYTES
            while position < size:
                file.seek(position)
                head = file.read(_BLOCK.size)
                if len(head) < _BLOCK.size:
                    self._tear(position, size, "it ends within the head of a block")
                    return
                mark, length, check, count, first_record = _BLOCK.unpack(head)
                if mark != MARK or length > MOST_BLOCK_BYTES:
                    if self._all_zero(head) and self._all_zero(file.read()):
                        self._tear(position, size, "nothing but zeros follows")
                        return
                    raise self._damage(position, "no block begins there")
                body = file.read(length)
                end = position + _BLOCK.size + length
                if len(body) < length:
                    if self._holds_a_block(body):
                        raise self._damage(position, "the length of the block there is wrong")
                    self._tear(position, size, "it ends within a block")
                    return
                if _checksum(body, count, first_record) != check:
                    if end == size:
                        self._tear(position, size, "the last block is not what was written")
                        return
                    raise self._damage(position, "the checksum of the block there does not match")
                self.bytes_read = position = end
                yield Block(first_record, count, tuple(self._chunks(body, position)))

    def first_record(self) -> int:
        """Number of the file's first record. Raises `JournalError`, `OSError`."""
        with self.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if not self._is_head(head, len(head)):
            raise self._damage(0, "the file has no head")
        number: int = _HEAD.unpack(head[: _HEAD.size])[2]
        return number

    def _is_head(self, head: bytes, size: int) -> bool:
        if len(head) < HEAD_BYTES or (self._all_zero(head)):
            self._tear(0, size, "it ends within its head")
            return False
        if head[: len(MAGIC)] != MAGIC:
            raise self._damage(0, "it is no journal of this format")
        if zlib.crc32(head[: _HEAD.size]) != _CHECK.unpack(head[_HEAD.size :])[0]:
            raise self._damage(0, "the checksum of its head does not match")
        return True

    def _chunks(self, body: bytes, position: int) -> Iterator[bytes]:
        unpacking = zlib.decompressobj()
        try:
            content = unpacking.decompress(body, MOST_BLOCK_BYTES)
        except zlib.error as error:
            raise self._damage(position, f"the block there cannot be decompressed: {error}") from error
        if not unpacking.eof:
            raise self._damage(position, "the block there is larger than any that is written")
        at = 0
        while at < len(content):
            begin = at + _LENGTH.size
            at = begin + _LENGTH.unpack_from(content, at)[0] if begin <= len(content) else len(content) + 1
            if at > len(content):
                raise self._damage(position, "the block there ends within a chunk")
            yield content[begin:at]

    def _tear(self, position: int, size: int, why: str) -> None:
        self.torn = Torn(self.path, position, size - position, why)

    def _damage(self, position: int, why: str) -> JournalError:
        return JournalError(f"{self.path} is damaged at byte {position:,}: {why}. Restore the file from a backup")

    @staticmethod
    def _holds_a_block(content: bytes) -> bool:
        """Whether a whole block begins somewhere in there: then what is before it was not torn off."""
        at = content.find(MARK)
        while at >= 0:
            body_at = at + _BLOCK.size
            if body_at <= len(content):
                _, length, check, count, first_record = _BLOCK.unpack_from(content, at)
                if _checksum(content[body_at : body_at + length], count, first_record) == check:
                    return True
            at = content.find(MARK, at + 1)
        return False

    @staticmethod
    def _all_zero(content: bytes) -> bool:
        return not content.strip(b"\0")
