"""Recordings of Binance frames: which symbol and market a file holds, and the lines of several files in one order of time.

A line is `<receive time> <frame>`, gzipped; the time is in micro- or nanoseconds. Files of one symbol that follow each other are
one session, files of several symbols are merged by receive time.
"""

from __future__ import annotations

import gzip
import heapq
import itertools
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mmd.exchanges.binance.decode import is_depth_snapshot
from mmd.types.instrument import Instrument

USD_M, SPOT = "usdm", "spot"
_MIN_NOTIONAL = "5"

INSTRUMENTS: Mapping[tuple[str, str], Instrument] = {
    (USD_M, "BTCUSDT"): Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.1", lot_size="0.001", min_notional=_MIN_NOTIONAL),
    (USD_M, "ETHUSDT"): Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.001", min_notional=_MIN_NOTIONAL),
    (SPOT, "BTCUSDT"): Instrument.create(
        "BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional=_MIN_NOTIONAL
    ),
}
"""Steps that held when the recordings were made, by market and symbol."""

_NANOSECOND_DIGITS = 19
_MICROSECOND_DIGITS = 16
_LINES_TO_RECOGNISE = 2_000


class RecordingError(ValueError):
    """A recording that cannot be played. The text says which, where, and how to mend it."""


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
    """One session made of one or several files, of one or several symbols of one market. Raises `RecordingError`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise RecordingError("no recording was named: give at least one file, as --replay FILE[,FILE…]")
        self.files = sorted((recognise(path) for path in dict.fromkeys(paths)), key=lambda file: file.begin_ns)
        self.instruments: dict[str, Instrument] = {}
        markets: dict[str, str] = {}
        for file in self.files:
            instrument = INSTRUMENTS.get((file.market, file.symbol))
            if instrument is None:
                known = ", ".join(f"{market} {symbol}" for market, symbol in INSTRUMENTS)
                raise RecordingError(f"{file.path}: no tick and lot size known for {file.market} {file.symbol}; known are {known}")
            if markets.setdefault(file.symbol, file.market) != file.market:
                raise RecordingError(f"{file.path}: {file.symbol} of {file.market} and of another market cannot be one session")
            self.instruments[file.symbol] = instrument

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


def recognise(path: Path) -> RecordedFile:
    """Read as far as it takes to tell market and symbol. Raises `RecordingError`."""
    begin_ns = 0
    for line in itertools.islice(read_lines(path), _LINES_TO_RECOGNISE):
        begin_ns = begin_ns or line.receive_ns
        if line.kind.startswith("depth"):
            return RecordedFile(path, USD_M if b'"pu":' in line.frame else SPOT, line.symbol, begin_ns)
    raise RecordingError(f"{path}: no diff-depth frame among its first {_LINES_TO_RECOGNISE} lines; is it a recording of frames?")


def read_lines(path: Path, symbol: str = "") -> Iterator[RecordedLine]:
    """The lines of one file; a depth snapshot does not name its symbol and is given `symbol`. Raises `RecordingError`."""
    try:
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                stamp, _, frame = line.rstrip(b"\r\n").partition(b" ")
                receive_ns = _nanoseconds(stamp, path, number)
                if is_depth_snapshot(frame):
                    yield RecordedLine(receive_ns, symbol, "", frame)
                    continue
                name, found, _ = frame.removeprefix(b'{"stream":"').partition(b'"')
                prefix, _, kind = name.decode("ascii", "replace").partition("@")
                if not found or not kind or not frame.endswith(b"}"):
                    raise RecordingError(
                        f"{path}, line {number}: neither a combined-stream frame nor a depth snapshot: {frame[:80]!r}"
                    )
                yield RecordedLine(receive_ns, prefix.upper(), kind, frame)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"{path}: cannot be read as a gzipped recording: {error}") from error


def inner_data(frame: bytes) -> bytes:
    """What a raw `/ws` connection gets of a combined frame."""
    return frame[frame.index(b'"data":') + len(b'"data":') : -1].strip()


def _nanoseconds(stamp: bytes, path: Path, number: int) -> int:
    if stamp.isdigit() and len(stamp) == _NANOSECOND_DIGITS:
        return int(stamp)
    if stamp.isdigit() and len(stamp) == _MICROSECOND_DIGITS:
        return int(stamp) * 1_000
    raise RecordingError(f"{path}, line {number}: expected a receive time in micro- or nanoseconds, got {stamp[:30]!r}")
