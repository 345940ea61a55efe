"""Sources to dataset: find formats, read, check, write, and put files and manifest in place together."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from mmd import __version__
from mmd.data.checks import RowCheck
from mmd.data.formats import FORMATS
from mmd.data.manifest import (
    MANIFEST_FILE,
    SCHEMA_VERSION,
    Manifest,
    Partition,
    SeriesEntry,
    SourceEntry,
    TableEntry,
    read_manifest,
    write_manifest,
)
from mmd.data.schema import BOOK, shaped
from mmd.data.series_writer import SeriesWriter
from mmd.data.source import Chunk, ImportFailed, Options, SeriesKey, Source, SourceLog
from mmd.recording.instruments import INSTRUMENTS_FILE

SCRATCH = ".importing"
REJECTED = "rejected"
ORIGIN_STATED = "stated"
ORIGIN_RECORDED = "as the venue stated it when it was recorded"
"""Where tick and lot came from, in the manifest."""


@dataclass(frozen=True)
class Progress:
    """Hears what is read. Both do nothing by default."""

    begin: Callable[[Source, int], None] = lambda _source, _bytes: None
    advance: Callable[[int], None] = lambda _bytes: None


@dataclass
class _Series:
    writer: SeriesWriter
    checks: dict[str, RowCheck] = field(default_factory=dict)
    rejected: dict[str, dict[str, int]] = field(default_factory=dict)


def find_sources(paths: Sequence[Path], options: Options) -> tuple[list[Source], list[Path]]:
    """The sources, and the files of folders that are of no known format. A file named outright must be of one.

    Raises `ImportFailed`.
    """
    named, files = set(paths), []
    for path in paths:
        if not path.exists():
            raise ImportFailed(f"{path}: no such file or folder")
        files += sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    left = [file for file in dict.fromkeys(files) if file.name != INSTRUMENTS_FILE or file in named]
    sources = []
    for each in FORMATS:
        found = each.find(left, options)
        taken = {file for source in found for file in source.files}
        left = [file for file in left if file not in taken]
        sources += found
    unknown = [path for path in left if path in named]
    if unknown:
        known = ", ".join(each.name for each in FORMATS)
        raise ImportFailed(f"{unknown[0]}: of no known format ({known}); `mmd import --list-formats` says how each is recognised")
    if not sources:
        raise ImportFailed(f"{', '.join(map(str, paths))}: holds nothing of a known format; see `mmd import --list-formats`")
    return sources, left


def import_data(
    paths: Sequence[Path], out: Path, options: Options, *, append: bool = False, progress: Progress | None = None
) -> Manifest:
    """Make the dataset, or add to it. Nothing is changed unless everything was read. Raises `ImportFailed`, `ManifestError`."""
    before = _existing(out, append)
    sources, passed_over = find_sources(paths, options)
    digests = {path: _sha256(path) for source in sources for path in source.files}
    sources = _new_sources(sources, digests, before)
    scratch = out / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        work = _Import(scratch, options, before, progress or Progress())
        entries = [work.read(source, digests) for source in sources]
        manifest = work.manifest(entries, [str(path) for path in passed_over])
        _into_place(scratch / "new", out)
        write_manifest(out, manifest)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ImportFailed(f"{out}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if not any(out.iterdir()) if out.is_dir() else False:
            out.rmdir()
    return manifest


def _existing(out: Path, append: bool) -> Manifest | None:
    if (out / MANIFEST_FILE).exists():
        if not append:
            raise ImportFailed(f"{out}: there is a dataset already: say --append to add to it, or name another folder")
        return read_manifest(out)
    if out.exists() and (not out.is_dir() or any(each.name != SCRATCH for each in out.iterdir())):
        raise ImportFailed(f"{out}: is there and is no dataset: name a new folder")
    return None


def _new_sources(sources: list[Source], digests: dict[Path, str], before: Manifest | None) -> list[Source]:
    known = {digest for entry in (before.sources if before else []) for digest in entry.sha256}
    fresh = [source for source in sources if not all(digests[path] in known for path in source.files)]
    if not fresh:
        raise ImportFailed("every one of these files is in the dataset already (by SHA-256): nothing to do")
    return fresh


class _Import:
    """One run: sources read one after the other, a writer for each symbol."""

    def __init__(self, scratch: Path, options: Options, before: Manifest | None, progress: Progress) -> None:
        self._scratch = scratch
        self._options = options
        self._before = before
        self._progress = progress
        self._series: dict[SeriesKey, _Series] = {}
        self._first_source = len(before.sources) if before else 0
        self._read = 0

    def read(self, source: Source, digests: dict[Path, str]) -> SourceEntry:
        """One source to the end. Raises `ImportFailed`."""
        size = sum(path.stat().st_size for path in source.files)
        self._progress.begin(source, size)
        number = self._first_source + self._read
        self._read += 1
        name = f"{REJECTED}/{number:05d}-{source.files[0].name}.csv"
        log = SourceLog(self._scratch / "new" / name, self._progress.advance)
        kept = 0
        for chunk in source.read(log):
            kept += self._take(chunk, source, log)
        for (key, table), counts in log.by_table.items():
            series = self._series_of(key, source).rejected.setdefault(table, {})
            for reason, count in counts.items():
                series[reason] = series.get(reason, 0) + count
        return SourceEntry(
            files=[path.name for path in source.files],
            sha256=[digests[path] for path in source.files],
            bytes=size,
            format=source.format,
            read=log.read,
            kept=kept,
            rejected=log.rejected,
            unused=log.unused,
            rejected_file=name if log.rejected else "",
            notes=log.notes,
        )

    def _take(self, chunk: Chunk, source: Source, log: SourceLog) -> int:
        series = self._series_of(chunk.key, source)
        check = series.checks.get(chunk.table)
        if check is None:
            check = series.checks[chunk.table] = RowCheck(chunk.key, chunk.table, source.instrument)
        frame = chunk.frame.with_columns(pl.lit(chunk.key.symbol).alias("symbol"))
        good = check(shaped(frame, chunk.table), log)
        series.writer.write(chunk.table, good)
        return good.height

    def _series_of(self, key: SeriesKey, source: Source) -> _Series:
        if key not in self._series:
            stated = self._options.tick_size or self._options.lot_size
            writer = SeriesWriter(
                key, source.instrument, ORIGIN_STATED if stated else ORIGIN_RECORDED, self._scratch, self._options.gap_seconds
            )
            self._series[key] = _Series(writer)
        return self._series[key]

    # ---- the manifest

    def manifest(self, sources: list[SourceEntry], passed_over: list[str]) -> Manifest:
        """Of the old dataset and what was read now. Raises `ImportFailed` where the two cover the same time."""
        before = self._before
        entries = {SeriesKey(each.market, each.symbol): each for each in (before.series if before else [])}
        for key, series in self._series.items():
            old = entries.get(key)
            locked = series.checks[BOOK].locked_rows if BOOK in series.checks else 0
            fresh = series.writer.finish(self._scratch / "new", _numbers(old), series.rejected, locked)
            entries[key] = fresh if old is None else _joined(old, fresh, self._options.gap_seconds)
        listed = [entry for _, entry in sorted(entries.items()) if entry.tables]
        if not listed:
            raise ImportFailed("not one row was fit to be kept: " + "; ".join(_told(source) for source in sources))
        return Manifest(
            schema_version=SCHEMA_VERSION,
            created_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            made_by=f"mmd {__version__}",
            gap_seconds=self._options.gap_seconds,
            sha256=_hash_of(listed),
            series=listed,
            sources=[*(before.sources if before else []), *sources],
            passed_over=sorted({*(before.passed_over if before else []), *passed_over}),
        )


def _joined(old: SeriesEntry, fresh: SeriesEntry, gap_seconds: float) -> SeriesEntry:
    tables = dict(old.tables)
    for name, table in fresh.tables.items():
        known = old.tables.get(name)
        tables[name] = table if known is None else _joined_table(old, name, known, table, gap_seconds)
    same = (old.instrument.tick_size, old.instrument.lot_size) == (fresh.instrument.tick_size, fresh.instrument.lot_size)
    instrument = old.instrument if same or fresh.instrument.origin.startswith("inferred") else fresh.instrument
    if not same and not fresh.instrument.origin.startswith("inferred") and not old.instrument.origin.startswith("inferred"):
        raise ImportFailed(
            f"{old.market} {old.symbol}: tick and lot are {old.instrument.tick_size} and {old.instrument.lot_size} there, "
            f"now {fresh.instrument.tick_size} and {fresh.instrument.lot_size}: import them into a dataset of their own"
        )
    return SeriesEntry(old.market, old.symbol, instrument, old.clock_offset or fresh.clock_offset, tables)


def _joined_table(series: SeriesEntry, name: str, old: TableEntry, fresh: TableEntry, gap_seconds: float) -> TableEntry:
    for part in fresh.partitions:
        for other in old.partitions:
            if part.begin_ns <= other.end_ns and other.begin_ns <= part.end_ns:
                raise ImportFailed(
                    f"{series.market} {series.symbol}: {name} of {part.date} overlaps in time with {other.path} of the dataset: "
                    "the same market twice would count double"
                )
    rejected = {reason: old.rejected.get(reason, 0) + fresh.rejected.get(reason, 0) for reason in {*old.rejected, *fresh.rejected}}
    return TableEntry(
        rows=old.rows + fresh.rows,
        begin_ns=min(old.begin_ns, fresh.begin_ns),
        end_ns=max(old.end_ns, fresh.end_ns),
        levels=max(old.levels, fresh.levels),
        locked_rows=old.locked_rows + fresh.locked_rows,
        gap_count=old.gap_count + fresh.gap_count,
        gap_seconds=old.gap_seconds + fresh.gap_seconds,
        gaps=[*old.gaps, *fresh.gaps],
        rejected=rejected,
        partitions=sorted([*old.partitions, *fresh.partitions], key=lambda part: part.begin_ns),
    )


def _numbers(old: SeriesEntry | None) -> dict[str, int]:
    """For each day, how many files there are."""
    numbers: dict[str, int] = {}
    for table in old.tables.values() if old else ():
        for part in table.partitions:
            numbers[part.date] = max(numbers.get(part.date, 0), int(part.path.split(".")[-3].rsplit("-", 1)[1]) + 1)
    return numbers


def _hash_of(series: list[SeriesEntry]) -> str:
    digest = hashlib.sha256()
    parts: list[Partition] = [part for entry in series for _, table in sorted(entry.tables.items()) for part in table.partitions]
    for part in parts:
        digest.update(f"{part.path} {part.sha256}\n".encode())
    return digest.hexdigest()


def _told(source: SourceEntry) -> str:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in source.rejected.items()) or "no rows"
    return f"{source.files[0]}: {counts} {'; '.join(source.notes)}".strip()


def _into_place(fresh: Path, out: Path) -> None:
    for path in sorted(fresh.rglob("*")):
        if path.is_file():
            target = out / path.relative_to(fresh)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImportFailed(f"{path}: cannot be read: {error}") from error
