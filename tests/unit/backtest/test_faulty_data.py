"""Bad input: an error that says what and where, or a repair that is counted."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmd.backtest.data import open_sources
from mmd.backtest.errors import BacktestError
from mmd.backtest.options import parse_calendar, parse_fee, parse_options, parse_time
from mmd.backtest.runner import Options, run_backtest
from mmd.types.market import DepthUpdate, FeedStatus, MarketTrade
from tests.unit.backtest.synthetic import SECOND, START


def book(rows: int = 400) -> pl.DataFrame:
    """A touch that moves by a tick every third row, five a second."""
    moved = [index // 3 % 5 for index in range(rows)]
    return pl.DataFrame(
        {
            "ts_ns": [START + index * SECOND // 5 for index in range(rows)],
            "symbol": ["COIN"] * rows,
            "bid_px_1": [100.0 + tick / 100 for tick in moved],
            "bid_sz_1": [5.0 + index % 7 for index in range(rows)],
            "ask_px_1": [100.02 + tick / 100 for tick in moved],
            "ask_sz_1": [6.0 + index % 5 for index in range(rows)],
        }
    )


def trades(rows: int = 300) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ts_ns": [START + index * SECOND // 4 for index in range(rows)],
            "symbol": ["COIN"] * rows,
            "px": [100.0 if index % 2 else 100.03 for index in range(rows)],
            "sz": [3.0] * rows,
            "side": [-1 if index % 2 else 1 for index in range(rows)],
        }
    )


def write(folder: Path, books: pl.DataFrame, traded: pl.DataFrame | None = None) -> Path:
    path = folder / "COIN.book.parquet"
    books.write_parquet(path)
    if traded is not None:
        traded.write_parquet(folder / "COIN.trades.parquet")
    return path


def repairs_of(path: Path) -> tuple[dict[str, int], list[Any]]:
    source = open_sources([path], [])[0]
    return source.repairs, list(source.events(source.repairs))


def test_good_data_needs_no_repair_and_is_traded(tmp_path: Path) -> None:
    path = write(tmp_path, book(), trades())
    run = run_backtest([path], ["COIN"], Options(strategy="fixed"))
    assert run.sources[0].repairs == {}
    assert run.venue.placed > 0
    assert run.halt is None


def test_the_same_run_twice_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, book(), trades())
    first, second = (run_backtest([path], [], Options(strategy="avellaneda-stoikov", calibrated=False)) for _ in range(2))
    assert first.recorder.tracks["COIN"].fills == second.recorder.tracks["COIN"].fills
    assert first.recorder.tracks["COIN"].cash == second.recorder.tracks["COIN"].cash


def test_crossed_and_locked_rows_are_passed_over(tmp_path: Path) -> None:
    table = book().with_columns(
        pl.when(pl.int_range(pl.len()).is_in([50, 51]))
        .then(pl.lit(100.5))
        .when(pl.int_range(pl.len()) == 60)
        .then(pl.col("ask_px_1"))
        .otherwise(pl.col("bid_px_1"))
        .alias("bid_px_1")
    )
    repairs, events = repairs_of(write(tmp_path, table))
    assert repairs == {"crossed rows, passed over": 2, "locked rows, passed over": 1}
    assert len(events) == 397


def test_rows_out_of_order_are_sorted_and_repeated_ones_left_out(tmp_path: Path) -> None:
    table = book()
    shuffled = pl.concat([table[:100], table[101:103], table[100:101], table[103:], table[399:400]])
    repairs, events = repairs_of(write(tmp_path, shuffled))
    assert repairs == {"rows out of order, sorted": 1, "repeated rows, left out": 1}
    times = [event.receive_ns for event in events]
    assert times == sorted(times)
    assert len(events) == 400


def test_rows_without_a_time_or_a_side_are_left_out(tmp_path: Path) -> None:
    table = book().with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise(pl.col("ts_ns")).alias("ts_ns"),
        pl.when(pl.int_range(pl.len()) == 9).then(None).otherwise(pl.col("ask_px_1")).alias("ask_px_1"),
    )
    repairs, _ = repairs_of(write(tmp_path, table))
    assert repairs == {"rows without a time, left out": 1, "rows without a side, passed over": 1}


def test_a_gap_ends_the_session_and_is_counted(tmp_path: Path) -> None:
    table = book()
    late = table[200:].with_columns(pl.col("ts_ns") + 3_600 * SECOND)
    repairs, events = repairs_of(write(tmp_path, pl.concat([table[:200], late])))
    assert repairs == {"gaps, each the end of a session": 1}
    states = [event for event in events if isinstance(event, FeedStatus)]
    assert [state.state.value for state in states] == ["disconnected", "connected"]
    run = run_backtest([tmp_path / "COIN.book.parquet"], [], Options(strategy="fixed", calibration_share=0.0))
    quiet = START + 45 * SECOND, START + 3_600 * SECOND
    track = run.recorder.tracks["COIN"]
    standing = [bid or ask for at, bid, ask in zip(track.times, track.bids, track.asks, strict=True) if quiet[0] < at < quiet[1]]
    assert standing
    assert not any(standing)


def test_a_trade_of_unknown_side_gets_one_by_the_quote_rule(tmp_path: Path) -> None:
    _, events = repairs_of(write(tmp_path, book(), trades().with_columns(side=pl.lit(0))))
    sides = [event.aggressor.sign for event in events if isinstance(event, MarketTrade)]
    assert sides[1::2]
    assert all(isinstance(event, DepthUpdate | MarketTrade) or event is events[0] for event in events)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "nothing", "no such file or folder"),
        (lambda folder: folder, "no recordings.*and no books"),
        (lambda folder: write(folder, book().drop("ask_px_1")), "has no column ask_px_1"),
        (lambda folder: write(folder, book(), trades().drop("px")), "has no column px"),
        (lambda folder: write(folder, book()[:0].with_columns(pl.lit("COIN").alias("symbol"))), "no recordings|holds no row"),
        (lambda folder: _text(folder / "a.book.parquet", b""), "the file is empty"),
        (lambda folder: _text(folder / "a.book.parquet", b"hello"), "not a parquet file|cannot be read"),
        (lambda folder: _text(folder / "a.gz", b""), "the file is empty"),
        (lambda folder: _text(folder / "usdm__btcusdt_1.gz", gzip.compress(b"hello there\n")), "line 1"),
        (lambda folder: _text(folder / "a.csv", b"1,2"), "is neither a recording"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(tmp_path: Path, make: Any, message: str) -> None:
    place = make(tmp_path)
    with pytest.raises(BacktestError, match=message):
        run_backtest([place], [], Options(strategy="fixed"))


def test_an_unknown_symbol_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BacktestError, match="no data of TOSS; there are COIN"):
        open_sources([write(tmp_path, book())], ["TOSS"])


def test_a_period_without_data_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, book())
    with pytest.raises(BacktestError, match="no event in the period"):
        run_backtest([path], [], Options(strategy="fixed", end_ns=START - 1))
    with pytest.raises(BacktestError, match=r"no event in the period|nothing is left to trade"):
        run_backtest([path], [], Options(strategy="fixed", begin_ns=START + 3_600 * SECOND))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latency": "soon"}, "is no duration"),
        ({"latency": "0ns"}, "at least 1us"),
        ({"latency": "1ms,2ms"}, "FEED,ENTRY,RESPONSE"),
        ({"queue": "fifo"}, "no queue model"),
        ({"maker_fee": "two"}, "write a fraction"),
        ({"maker_fee": "2"}, "it is a slip"),
        ({"begin": "yesterday"}, "write it as"),
        ({"begin": "2024-01-02", "end": "2024-01-01"}, "is not before"),
        ({"assignments": ["speed=1"]}, "quoting.NAME=VALUE"),
        ({"assignments": ["quoting.nonsense=1"]}, "nonsense"),
        ({"assignments": ["risk.max_daily_loss=-1"]}, "max_daily_loss"),
    ],
)
def test_a_mistake_in_an_option_says_what_would_be_right(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BacktestError, match=message):
        parse_options(strategy="fixed", **options)


def test_options_are_understood() -> None:
    assert parse_fee("-0.5bps") == pytest.approx(-0.00005)
    assert parse_time("2024-07-19T00:02:30") == parse_time("2024-07-19T02:02:30+02:00") == 1_721_347_350 * SECOND
    assert parse_calendar("252x6.5").periods(3_600) == 252 * 6.5
    found = parse_options(
        strategy="fixed", latency="2ms,500us,1ms", assignments=["quoting.order_notional=50", "risk.max_daily_loss=7"]
    )
    assert found.latency is not None
    assert (found.latency.feed_ns, found.latency.entry_ns, found.latency.response_ns) == (2_000_000, 500_000, 1_000_000)
    assert found.quoting.order_notional == 50


def _text(path: Path, contents: bytes) -> Path:
    path.write_bytes(contents)
    return path
