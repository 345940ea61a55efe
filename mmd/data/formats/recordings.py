"""Recordings of Binance frames, those of `mmd record` and others of the same form: the book is kept as it is kept live."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from mmd.data.formats.instruments import instrument_for
from mmd.data.order_books import BookRows
from mmd.data.source import Chunk, Format, ImportFailed, Options, SeriesKey, Source, SourceLog
from mmd.recording.events import has_snapshot, recorded_events
from mmd.recording.recording import RecordedFile, RecordingError, known_instrument, recognise
from mmd.types.instrument import Instrument

_NAME = re.compile(r"^[a-z]+__[a-z0-9]+_[0-9TZ]+(\.dat)?\.gz$")
_SHOWN = 2_000


def find(paths: Sequence[Path], options: Options) -> list[Source]:
    """Files of one symbol are one stream, in the order of their first lines."""
    recognised: dict[SeriesKey, list[RecordedFile]] = {}
    for path in paths:
        if not path.name.endswith(".gz") or path.name.endswith(".csv.gz"):
            continue
        try:
            file = recognise(path)
        except RecordingError as error:
            if _NAME.match(path.name):
                raise ImportFailed(str(error)) from error
            continue
        recognised.setdefault(SeriesKey(options.market or file.market, file.symbol), []).append(file)
    sources = []
    for key, files in recognised.items():
        files.sort(key=lambda file: file.begin_ns)
        instrument = instrument_for(files[0].path, key, options) or _known(files[0], key.symbol)
        paths_of = tuple(file.path for file in files)
        sources.append(Source(RECORDINGS.name, paths_of, key, instrument, partial(_read, paths_of, key, instrument)))
    return sources


def _known(file: RecordedFile, symbol: str) -> Instrument:
    try:
        return known_instrument(file.path, file.market, symbol)
    except RecordingError as error:
        raise ImportFailed(f"{error}; or say --tick and --lot") from error


def _read(paths: tuple[Path, ...], key: SeriesKey, instrument: Instrument, log: SourceLog) -> Iterator[Chunk]:
    def reject(path: Path, number: int, line: bytes, why: str) -> None:
        kind = "torn or corrupt end of file" if not line else "unparsable line"
        if line:
            log.read += 1
            log.set_aside([(number, path.name, kind, line[:_SHOWN].decode("utf-8", "replace"))], key, "book")
        else:
            log.note(f"{path.name}: {why}")

    rows = BookRows(key, instrument.ticks_per_unit, instrument.lots_per_unit, log)
    if not has_snapshot(paths):
        log.note("no depth snapshot: the levels of the first 30 s of diffs stand for one")
    total, told = sum(path.stat().st_size for path in paths), 0
    try:
        for number, event in enumerate(recorded_events(paths, instrument, reject), 1):
            log.read += 1
            rows.on_event(event, number)
            if rows.full:
                yield from rows.take()
                step = total // 20 if told + total // 20 < total else 0
                told += step
                log.advance(step)
    except RecordingError as error:
        log.note(str(error))
    yield from rows.take()
    log.advance(total - told)


RECORDINGS = Format(
    "recording",
    "raw Binance frames with receive times, *.gz, as `mmd record` writes them (Spot and USD-M)",
    "<receive time> <combined-stream frame or REST depth reply>",
    find,
)
