"""Funding of perpetual futures in a backtest: when it is settled, at which rate, and at which mark.

A recording with mark prices says all three itself. Other data is settled at 00:00, 08:00 and 16:00 UTC of the venue's clock, at the
rate that the run was told (0 unless said), at the mid of that moment. A long position pays rate · mark · position, a short one
receives it; what counts is the position at the exchange at that moment, however late its fills are heard of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from mmd.backtest.errors import BacktestError
from mmd.recording.recording import raw_lines
from mmd.types.decoding import UNREADABLE
from mmd.types.instrument import Instrument

INTERVAL_NS = 28_800_000_000_000
REPORT_DELAY_NS = 1_000_000_000
"""The account hears of a payment so long after it: fills from before it are known by then."""
NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class FundingPoint:
    """One settlement of one symbol. `exchange_ns` by the venue's clock, `happens_ns` by the recording's."""

    symbol: str
    exchange_ns: int
    happens_ns: int
    rate: Decimal
    mark_ticks: float | None
    """None: the mid of that moment."""
    recorded: bool
    """Whether rate and mark are the venue's own."""


class _Mark(msgspec.Struct):
    E: int
    s: str
    p: Decimal
    r: Decimal
    T: int


class _Frame(msgspec.Struct):
    data: _Mark


_FRAME = msgspec.json.Decoder(_Frame, strict=False)


def funding_points(
    instrument: Instrument, files: Sequence[Path], begin_ns: int, end_ns: int, clock_offset_ns: int, rate: Decimal | None
) -> list[FundingPoint]:
    """Settlements between receipt of the first and the last event. `clock_offset_ns` is added to the venue's times.

    `rate` overrules what is recorded. Raises `BacktestError` for a mark that makes no sense.
    """
    if not instrument.perpetual:
        return []
    first, last = begin_ns - clock_offset_ns, end_ns - clock_offset_ns
    marks = _recorded_marks(files, instrument.symbol)
    points: list[FundingPoint] = []
    due_ns = -(-first // INTERVAL_NS) * INTERVAL_NS
    while due_ns <= last:
        mark = _standing(marks, due_ns)
        if mark is None:
            told, price = rate or Decimal(0), None
        else:
            told, price = (mark.r if rate is None else rate), float(mark.p / instrument.tick_size)
        points.append(FundingPoint(instrument.symbol, due_ns, due_ns + clock_offset_ns, told, price, mark is not None))
        due_ns += INTERVAL_NS
    return points


def payment_atoms(instrument: Instrument, lots: int, mark_ticks: float, rate: Decimal) -> int:
    """What a position of so many lots (below zero: short) receives, in quote atoms, towards zero; below zero where it pays."""
    return -int(lots * Decimal(mark_ticks) * instrument.notional_atoms * rate)


def _recorded_marks(files: Sequence[Path], symbol: str) -> list[_Mark]:
    marks: list[_Mark] = []
    for path in files:
        if path.suffix != ".gz":
            continue
        for number, line in raw_lines(path, lambda _text: None):
            if b'"e":"markPriceUpdate"' not in line:
                continue
            try:
                mark = _FRAME.decode(line.partition(b" ")[2]).data
            except UNREADABLE as error:
                raise BacktestError(f"{path}, line {number}: a mark price that makes no sense: {error}") from error
            if mark.s == symbol:
                marks.append(mark)
    return marks


def _standing(marks: Sequence[_Mark], due_ns: int) -> _Mark | None:
    """The last mark before a settlement that announces it."""
    due_ms = due_ns // NS_PER_MS
    before = [mark for mark in marks if due_ms >= mark.E and due_ms == mark.T]
    return before[-1] if before else None
