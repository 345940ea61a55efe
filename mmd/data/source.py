"""What a format's reader is given and gives: files that are read as one, chunks of table rows, and lines that are set aside."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from mmd.types.instrument import Instrument

BATCH_ROWS = 100_000


class ImportFailed(ValueError):
    """Data that cannot be imported. The text says which, where and how to mend it."""


class SeriesKey(NamedTuple):
    """One symbol of one market."""

    market: str
    symbol: str


class Chunk(NamedTuple):
    """Rows of one table of one symbol in the order of the source; columns as `schema.shaped` takes them."""

    key: SeriesKey
    table: str
    frame: pl.DataFrame


@dataclass(frozen=True)
class Options:
    """What the person said about all sources. `market` is empty where each source's own is taken."""

    market: str = ""
    tick_size: str = ""
    lot_size: str = ""
    gap_seconds: float = 60.0


@dataclass
class SourceLog:
    """Counts one source's lines as they are used, unused or set aside; what is set aside goes to a CSV file at once."""

    rejected_path: Path
    advance: Callable[[int], None] = lambda _bytes: None
    """Told of progress, in bytes of the files."""
    read: int = 0
    unused: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    by_table: dict[tuple[SeriesKey, str], dict[str, int]] = field(default_factory=dict)

    def set_aside(self, rows: Iterable[tuple[int, str, str, str]], key: SeriesKey | None = None, table: str = "") -> None:
        """(row, table, reason, content) each. Raises `OSError`."""
        fresh = not self.rejected_path.exists()
        self.rejected_path.parent.mkdir(parents=True, exist_ok=True)
        with self.rejected_path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(("row", "table", "reason", "content"))
            for row in rows:
                writer.writerow(row)
                self.rejected[row[2]] = self.rejected.get(row[2], 0) + 1
                if key is not None:
                    counts = self.by_table.setdefault((key, table), {})
                    counts[row[2]] = counts.get(row[2], 0) + 1

    def leave_unused(self, why: str, count: int = 1) -> None:
        """Lines that are sound and hold nothing for the dataset."""
        if count:
            self.unused[why] = self.unused.get(why, 0) + count

    def note(self, text: str) -> None:
        """For the manifest, once."""
        if text not in self.notes:
            self.notes.append(text)


class Source(NamedTuple):
    """Files read as one, by a format. `read` yields their chunks in order."""

    format: str
    files: tuple[Path, ...]
    key: SeriesKey
    instrument: Instrument | None
    read: Callable[[SourceLog], Iterator[Chunk]]


class Format(NamedTuple):
    """A format: its name, what it is, the columns it expects, and how its files among many are found."""

    name: str
    what: str
    columns: str
    find: Callable[[Sequence[Path], Options], list[Source]]
    """The sources among the paths; a path that is not of this format is left to others. Raises `ImportFailed`."""
