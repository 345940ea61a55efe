"""What a row must be like to be kept: present, positive, in order, new, not crossed, on the grid. The first fault is the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mmd.data.schema import BOOK, BREAK, DEPTH_BANDS, LEVELS, ROW, TRADES, level_columns
from mmd.data.source import SeriesKey, SourceLog
from mmd.types.instrument import Instrument

_GRID_TOLERANCE = 1e-3
"""Of a step: far above what floats lose, far below any price between two steps."""
_REASON = "_reason"

REASONS = {
    "missing": "a time, a price or a size that must be there is not",
    "not positive": "a time, price or size of zero or below",
    "side": "a trade's side that is none of +1, -1 and 0",
    "off the grid": "a price or size that is no multiple of the known tick or lot size",
    "crossed": "best bid above best ask",
    "levels out of order": "a level that is better than the one before it",
    "unordered": "an earlier time, or a lower update id, than a row before it",
    "duplicate": "an id, or a whole row, that was there before",
}


@dataclass
class RowCheck:
    """Checks one table of one symbol chunk by chunk; keeps what the next chunk must be compared with."""

    key: SeriesKey
    table: str
    instrument: Instrument | None
    locked_rows: int = 0
    _last: pl.DataFrame | None = field(default=None, repr=False)
    _last_ns: int = 0
    _last_id: int = -1

    def __call__(self, frame: pl.DataFrame, log: SourceLog) -> pl.DataFrame:
        """The rows to keep; the others are set aside with their reason."""
        ids = {BOOK: "update_id", TRADES: "trade_id"}.get(self.table)
        frame = frame.with_columns(_coalesced(self._faults()).alias(_REASON))
        frame = self._in_order(frame, ids)
        bad = frame.filter(pl.col(_REASON).is_not_null())
        if bad.height:
            cut = [name for name in bad.columns if name not in (ROW, BREAK, _REASON)]
            log.set_aside(
                (
                    (row[ROW], self.table, row[_REASON], json.dumps({name: row[name] for name in cut if row[name] is not None}))
                    for row in bad.iter_rows(named=True)
                ),
                self.key,
                self.table,
            )
        good = frame.filter(pl.col(_REASON).is_null()).drop(_REASON)
        if good.height:
            self._last = good.tail(1)
            self._last_ns = max(self._last_ns, int(good["ts_ns"][-1]))
            if ids is not None and (highest := good[ids].max()) is not None:
                self._last_id = max(self._last_id, int(str(highest)))
        if self.table == BOOK:
            self.locked_rows += good.filter(pl.col("bid_px_1") == pl.col("ask_px_1")).height
        return good

    def _faults(self) -> list[tuple[pl.Expr, str]]:
        stamp = pl.col("ts_ns")
        faults = [(stamp.is_null(), "missing"), (stamp <= 0, "not positive")]
        if self.table == TRADES:
            price, size = pl.col("px"), pl.col("sz")
            faults += [(price.is_null() | size.is_null(), "missing"), ((price <= 0) | (size <= 0), "not positive")]
            faults += [(pl.col("side").is_null() | ~pl.col("side").is_in([-1, 0, 1]), "side")]
            faults += self._off_grid([price], [size])
        elif self.table == BOOK:
            bid, ask = pl.col("bid_px_1"), pl.col("ask_px_1")
            numbers = [pl.col(name) for name in level_columns()]
            faults += [(bid.is_null() | ask.is_null(), "missing")]
            faults += [(pl.any_horizontal([number <= 0 for number in numbers]), "not positive")]
            faults += self._off_grid([bid, ask], [pl.col("bid_sz_1"), pl.col("ask_sz_1")])
            faults += [(bid > ask, "crossed")]
            deeper = [pl.col(f"bid_px_{level}") >= pl.col(f"bid_px_{level - 1}") for level in range(2, LEVELS + 1)]
            deeper += [pl.col(f"ask_px_{level}") <= pl.col(f"ask_px_{level - 1}") for level in range(2, LEVELS + 1)]
            faults += [(pl.any_horizontal(deeper), "levels out of order")]
        elif self.table == DEPTH_BANDS:
            faults += [(pl.any_horizontal([pl.col(name).is_null() for name in ("percentage", "depth", "notional")]), "missing")]
        return faults

    def _off_grid(self, prices: list[pl.Expr], sizes: list[pl.Expr]) -> list[tuple[pl.Expr, str]]:
        if self.instrument is None:
            return []
        scaled = [price * self.instrument.ticks_per_unit for price in prices]
        scaled += [size * self.instrument.lots_per_unit for size in sizes]
        off = [(value - value.round()).abs() > _GRID_TOLERANCE for value in scaled]
        return [(pl.any_horizontal(off), "off the grid")]

    def _in_order(self, frame: pl.DataFrame, ids: str | None) -> pl.DataFrame:
        """Order and repetition, against the sound rows before each; a row that is faulty already counts for neither."""
        sound = pl.col(_REASON).is_null()
        before = pl.when(sound).then(pl.col("ts_ns")).otherwise(None).cum_max().forward_fill().shift(1).fill_null(self._last_ns)
        before = pl.max_horizontal(before, pl.lit(self._last_ns))
        rules: list[tuple[pl.Expr, str]] = []
        if ids is not None:
            newest = pl.when(sound).then(pl.col(ids)).otherwise(None).cum_max().forward_fill().shift(1)
            newest = pl.max_horizontal(newest, pl.lit(self._last_id))
            if self.table == TRADES:
                rules += [(pl.col(ids) <= newest, "duplicate")]
            else:
                rules += [(pl.col(ids) < newest, "unordered")]
        rules = [(pl.col("ts_ns") < before, "unordered"), *rules]
        if self.table != TRADES:
            rules += [(self._same_as_before(frame), "duplicate")]
        return frame.with_columns(pl.when(sound).then(_coalesced(rules)).otherwise(pl.col(_REASON)).alias(_REASON))

    def _same_as_before(self, frame: pl.DataFrame) -> pl.Expr:
        values = [name for name in frame.columns if name not in (ROW, BREAK, _REASON, "session")]
        last = self._last
        same = []
        for name in values:
            earlier = pl.col(name).shift(1)
            if last is not None:
                first = pl.int_range(pl.len()) == 0
                earlier = pl.when(first).then(pl.lit(last[name][0], dtype=frame.schema[name])).otherwise(earlier)
            same.append(pl.col(name).eq_missing(earlier))
        return pl.all_horizontal(same)


def _coalesced(rules: list[tuple[pl.Expr, str]]) -> pl.Expr:
    """The text of the first rule that holds, else null."""
    if not rules:
        return pl.lit(None, dtype=pl.String)
    (condition, text), *others = rules
    chain: Any = pl.when(condition.fill_null(False)).then(pl.lit(text))
    for condition, text in others:
        chain = chain.when(condition.fill_null(False)).then(pl.lit(text))
    ended: pl.Expr = chain.otherwise(None)
    return ended
