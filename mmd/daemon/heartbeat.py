"""A heartbeat that another process can watch: one small record in the state directory, written over again at each beat.

The reader goes by change, never by the time in it: two processes may sit on machines, or in containers, whose clocks differ.
"""

from __future__ import annotations

import os
import struct
import zlib
from enum import IntEnum
from pathlib import Path

import msgspec

DAEMON_NAME = "heartbeat"
GUARD_NAME = "guard-heartbeat"

_RECORD = struct.Struct("<4sIIQQ")
_CHECKSUM = struct.Struct("<I")
_MAGIC = b"mmdh"
_SIZE = _RECORD.size + _CHECKSUM.size
OWNER_ONLY = 0o600


class Life(IntEnum):
    """What a process says of itself."""

    RUNNING = 1
    LEFT_CLEAN = 2
    """It has left, and the venue had confirmed that no order of ours was open."""
    LEFT = 3
    """It has traded, and left without that being known."""
    NEVER_TRADED = 4
    """It could not start, and has sent nothing; what one before it may have left is not known."""
    CUT_OFF = 5
    """It runs, has orders open, and cannot reach the venue to cancel them."""


class Beat(msgspec.Struct, frozen=True, gc=False):
    """One record. `count` rises with each beat; `time_ns` is the writer's UTC clock, for people."""

    life: Life
    process: int
    count: int
    time_ns: int


class HeartbeatError(ValueError):
    """A heartbeat file that says nothing sensible."""


class Heartbeat:
    """Writes. The file stays open; a beat is one system call and no flush, since what it guards against is not a power cut."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        self._count = 0

    def beat(self, now_ns: int, life: Life = Life.RUNNING) -> None:
        """Alive. Raises `OSError`."""
        self._count += 1
        record = _RECORD.pack(_MAGIC, life, os.getpid(), self._count, now_ns)
        os.pwrite(self._descriptor, record + _CHECKSUM.pack(zlib.crc32(record)), 0)

    def close(self, life: Life, now_ns: int) -> None:
        """The last beat says how it ended. Raises `OSError`."""
        try:
            self.beat(now_ns, life)
        finally:
            os.close(self._descriptor)


def read_heartbeat(path: Path) -> Beat | None:
    """The newest record, None when nothing has beaten yet. Raises `HeartbeatError` for one that makes no sense, `OSError`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if not content:
        # Opened by its writer a moment ago, and not yet written.
        return None
    if len(content) != _SIZE:
        raise HeartbeatError(f"{path} has {len(content)} bytes instead of {_SIZE}")
    record, (checksum,) = content[: _RECORD.size], _CHECKSUM.unpack_from(content, _RECORD.size)
    magic, life, process, count, time_ns = _RECORD.unpack(record)
    if magic != _MAGIC or checksum != zlib.crc32(record):
        raise HeartbeatError(f"{path} is no heartbeat, or half written")
    try:
        return Beat(Life(life), process, count, time_ns)
    except ValueError as error:
        raise HeartbeatError(f"{path}: {error}") from error
