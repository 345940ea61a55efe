"""The halt latch on disk, which the guard may set too, and the operator's `HALT` file. What cannot be read counts as halted."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from mmd.daemon.durable import write_durably
from mmd.types.control import HaltRecord
from mmd.types.decoding import UNREADABLE

LATCH_NAME = "halt.json"
OPERATOR_FILE_NAME = "HALT"
VERSION = 1
MAX_REASON_BYTES = 500


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    record: HaltRecord


class HaltFile:
    """Keeps the newest `HaltRecord` in the state directory. Safe to use from the watchdog's thread."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / LATCH_NAME
        self.operator_file = state_dir / OPERATOR_FILE_NAME
        self._lock = threading.Lock()
        self._known = self._stamp()

    def read(self, now_ns: int) -> HaltRecord | None:
        """The record on disk, None when there never was a halt. A file that cannot be understood reads as halted."""
        self._known = self._stamp()
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unreadable(str(error), now_ns)
        try:
            document = msgspec.json.decode(content, type=_Document)
        except UNREADABLE as error:
            return self._unreadable(str(error), now_ns)
        if document.version != VERSION:
            return self._unreadable(f"it has version {document.version}, this program reads {VERSION}", now_ns)
        return document.record

    def latched_by_another(self, now_ns: int) -> HaltRecord | None:
        """The record that another process has put there since we last read or wrote it, once; None where it is no halt."""
        stamp = self._stamp()
        if stamp == self._known or not stamp:
            return None
        record = self.read(now_ns)
        return record if record is not None and record.halted else None

    def write(self, record: HaltRecord) -> None:
        """Put the record on disk; it is there when this returns. Raises `OSError`."""
        with self._lock:
            self._write(record)

    def latch(self, record: HaltRecord) -> HaltRecord:
        """Write a halt unless one stands already: the first cause is kept. Returns the record that stands. Raises `OSError`."""
        with self._lock:
            standing = self.read(record.time_ns)
            if standing is not None and standing.halted:
                return standing
            self._write(record)
            return record

    def operator_request(self) -> str | None:
        """The reason when someone has put a `HALT` file into the state directory (its text, or a default), else None."""
        if not self.operator_file.exists():
            return None
        try:
            with self.operator_file.open("rb") as file:
                text = file.read(MAX_REASON_BYTES).decode("utf-8", "replace").strip()
        except OSError as error:
            text = f"its text cannot be read: {error}"
        return f"file {OPERATOR_FILE_NAME}: {text}" if text else f"file {OPERATOR_FILE_NAME} in the state directory"

    def _write(self, record: HaltRecord) -> None:
        write_durably(self.path, msgspec.json.format(msgspec.json.encode(_Document(VERSION, record)), indent=2) + b"\n")
        self._known = self._stamp()

    def _stamp(self) -> tuple[int, ...]:
        """Tells one file from the next that is renamed over it; empty when there is none."""
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _unreadable(self, problem: str, now_ns: int) -> HaltRecord:
        reason = f"the latch file {self.path} cannot be read ({problem}); look into it, then resume with a reason"
        return HaltRecord(halted=True, reason=reason, actor="core", time_ns=now_ns)
