"""Parquet files as sources: the live code's rows, whatever a file lacks, the past only, kept on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmd.learning.data import ParquetSource, load_rows, parse_data
from mmd.learning.errors import SourceError
from mmd.learning.parquet import Grid, decimal_grid, find_files
from mmd.learning.parquet_sessions import AggressorRule, FileBook, parquet_sessions
from mmd.learning.sessions import Session
from mmd.market.book import OrderBook
from mmd.market.feature_stream import FeatureStream
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, MarketTrade, Side
from tests.unit.learning.made_files import Columns, made_book, made_trades, written


def sessions_of(path: Path) -> list[Session]:
    (file,) = find_files(path)
    return [session for _, session in parquet_sessions(file, "made", 1.0, min_rows=1)]


def levels_of(book: Columns, row: int) -> list[dict[int, int]]:
    """Lots by price in cents, of the bid and of the ask."""
    return [
        {round(100 * book[f"{side}_px_{level}"][row]): int(book[f"{side}_sz_{level}"][row]) for level in (1, 2, 3)}
        for side in ("bid", "ask")
    ]


def ladder(levels: dict[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(levels.items())


def test_rows_are_those_that_the_live_book_and_feature_stream_make(tmp_path: Path) -> None:
    book, trades = made_book(600), made_trades(made_book(600))
    (session,) = sessions_of(written(tmp_path, book, trades))
    live, stream = OrderBook("AAA"), FeatureStream()
    rows = []
    events = sorted(
        [(time, 0, index) for index, time in enumerate(trades["ts_ns"])]
        + [(time, 1, index) for index, time in enumerate(book["ts_ns"])]
    )
    for time_ns, kind, index in events:
        if kind == 0:
            cents, lots = round(100 * trades["px"][index]), int(trades["sz"][index])
            side = Side.BUY if trades["side"][index] == 1 else Side.SELL
            made = live.valid and stream.on_trade(MarketTrade("AAA", time_ns, time_ns, 1, cents, lots, side), live)
        else:
            sides = levels_of(book, index)
            if index == 0:
                live.on_depth_snapshot(DepthSnapshot("AAA", time_ns, 0, *map(ladder, sides)))
            else:
                gone = [dict.fromkeys(side, 0) for side in levels_of(book, index - 1)]
                changes = [ladder(old | new) for old, new in zip(gone, sides, strict=True)]
                live.on_depth_update(DepthUpdate("AAA", time_ns, time_ns, index, index, NO_UPDATE_ID, *changes))
            made = stream.on_book(live, time_ns)
        if made and stream.features.warm:
            rows.append(stream.features.values)
    assert len(rows) > 400
    np.testing.assert_array_equal(session.market, np.array(rows, dtype=np.float32))


def test_without_sizes_imbalances_are_zero_and_everything_else_lives(tmp_path: Path) -> None:
    book = {name: column for name, column in made_book(400).items() if "_sz_" not in name}
    (session,) = sessions_of(written(tmp_path, book))
    names = dict(zip(FeatureStream().features.NAMES, session.market.T, strict=True))
    assert [names[name].any() for name in ("touch_imbalance", "depth_imbalance_5", "mid_return", "order_flow_20")] == [
        False,
        False,
        True,
        True,
    ]
    assert np.isfinite(session.market).all()


def test_depth_of_a_file_of_the_touch_alone_is_the_touch(tmp_path: Path) -> None:
    (session,) = sessions_of(written(tmp_path, made_book(300, levels=1)))
    names = dict(zip(FeatureStream().features.NAMES, session.market.T, strict=True))
    np.testing.assert_array_equal(names["depth_imbalance_5"], names["touch_imbalance"])
    assert names["touch_imbalance"].any()


def test_rows_that_are_crossed_or_lack_a_side_are_passed_over(tmp_path: Path) -> None:
    book = made_book(400, levels=1)
    faulty = {name: list(column) for name, column in book.items()}
    faulty["bid_px_1"][200], faulty["ask_px_1"][210], faulty["bid_px_1"][220] = 99.0, None, float("nan")
    faulty["ask_sz_1"][230] = None
    (session,) = sessions_of(written(tmp_path, faulty))
    times = set(session.receive_ns.tolist())
    assert not times & {faulty["ts_ns"][row] for row in (200, 210, 220)}
    assert faulty["ts_ns"][230] in times
    assert (session.ask_ticks >= session.bid_ticks).all()
    assert min(session.bid_ticks.min(), session.ask_lots.min()) > 0


def test_changing_the_future_moves_no_row_of_the_past(tmp_path: Path) -> None:
    book, trades = made_book(500), made_trades(made_book(500))
    (session,) = sessions_of(written(tmp_path / "as_it_was", book, trades))
    cut = 300
    for name, column in book.items():
        if "_px_" in name:
            book[name] = [price if row < cut else price * 1.0137 for row, price in enumerate(column)]
        elif "_sz_" in name:
            book[name] = [size if row < cut else size * 7.77 for row, size in enumerate(column)]
    until = book["ts_ns"][cut]
    trades["sz"] = [size if time < until else 3.21 for time, size in zip(trades["ts_ns"], trades["sz"], strict=True)]
    (other,) = sessions_of(written(tmp_path / "otherwise", book, trades))
    same = int(np.searchsorted(session.receive_ns, until))
    assert same > 100
    np.testing.assert_array_equal(session.market[:same], other.market[:same])
    np.testing.assert_array_equal(session.sigma_ticks[:same], other.sigma_ticks[:same])


def test_a_night_parts_sessions(tmp_path: Path) -> None:
    book = made_book(800)
    book["ts_ns"] = [time if row < 400 else time + 60_000_000_000_000 for row, time in enumerate(book["ts_ns"])]
    one, other = sessions_of(written(tmp_path, book))
    assert one.receive_ns[-1] < other.receive_ns[0] - 50_000_000_000_000


@pytest.mark.parametrize(
    ("values", "grid"), [([100.0, 101.0], 1.0), ([13.9, 13.92], 0.01), ([28165.47, 1.0], 0.01), ([1291.677], 0.001), ([], 1.0)]
)
def test_the_grid_is_the_coarsest_power_of_ten(values: list[float], grid: float) -> None:
    assert decimal_grid(np.array(values)) == pytest.approx(grid)


def test_the_side_of_a_trade_that_the_file_does_not_know() -> None:
    rule, book = AggressorRule(), FileBook()
    book.take((0, 100, 1, 102, 1, 1, 1, 0))
    asked = [(0, 102), (0, 101), (0, 100), (0, 101), (1, 100)]
    assert [rule.side(stated, price, book) for stated, price in asked] == [Side.BUY, Side.BUY, Side.SELL, Side.SELL, Side.BUY]


def test_rows_are_kept_on_disk_until_the_file_changes(tmp_path: Path) -> None:
    path, cache = written(tmp_path, made_book(400)), tmp_path / "cache"
    (source,) = parse_data(str(path))
    assert isinstance(source, ParquetSource)
    fresh = load_rows(source, 1.0, cache=cache)
    again = load_rows(source, 1.0, cache=cache)
    assert isinstance(again.sessions[0].market, np.memmap)
    np.testing.assert_array_equal(fresh.sessions[0].market, again.sessions[0].market)
    assert [entry.is_dir() for entry in cache.iterdir()] == [True]
    written(tmp_path, made_book(400, seed=1))
    other = load_rows(source, 1.0, cache=cache)
    assert len(list(cache.iterdir())) == 2
    assert not np.array_equal(other.sessions[0].market, fresh.sessions[0].market)


def test_what_is_no_book_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, {"ts_ns": [1], "symbol": ["AAA"], "bid_px_1": [1.0]})
    with pytest.raises(SourceError, match="no column ask_px_1"):
        sessions_of(path)
    (tmp_path / "BBB.book.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"BBB\.book\.parquet"):
        find_files(tmp_path)


def test_a_known_grid_goes_before_the_files_own(tmp_path: Path) -> None:
    (file,) = find_files(written(tmp_path, made_book(300)))
    ((grid, session),) = parquet_sessions(file, "made", 1.0, grid=Grid(0.005, 0.5), min_rows=1)
    assert grid == Grid(0.005, 0.5)
    assert (session.ask_ticks - session.bid_ticks).min() == 4


def test_every_recorded_market_is_read(market_data_folder: Path) -> None:
    series = {source.series for source in parse_data(str(market_data_folder))}
    assert {"us_equity AIG", "fx XAUUSD.oanda", "binance_l2 ETHUSDT-usdm-20240718", "usdm BTCUSDT 202304"} <= series
    assert not any("SPY" in name for name in series)
