"""A session's journal read back: its records in order, and what is known of all sessions in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mmd.journal.codec import RecordDecoder
from mmd.journal.errors import JournalError
from mmd.journal.records import FORMAT_VERSION, Record, SessionBegin, SessionEnd
from mmd.journal.segments import Block, SegmentReader, Torn, segment_paths


class SessionJournal:
    """One session's folder. Raises `JournalError` where there is none, or its beginning cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._paths = segment_paths(folder)
        except OSError as error:
            raise JournalError(f"{folder} cannot be read: {error}") from error
        if not self._paths:
            raise JournalError(f"{folder} holds no journal")
        self.size_bytes = sum(path.stat().st_size for path in self._paths)
        self.torn: Torn | None = None
        """Where the last file was cut, once all records were read."""
        self._decoder = RecordDecoder()
        begin = next(self.records(), None)
        if not isinstance(begin, SessionBegin):
            raise JournalError(f"{self._paths[0]} does not begin with the beginning of a session")
        if begin.format_version != FORMAT_VERSION:
            raise JournalError(
                f"{folder} has format {begin.format_version}, this program reads {FORMAT_VERSION}: "
                f"use mmd {begin.program_version}, which wrote it"
            )
        self.begin = begin

    def records(self, on_progress: Callable[[int], None] | None = None) -> Iterator[Record]:
        """Every record in order; `on_progress` hears how many bytes of the files were read.

        Raises `JournalError` where a file is damaged or missing: naming it, and the position.
        """
        self.torn = None
        expected = 0
        done = 0
        for path in self._paths:
            reader = SegmentReader(path)
            for found in self._blocks(reader):
                self._check_place(path, found.first_record, expected)
                decoded = 0
                for chunk in found.chunks:
                    records = self._decode(path, expected + decoded, chunk)
                    decoded += len(records)
                    yield from records
                if decoded != found.count:
                    raise JournalError(f"{path}: the block of record {expected:,} holds {decoded} records, not {found.count}")
                expected += decoded
                if on_progress is not None:
                    on_progress(done + reader.bytes_read)
            done += path.stat().st_size
            self.torn = reader.torn
        if on_progress is not None:
            on_progress(self.size_bytes)

    def end(self) -> SessionEnd | None:
        """How the session ended, as its last record says; None where it did not end in order. Reads only the last file."""
        last: Block | None = None
        for found in self._blocks(SegmentReader(self._paths[-1])):
            last = found
        if last is None or not last.chunks:
            return None
        record = self._decode(self._paths[-1], last.first_record, last.chunks[-1])[-1]
        return record if isinstance(record, SessionEnd) else None

    @staticmethod
    def _blocks(reader: SegmentReader) -> Iterator[Block]:
        try:
            yield from reader.blocks()
        except OSError as error:
            raise JournalError(f"{reader.path} cannot be read: {error}") from error

    def _check_place(self, path: Path, first_record: int, expected: int) -> None:
        if first_record == expected:
            return
        if expected == 0:
            raise JournalError(
                f"{path} begins with record {first_record:,}: the session's earlier files were removed to make room, "
                "and it can be replayed from its beginning only (see journal.max_total_bytes)"
            )
        raise JournalError(
            f"{path} goes on with record {first_record:,} where {expected:,} is due: a file of the session is missing"
        )

    def _decode(self, path: Path, first_record: int, chunk: bytes) -> list[Record]:
        try:
            return self._decoder.decode(chunk)
        except JournalError as error:
            raise JournalError(f"{path}, at record {first_record:,} or soon after it: {error}") from error


class SessionSummary(msgspec.Struct, frozen=True):
    """One line of the list of sessions. `problem` says why it cannot be replayed, where that is so."""

    session: str
    folder: str
    started_ns: int
    mode: str
    venue: str
    symbols: tuple[str, ...]
    size_bytes: int
    end: SessionEnd | None
    problem: str = ""


def session_summaries(root: Path) -> list[SessionSummary]:
    """Every session in the folder, oldest first. Raises `JournalError` where there is no such folder."""
    if not root.is_dir():
        raise JournalError(f"{root} is no folder: no session has kept a journal there")
    return [_summary(folder) for folder in sorted(root.iterdir()) if folder.is_dir() and segment_paths(folder)]


def _summary(folder: Path) -> SessionSummary:
    size = sum(path.stat().st_size for path in segment_paths(folder))
    try:
        journal = SessionJournal(folder)
        begin = journal.begin
        return SessionSummary(
            begin.session, str(folder), begin.started_ns, begin.mode, begin.venue, begin.symbols, size, journal.end()
        )
    except JournalError as error:
        return SessionSummary(folder.name, str(folder), 0, "", "", (), size, None, str(error))


def find_session(root: Path, name: str) -> SessionJournal:
    """A session by its name, by the path of its folder, or the newest one for `last`. Raises `JournalError`."""
    if name == "last":
        summaries = session_summaries(root)
        if not summaries:
            raise JournalError(f"{root} holds no session")
        return SessionJournal(Path(summaries[-1].folder))
    for folder in (root / name, Path(name)):
        if folder.is_dir():
            return SessionJournal(folder)
    known = ", ".join(Path(summary.folder).name for summary in session_summaries(root)[-8:]) or "none"
    raise JournalError(f"no session {name!r} in {root} (the newest are: {known}); `mmd replay --list` lists all")
