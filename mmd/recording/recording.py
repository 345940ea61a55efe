"""Recordings of Binance frames: which symbol and market a file holds, and the lines of several files in one order of time.

A line is `<receive time> <frame>`, gzipped; the time is in micro- or nanoseconds. Files of one symbol that follow each other are
one session, files of several symbols are merged by receive time. A file whose writer died ends in a torn gzip stream: it is read up
to the tear.
"""

from __future__ import annotations

import gzip
import heapq
import itertools
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from mmd.exchanges.binance.decode import is_depth_snapshot
from mmd.recording.instruments import INSTRUMENTS_FILE, KNOWN_INSTRUMENTS, SPOT, USD_M, InstrumentsFileError, instrument_of
from mmd.types.instrument import Instrument

_NANOSECOND_DIGITS = 19
_MICROSECOND_DIGITS = 16
_LINES_TO_RECOGNISE = 2_000
_NAME = re.compile(r"^(?P<market>spot|usdm)__(?P<symbol>[a-z0-9]+)_[0-9TZ]+(\.dat)?\.gz$")

log = structlog.get_logger(__name__)


class RecordingError(ValueError):
    """A recording that cannot be played. The text says which, where, and how to mend it."""


class LineError(ValueError):
    """One line that is none; the file around it may be sound."""


class RecordedLine(msgspec.Struct, frozen=True, gc=False):
    """One line. `kind` is what follows the symbol in the stream's name ("trade", "depth@0ms"), empty for a REST depth snapshot."""

    receive_ns: int
    symbol: str
    kind: str
    frame: bytes


class RecordedFile(msgspec.Struct, frozen=True):
    """One file, recognised. `begin_ns` is its first receive time."""

    path: Path
    market: str
    symbol: str
    begin_ns: int


class Recording:
    """One session made of one or several files, of one or several symbols of one market. Raises `RecordingError`.

    A folder stands for every `*.gz` file in it.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        files = [file for path in dict.fromkeys(paths) for file in recording_files(path)]
        if not files:
            raise RecordingError("no recording was named: give at least one file, as --replay FILE[,FILE…]")
        recognised = [recognise(path) for path in files]
        # A recorder that died at once leaves a file without a line.
        self.files = sorted((file for file in recognised if file.begin_ns), key=lambda file: file.begin_ns)
        if not self.files:
            raise RecordingError(f"{files[0]}: holds no line")
        self.instruments: dict[str, Instrument] = {}
        markets: dict[str, str] = {}
        for file in self.files:
            if markets.setdefault(file.symbol, file.market) != file.market:
                raise RecordingError(f"{file.path}: {file.symbol} of {file.market} and of another market cannot be one session")
            self.instruments[file.symbol] = known_instrument(file.path, file.market, file.symbol)

    @property
    def begin_ns(self) -> int:
        """Receive time of the first line, UTC ns."""
        return self.files[0].begin_ns

    def lines(self) -> Iterator[RecordedLine]:
        """Every line of every symbol, by receive time. Raises `RecordingError` where a line makes no sense."""
        return heapq.merge(*(self.lines_of(symbol) for symbol in self.instruments), key=lambda line: line.receive_ns)

    def lines_of(self, symbol: str) -> Iterator[RecordedLine]:
        """The lines of one symbol, its files one after the other."""
        files = [file for file in self.files if file.symbol == symbol]
        return itertools.chain.from_iterable(read_lines(file.path, file.symbol) for file in files)


def recording_files(path: Path) -> list[Path]:
    """The path itself, or the recordings in it where it is a folder. Raises `RecordingError` for a folder without any."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.gz"))
    if not files:
        raise RecordingError(f"{path}: no recordings (*.gz) in this folder")
    return files


def known_instrument(path: Path, market: str, symbol: str) -> Instrument:
    """Tick and lot of a recording. Raises `RecordingError` where they are not known."""
    try:
        instrument = instrument_of(path, market, symbol)
    except InstrumentsFileError as error:
        raise RecordingError(str(error)) from error
    if instrument is None:
        known = ", ".join(f"{market} {symbol}" for market, symbol in KNOWN_INSTRUMENTS)
        raise RecordingError(
            f"{path}: no tick and lot size known for {market} {symbol}; known are {known}; "
            f"others are read from {INSTRUMENTS_FILE} beside the file, which `mmd record` writes"
        )
    return instrument


def recognise(path: Path) -> RecordedFile:
    """Read as far as it takes to tell market and symbol; the name tells them of a file too short for that.

    Raises `RecordingError`.
    """
    begin_ns = 0
    for line in itertools.islice(read_lines(path), _LINES_TO_RECOGNISE):
        begin_ns = begin_ns or line.receive_ns
        if line.kind.startswith("depth"):
            return RecordedFile(path, USD_M if b'"pu":' in line.frame else SPOT, line.symbol, begin_ns)
    named = _NAME.match(path.name)
    if named is not None:
        return RecordedFile(path, named["market"], named["symbol"].upper(), begin_ns)
    raise RecordingError(f"{path}: no diff-depth frame among its first {_LINES_TO_RECOGNISE} lines; is it a recording of frames?")


def read_lines(path: Path, symbol: str = "") -> Iterator[RecordedLine]:
    """The lines of one file; a depth snapshot does not name its symbol and is given `symbol`. Raises `RecordingError`."""
    for number, line in raw_lines(path):
        try:
            yield parse_line(line, symbol)
        except LineError as error:
            raise RecordingError(f"{path}, line {number}: {error}") from error


def raw_lines(path: Path, on_tear: Callable[[str], None] | None = None) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each whole line. A torn end is told to `on_tear`, or logged. Raises `RecordingError`."""
    number = 0
    try:
        with gzip.open(path, "rb") as lines:
            try:
                for number, line in enumerate(lines, 1):
                    yield number, line.rstrip(b"\r\n")
            except EOFError as error:
                text = f"{path}: torn after line {number} ({error}); its writer died there, what stands before is read"
                (on_tear or _log_tear)(text)
    except (OSError, zlib.error) as error:
        raise RecordingError(f"{path}: cannot be read as a gzipped recording after line {number}: {error}") from error


def parse_line(line: bytes, symbol: str = "") -> RecordedLine:
    """One line without its end. Raises `LineError`."""
    stamp, _, frame = line.partition(b" ")
    receive_ns = _nanoseconds(stamp)
    if is_depth_snapshot(frame):
        return RecordedLine(receive_ns, symbol, "", frame)
    name, found, _ = frame.removeprefix(b'{"stream":"').partition(b'"')
    prefix, _, kind = name.decode("ascii", "replace").partition("@")
    if not found or not kind or not frame.endswith(b"}"):
        raise LineError(f"neither a combined-stream frame nor a depth snapshot: {frame[:80]!r}")
    return RecordedLine(receive_ns, prefix.upper(), kind, frame)


def inner_data(frame: bytes) -> bytes:
    """What a raw `/ws` connection gets of a combined frame."""
    return frame[frame.index(b'"data":') + len(b'"data":') : -1].strip()


def _nanoseconds(stamp: bytes) -> int:
    if stamp.isdigit() and len(stamp) == _NANOSECOND_DIGITS:
        return int(stamp)
    if stamp.isdigit() and len(stamp) == _MICROSECOND_DIGITS:
        return int(stamp) * 1_000
    raise LineError(f"expected a receive time in micro- or nanoseconds, got {stamp[:30]!r}")


def _log_tear(text: str) -> None:
    log.warning("a recording ends torn", detail=text)
