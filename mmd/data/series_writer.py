"""One symbol's chunks to partition files: sessions and gaps told apart, days in files of their own, memory bounded by a batch."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from mmd.data.grid import RunningGrid
from mmd.data.manifest import ClockOffset, Gap, InstrumentEntry, Partition, SeriesEntry, TableEntry
from mmd.data.schema import BOOK, BREAK, LEVELS, ROW, TRADES
from mmd.data.source import SeriesKey
from mmd.types.instrument import Instrument

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
MAX_GAPS_LISTED = 1_000
ROW_GROUP_ROWS = 100_000
INFERRED = "inferred: the coarsest steps on which every quote and size lies"
CLOCK_NOTE_NS = SECOND_NS // 2


@dataclass
class _Day:
    parts: list[Path] = field(default_factory=list)
    rows: int = 0
    begin_ns: int = 0
    end_ns: int = 0


@dataclass
class _Table:
    rows: int = 0
    begin_ns: int = 0
    end_ns: int = 0
    session: int = 0
    levels: int = 0
    locked_rows: int = 0
    gap_count: int = 0
    gap_ns: int = 0
    gaps: list[Gap] = field(default_factory=list)
    days: dict[str, _Day] = field(default_factory=dict)


class SeriesWriter:
    """Takes checked chunks of one symbol in order; `finish` moves the files into place and gives the manifest's entry."""

    def __init__(self, key: SeriesKey, instrument: Instrument | None, origin: str, scratch: Path, gap_seconds: float) -> None:
        self._key = key
        self._instrument = instrument
        self._origin = origin
        self._scratch = scratch / f"{key.market}-{key.symbol}"
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._gap_ns = round(gap_seconds * SECOND_NS)
        self._tables: dict[str, _Table] = {}
        self._grid = RunningGrid()
        self._offsets: list[tuple[int, int]] = []
        self._offset_range: tuple[int, int] | None = None
        self._files = 0

    def write(self, table: str, frame: pl.DataFrame) -> None:
        """Rows that passed every check. Raises `OSError`, `PolarsError`."""
        if not frame.height:
            return
        state = self._tables.setdefault(table, _Table())
        frame = self._in_sessions(frame, state, table)
        self._measure(frame, table, state)
        days = frame["ts_ns"] // DAY_NS
        for day in days.unique(maintain_order=True).to_list():
            rows = frame.filter(days == day)
            date = (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()
            kept = state.days.setdefault(date, _Day(begin_ns=int(rows["ts_ns"][0])))
            self._files += 1
            part = self._scratch / f"{table}-{self._files:06d}.parquet"
            rows.write_parquet(part, compression="zstd", row_group_size=ROW_GROUP_ROWS)
            kept.parts.append(part)
            kept.rows += rows.height
            kept.end_ns = int(rows["ts_ns"][-1])

    def finish(self, dataset: Path, numbers: dict[str, int], rejected: dict[str, dict[str, int]], locked_rows: int) -> SeriesEntry:
        """`numbers` says from which number the files of a day are to be counted. Raises `OSError`, `PolarsError`."""
        if BOOK in self._tables:
            self._tables[BOOK].locked_rows = locked_rows
        tables = {}
        for name, state in self._tables.items():
            partitions = [
                self._partition(dataset, name, date, day, numbers.get(date, 0)) for date, day in sorted(state.days.items())
            ]
            tables[name] = TableEntry(
                rows=state.rows,
                begin_ns=state.begin_ns,
                end_ns=state.end_ns,
                levels=state.levels,
                locked_rows=state.locked_rows,
                gap_count=state.gap_count,
                gap_seconds=round(state.gap_ns / SECOND_NS, 3),
                gaps=state.gaps,
                rejected=rejected.get(name, {}),
                partitions=partitions,
            )
        return SeriesEntry(self._key.market, self._key.symbol, self._instrument_entry(), self._clock_offset(), tables)

    # ---- chunks

    def _in_sessions(self, frame: pl.DataFrame, state: _Table, table: str) -> pl.DataFrame:
        times, cuts = frame["ts_ns"], frame[BREAK]
        before = times.shift(1, fill_value=state.end_ns or int(times[0]))
        silent = (times - before) > self._gap_ns
        gap = silent | cuts
        if not state.rows:
            gap[0] = False
        found = pl.DataFrame({"begin": before, "end": times, "silent": silent, "gap": gap}).filter("gap")
        state.gap_count += found.height
        state.gap_ns += int((found["end"] - found["begin"]).sum())
        room = MAX_GAPS_LISTED - len(state.gaps)
        for begin, end, is_silent, _ in found.head(max(0, room)).iter_rows():
            state.gaps.append(Gap(begin, end, "silence" if is_silent else "resync"))
        sessions = gap.cast(pl.Int32).cum_sum() + state.session
        state.session = int(sessions[-1])
        state.begin_ns = state.begin_ns or int(times[0])
        state.end_ns = int(times[-1])
        state.rows += frame.height
        frame = frame.drop(ROW, BREAK)
        return frame.with_columns(sessions.cast(pl.Int32).alias("session")) if table == BOOK else frame

    def _measure(self, frame: pl.DataFrame, table: str, state: _Table) -> None:
        if table == BOOK:
            filled = [level for level in range(1, LEVELS + 1) if frame[f"bid_px_{level}"].is_not_null().any()]
            state.levels = max(state.levels, *filled)
            self._grid.add(frame, ("bid_px_1", "ask_px_1"), ("bid_sz_1", "ask_sz_1"))
        elif table == TRADES:
            state.levels = 0
            self._grid.add(frame, (), ("sz",))
            self._grid.add_fallback(frame["px"])
        if "exch_ts_ns" in frame.columns:
            offsets = (frame["exch_ts_ns"] - frame["ts_ns"]).drop_nulls()
            if offsets.len():
                low, high = int(str(offsets.min())), int(str(offsets.max()))
                known = self._offset_range or (low, high)
                self._offset_range = (min(known[0], low), max(known[1], high))
                self._offsets.append((int(float(str(offsets.median()))), offsets.len()))

    # ---- the end

    def _partition(self, dataset: Path, table: str, date: str, day: _Day, number: int) -> Partition:
        market, symbol = self._key
        folder = dataset / f"market={market}" / f"symbol={symbol}" / f"date={date}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{symbol}-{market}-{date.replace('-', '')}-{number:03d}.{table}.parquet"
        if len(day.parts) == 1:
            day.parts[0].replace(path)
        else:
            pl.scan_parquet(day.parts).sink_parquet(path, compression="zstd", row_group_size=ROW_GROUP_ROWS, maintain_order=True)
            for part in day.parts:
                part.unlink()
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Partition(str(path.relative_to(dataset)), date, day.rows, day.begin_ns, day.end_ns, path.stat().st_size, digest)

    def _instrument_entry(self) -> InstrumentEntry:
        if self._instrument is not None:
            return InstrumentEntry(f"{self._instrument.tick_size:f}", f"{self._instrument.lot_size:f}", self._origin)
        return InstrumentEntry(
            self._grid.tick_size, self._grid.lot_size, "inferred: the coarsest steps on which all prices and sizes lie"
        )

    def _clock_offset(self) -> ClockOffset | None:
        if self._offset_range is None:
            return None
        medians = sorted(self._offsets)
        half, seen = sum(count for _, count in medians) / 2, 0
        median = medians[-1][0]
        for value, count in medians:
            seen += count
            if seen >= half:
                median = value
                break
        note = ""
        if abs(median) > CLOCK_NOTE_NS:
            way = "behind" if median > 0 else "ahead of"
            note = (
                f"the recorder's clock ran {abs(median) / SECOND_NS:.2f} s {way} the exchange's: "
                "ages and lags between the two stamps mean nothing but in their changes"
            )
        return ClockOffset(median, *self._offset_range, note)
