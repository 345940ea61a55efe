"""What a backtest trades on: one source a symbol, its events in order of receipt, and what had to be mended in its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from mmd.backtest.conversion import ALL_LEVELS
from mmd.backtest.errors import BacktestError
from mmd.backtest.parquet_market import parquet_source_parts
from mmd.learning.dataset_files import dataset_files, is_dataset
from mmd.learning.errors import SourceError
from mmd.learning.parquet import BOOK_SUFFIX, ParquetFile, find_files
from mmd.recording.events import recorded_events
from mmd.recording.instruments import USD_M
from mmd.recording.recording import RecordedFile, RecordingError, known_instrument, recognise
from mmd.types.instrument import Instrument

Repairs = dict[str, int]


@dataclass
class MarketSource:
    """One symbol's events. `events()` starts anew at each call."""

    series: str
    instrument: Instrument
    files: tuple[Path, ...]
    read: Callable[[Repairs, int], Iterator[Any]]
    stamped: bool
    """Whether the venue's own times are in it."""
    has_trades: bool
    has_sizes: bool
    window: int = ALL_LEVELS
    """Levels a side that it shows."""
    quiet_seconds: float = 0.0
    """Silence that says nothing of the feed's health; 0: as live."""
    repairs: Repairs = field(default_factory=dict)

    def events(self, repairs: Repairs | None = None, begin_ns: int = 0) -> Iterator[Any]:
        """From the first; of parquet, whose every row is a whole book, from `begin_ns`. `repairs` is filled on the way."""
        return self.read({} if repairs is None else repairs, begin_ns)

    def in_memory(self, begin_ns: int, end_ns: int) -> MarketSource:
        """The same, its events of a period read once and kept: for one market that is traded many times."""
        repairs: Repairs = {}
        events = []
        for event in self.read(repairs, begin_ns):
            if event.receive_ns >= end_ns:
                break
            events.append(event)

        def kept(mended: Repairs, _begin_ns: int) -> Iterator[Any]:
            mended.update(repairs)
            return iter(events)

        return replace(self, read=kept, repairs={})

    @property
    def symbol(self) -> str:
        """Of the instrument."""
        return self.instrument.symbol


def open_sources(places: Sequence[Path], symbols: Sequence[str]) -> list[MarketSource]:
    """Recordings (`*.gz`), book files, folders of either, or a dataset made by `mmd import`. Files of one symbol are one stream.

    Raises `BacktestError` for what is not there, holds nothing, or is of no known form, and for symbols that are not in it.
    """
    recordings: dict[tuple[str, str], list[RecordedFile]] = {}
    found: list[MarketSource] = []
    try:
        for place in places:
            _look(place, recordings, found)
        found = [_recorded(files) for files in recordings.values()] + found
    except (RecordingError, SourceError) as error:
        raise BacktestError(str(error)) from error
    return _chosen(found, places, symbols)


def _look(place: Path, recordings: dict[tuple[str, str], list[RecordedFile]], found: list[MarketSource]) -> None:
    if not place.exists():
        raise BacktestError(f"{place}: no such file or folder")
    if place.is_dir() and is_dataset(place):
        days: dict[str, list[ParquetFile]] = {}
        for series, day in dataset_files(place):
            days.setdefault(series.rpartition(" ")[0], []).append(day)
        found += [_parquet(files, series) for series, files in days.items()]
        return
    frames = sorted(place.rglob("*.gz")) if place.is_dir() else [place] if place.suffix == ".gz" else []
    for path in frames:
        if path.stat().st_size == 0:
            raise BacktestError(f"{path}: the file is empty")
        file = recognise(path)
        if file.begin_ns:
            recordings.setdefault((file.market, file.symbol), []).append(file)
        elif not place.is_dir():
            raise BacktestError(f"{path}: holds no line")
    if place.is_dir() or place.name.endswith(BOOK_SUFFIX):
        if place.is_file() and place.stat().st_size == 0:
            raise BacktestError(f"{place}: the file is empty")
        found += [_parquet([file], f"{file.book.parent.name} {file.symbol}") for file in find_files(place)]
    elif not frames:
        raise BacktestError(f"{place}: is neither a recording (*.gz), nor NAME{BOOK_SUFFIX}, nor a folder of them, nor a dataset")


def _chosen(found: list[MarketSource], places: Sequence[Path], symbols: Sequence[str]) -> list[MarketSource]:
    shown = ", ".join(str(place) for place in places)
    if not found:
        raise BacktestError(f"{shown}: no recordings (*.gz) and no books (*{BOOK_SUFFIX}) in it")
    there = sorted({source.symbol for source in found})
    missing = [symbol for symbol in symbols if symbol not in there]
    if missing:
        raise BacktestError(f"{shown}: no data of {', '.join(missing)}; there are {', '.join(there)}")
    chosen = [source for source in found if not symbols or source.symbol in symbols]
    for symbol in there:
        several = [source for source in chosen if source.symbol == symbol]
        if len(several) > 1:
            names = "; ".join(f"{source.series} ({', '.join(path.name for path in source.files)})" for source in several)
            raise BacktestError(f"{symbol} is there more than once: {names}. Name the files of one")
    return chosen


def _recorded(files: list[RecordedFile]) -> MarketSource:
    files.sort(key=lambda file: file.begin_ns)
    paths = tuple(file.path for file in files)
    instrument = _as_contract(known_instrument(paths[0], files[0].market, files[0].symbol), files[0].market)

    def events(repairs: Repairs, _begin_ns: int) -> Iterator[Any]:
        def reject(_path: Path, _number: int, line: bytes, _why: str) -> None:
            kind = "unreadable lines left out" if line else "torn ends of files"
            repairs[kind] = repairs.get(kind, 0) + 1

        last_ns = 0
        for event in recorded_events(paths, instrument, reject):
            if event.receive_ns < last_ns:
                repairs["events received out of order, left out"] = repairs.get("events received out of order, left out", 0) + 1
                continue
            last_ns = event.receive_ns
            yield event

    return MarketSource(f"{files[0].market} {instrument.symbol}", instrument, paths, events, True, True, True)


def _as_contract(instrument: Instrument, market: str) -> Instrument:
    """USD-M markets trade perpetual futures: positions and funding, no balances of the base asset."""
    return msgspec.structs.replace(instrument, perpetual=True) if market == USD_M else instrument


def _parquet(files: Sequence[ParquetFile], series: str) -> MarketSource:
    parts = parquet_source_parts(files)
    return MarketSource(
        series,
        _as_contract(parts.instrument, parts.market),
        tuple(path for file in files for path in file.paths),
        parts.events,
        parts.stamped,
        any(file.trades is not None for file in files),
        parts.has_sizes,
        parts.levels,
        parts.quiet_seconds,
    )
