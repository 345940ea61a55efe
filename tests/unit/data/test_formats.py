"""Every format in small files, written as its documentation says: what becomes of each row, good and bad."""

from __future__ import annotations

import csv
import gzip
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmd.data.formats.lobster import midnight_ns
from mmd.data.importing import find_sources, import_data
from mmd.data.manifest import Manifest, SourceEntry, TableEntry
from mmd.data.source import ImportFailed, Options


def zipped(path: Path, text: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(path.with_suffix(".csv").name, text)
    return path


def gzipped(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()))
    return path


def imported(tmp_path: Path, *paths: Path, options: Options | None = None) -> Manifest:
    return import_data(paths, tmp_path / "dataset", options or Options())


def rows(tmp_path: Path, manifest: Manifest, table: str, symbol: str = "BTCUSDT") -> list[dict[str, Any]]:
    parts = [
        part.path
        for series in manifest.series
        if series.symbol == symbol and table in series.tables
        for part in series.tables[table].partitions
    ]
    frames = [pl.read_parquet(tmp_path / "dataset" / path) for path in parts]
    return [{name: value for name, value in row.items() if value is not None} for row in pl.concat(frames).to_dicts()]


def only(manifest: Manifest) -> tuple[SourceEntry, TableEntry]:
    (source,), (series,) = manifest.sources, manifest.series
    (table,) = series.tables.values()
    return source, table


def accounted(source: SourceEntry) -> None:
    assert source.read == source.kept + sum(source.rejected.values()) + sum(source.unused.values()), source


# ---- Binance's public archives


def test_spot_trades_without_a_header_in_microseconds(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "BTCUSDT-trades-2025-01-02.zip",
        "4359799792,94591.78000000,0.00051000,48.24180780,1735776000002918,False,True\n"
        "4359799793,94591.79000000,0.00010000,9.45917900,1735776000041123,True,True\n",
    )
    manifest = imported(tmp_path, path)
    assert (manifest.series[0].market, manifest.series[0].symbol) == ("spot", "BTCUSDT")
    assert rows(tmp_path, manifest, "trades") == [
        {
            "ts_ns": 1735776000002918000, "symbol": "BTCUSDT", "exch_ts_ns": 1735776000002918000, "trade_id": 4359799792,
            "px": 94591.78, "sz": 0.00051, "side": 1,
        },
        {
            "ts_ns": 1735776000041123000, "symbol": "BTCUSDT", "exch_ts_ns": 1735776000041123000, "trade_id": 4359799793,
            "px": 94591.79, "sz": 0.0001, "side": -1,
        },
    ]  # fmt: skip
    assert manifest.series[0].instrument.tick_size == "0.01"
    assert manifest.series[0].instrument.lot_size == "0.00001"
    assert manifest.series[0].instrument.origin.startswith("inferred")


def test_futures_trades_and_aggregated_trades_with_a_header_in_milliseconds(tmp_path: Path) -> None:
    trades = zipped(
        tmp_path / "BTCUSDT-trades-2024-03-01.zip",
        "id,price,qty,quote_qty,time,is_buyer_maker\n"
        "4676593458,61130.9,0.002,122.2618,1709251200006,true\n"
        "4676593459,61131.0,0.010,611.31,1709251200010,false\n",
    )
    aggregated = zipped(
        tmp_path / "ETHUSDT-aggTrades-2024-03-01.zip",
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
        "1620102611,3341.66,0.050,3730459071,3730459072,1709251200022,true\n",
    )
    manifest = imported(tmp_path, trades, aggregated)
    assert {(series.market, series.symbol) for series in manifest.series} == {("usdm", "BTCUSDT"), ("usdm", "ETHUSDT")}
    assert [row["side"] for row in rows(tmp_path, manifest, "trades")] == [-1, 1]
    assert rows(tmp_path, manifest, "trades", "ETHUSDT")[0]["trade_id"] == 1620102611
    assert any("aggregated" in note for source in manifest.sources for note in source.notes)


def test_book_ticker_rows_are_kept_or_set_aside_each_with_its_reason(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "BTCUSDT-bookTicker-2024-03-01.zip",
        "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
        "100,61130.90,5.2,61131.00,1.1,1709251200001,1709251200003\n"
        "101,61130.90,5.2,61131.00,0.9,1709251200002,1709251200004\n"
        "101,61130.90,5.2,61131.00,0.9,1709251200002,1709251200004\n"
        "99,61130.90,5.2,61131.00,0.9,1709251200002,1709251200005\n"
        "102,61130.90,5.2,61131.00,0.9,1709251200002,1709251199005\n"
        "103,61131.10,5.2,61131.00,0.9,1709251200005,1709251200006\n"
        "104,61130.90,,61131.00,0.9,1709251200005,1709251200006\n"
        "105,sixty,5.2,61131.00,0.9,1709251200005,1709251200006\n"
        "106,61130.90,5.2,61131.00,0.9,1709251200005\n"
        "107,61130.90,0,61131.00,0.9,1709251200005,1709251200007\n"
        "108,61131.00,5.2,61131.00,0.9,1709251200005,1709251200008\n"
        "109,nan,5.2,61131.00,0.9,1709251200005,1709251200009\n",
    )
    source, table = only(imported(tmp_path, path))
    accounted(source)
    assert source.kept == table.rows == 3
    assert table.locked_rows == 1
    assert (
        source.rejected
        == table.rejected
        == {
            "duplicate": 1,
            "unordered": 2,
            "crossed": 1,
            "missing best_bid_qty": 1,
            "unparsable best_bid_price": 2,
            "not 7 columns": 1,
            "not positive": 1,
        }
    )
    with (tmp_path / "dataset" / source.rejected_file).open(newline="") as file:
        aside = list(csv.DictReader(file))
    assert {row["row"] for row in aside} == {"4", "5", "6", "7", "8", "9", "10", "11", "13"}
    assert any("sixty" in row["content"] for row in aside)


def test_a_known_tick_sets_aside_what_lies_off_it(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-trades-2024-03-01.csv"
    path.write_text(
        "1,61130.9,0.002,1,1709251200006,true\n2,61130.95,0.002,1,1709251200006,true\n3,61130.9,0.0025,1,1709251200006,true\n"
    )
    source, table = only(imported(tmp_path, path, options=Options(tick_size="0.1", lot_size="0.001")))
    assert (table.rows, source.rejected) == (1, {"off the grid": 2})


def test_depth_bands_are_a_table_of_their_own(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "BTCUSDT-bookDepth-2024-03-01.zip",
        "timestamp,percentage,depth,notional\n"
        "2024-03-01 00:00:09,-5,9177.385,545384640.4\n"
        "2024-03-01 00:00:09,5,8321.102,521343002.7\n"
        "yesterday,5,8321.102,521343002.7\n",
    )
    manifest = imported(tmp_path, path)
    assert rows(tmp_path, manifest, "depth_bands")[0] == {
        "ts_ns": 1709251209000000000, "symbol": "BTCUSDT", "percentage": -5.0, "depth": 9177.385, "notional": 545384640.4,
    }  # fmt: skip
    assert manifest.sources[0].rejected == {"missing": 1}


def test_historical_depth_snapshot_and_updates_become_a_book(tmp_path: Path) -> None:
    head = "symbol,timestamp,trans_id,first_update_id,last_update_id,side,update_type,price,qty"
    snap = tmp_path / "BTCUSDT_T_DEPTH_2021-02-16_depth_snap.csv"
    snap.write_text(
        f"{head}\n"
        + "".join(
            f"BTCUSDT,1613433600000,1,10,10,{side},snap,{price},{size}\n"
            for side, price, size in (("a", "48000.1", "1.5"), ("a", "48000.2", "2"), ("b", "48000.0", "3"), ("b", "47999.9", "4"))
        )
    )
    update = tmp_path / "BTCUSDT_T_DEPTH_2021-02-16_depth_update.csv"
    update.write_text(
        f"{head},pu\n"
        "BTCUSDT,1613433600100,2,11,12,b,set,48000.0,0,10\n"
        "BTCUSDT,1613433600100,2,11,12,a,set,48000.1,1.0,10\n"
        "BTCUSDT,1613433600200,3,13,14,x,set,48000.1,1.0,12\n"
        "BTCUSDT,1613433600300,4,15,16,b,set,47000.0,1.0,99\n"
    )
    manifest = imported(tmp_path, tmp_path)
    accounted(manifest.sources[0])
    book = rows(tmp_path, manifest, "book")
    assert [(row["bid_px_1"], row["bid_sz_1"], row["ask_px_1"], row["ask_sz_1"]) for row in book] == [
        (48000.0, 3.0, 48000.1, 1.5),
        (47999.9, 4.0, 48000.1, 1.0),
    ]
    assert book[0]["ask_px_2"] == 48000.2
    assert manifest.sources[0].unused == {"further lines of one message": 4, "no valid book yet": 1}
    assert manifest.sources[0].rejected == {"side or price": 1}


# ---- Tardis


def test_tardis_trades_quotes_and_snapshots(tmp_path: Path) -> None:
    trades = gzipped(
        tmp_path / "binance_trades_2019-11-01_BTCUSDT.csv.gz",
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
        "binance,BTCUSDT,1572566400123000,1572566400150123,197000001,buy,9147.98,0.020\n"
        "binance,BTCUSDT,1572566400125000,1572566400152000,197000002,sell,9147.97,0.5\n"
        "binance,BTCUSDT,1572566400127000,1572566400153000,197000003,unknown,9147.97,0.5\n"
        "binance,ETHUSDT,1572566400127000,1572566400153000,197000004,buy,182.97,0.5\n",
    )
    quotes = gzipped(
        tmp_path / "binance_quotes_2019-11-01_BTCUSDT.csv.gz",
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
        "binance,BTCUSDT,1572566400100000,1572566400110000,1.5,9148.0,9147.9,0.7\n"
        "binance,BTCUSDT,1572566400101000,1572566400111000,,,9147.9,0.7\n",
    )
    header = "exchange,symbol,timestamp,local_timestamp," + ",".join(
        f"asks[{n}].price,asks[{n}].amount,bids[{n}].price,bids[{n}].amount" for n in range(5)
    )
    levels = ",".join(f"{9148 + n},{n + 1},{9147 - n},{n + 2}" for n in range(4)) + ",,,9140,1"
    snapshots = tmp_path / "binance-futures_book_snapshot_5_2019-11-01_BTCUSDT.csv"
    snapshots.write_text(f"{header}\nbinance-futures,BTCUSDT,1572566400100000,1572566400110000,{levels}\n")
    manifest = imported(tmp_path, trades, quotes, snapshots)
    for source in manifest.sources:
        accounted(source)
    spot, usdm = sorted(manifest.series, key=lambda series: series.market)
    assert (spot.market, usdm.market) == ("spot", "usdm")
    assert spot.tables["trades"].rejected == {"another symbol": 1}
    assert spot.tables["book"].rejected == {"missing": 1}
    assert spot.clock_offset is not None
    assert spot.clock_offset.min_ns < spot.clock_offset.max_ns < 0
    both = rows(tmp_path, manifest, "trades")
    assert [(row["side"], row["px"], row["ts_ns"], row["exch_ts_ns"]) for row in both][:2] == [
        (1, 9147.98, 1572566400150123000, 1572566400123000000),
        (-1, 9147.97, 1572566400152000000, 1572566400125000000),
    ]
    deep = pl.read_parquet(tmp_path / "dataset" / usdm.tables["book"].partitions[0].path).to_dicts()[0]
    assert (deep["bid_px_5"], deep["ask_px_5"], deep["ask_px_4"], deep["ask_sz_4"]) == (9140.0, None, 9151.0, 4.0)


def test_tardis_incremental_books_begin_anew_with_each_snapshot(tmp_path: Path) -> None:
    lines = [
        "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount",
        "bitmex,XBTUSD,1585699200245000,1585699203957377,true,bid,6416.5,100",
        "bitmex,XBTUSD,1585699200245000,1585699203957377,true,bid,6416,200",
        "bitmex,XBTUSD,1585699200245000,1585699203957377,true,ask,6417,300",
        "bitmex,XBTUSD,1585699200300000,1585699203960000,false,bid,6416.5,0",
        "bitmex,XBTUSD,1585699200300000,1585699203960000,false,ask,6416.5,50",
        "bitmex,XBTUSD,1585699200400000,1585699203970000,false,bid,5000,50",
        "bitmex,XBTUSD,1585699210000000,1585699213000000,true,bid,6500,100",
        "bitmex,XBTUSD,1585699210000000,1585699213000000,true,ask,6501,100",
        "bitmex,XBTUSD,1585699210000000,1585699213000000,maybe,ask,6501,100",
    ]
    path = gzipped(tmp_path / "bitmex_incremental_book_L2_2020-04-01_XBTUSD.csv.gz", "\n".join(lines) + "\n")
    manifest = imported(tmp_path, path)
    source, table = only(manifest)
    accounted(source)
    book = rows(tmp_path, manifest, "book", "XBTUSD")
    assert [(row["session"], row["bid_px_1"], row["ask_px_1"], row.get("bid_px_2")) for row in book] == [
        (0, 6416.5, 6417.0, 6416.0),
        (0, 6416.0, 6416.5, None),
        (0, 6416.0, 6416.5, 5000.0),
        (1, 6500.0, 6501.0, None),
    ]
    assert (table.gap_count, table.gaps[0].why) == (1, "resync")
    assert source.rejected == {"side, flag or price": 1}
    assert all("update_id" not in row for row in book)
    assert manifest.series[0].instrument.tick_size == "0.5"


# ---- LOBSTER


def lobster(tmp_path: Path, messages: list[str], books: list[str]) -> tuple[Path, Path]:
    message = tmp_path / "AAPL_2012-06-21_34200000_57600000_message_2.csv"
    book = tmp_path / "AAPL_2012-06-21_34200000_57600000_orderbook_2.csv"
    message.write_text("\n".join(messages) + "\n")
    book.write_text("\n".join(books) + "\n")
    return message, book


def test_lobster_messages_and_books_are_read_in_step(tmp_path: Path) -> None:
    touch = "5859400,200,5853300,18,5859800,200,5853000,150"
    paths = lobster(
        tmp_path,
        [
            "34200.004241176,1,16113575,18,5853300,1",
            "34200.025551909,4,16120456,18,5859100,-1",
            "34200.025580000,5,0,5,5856000,1",
            "34201.000000000,7,0,0,-1,-1",
            "34202.000000000,3,16120480,18,5859200,-1",
            "34202.5,6,0,100,5857000,1",
        ],
        [touch, "5859400,182,5853300,18,9999999999,0,5853000,150", "5859400,182,5853300,18,9999999999,0,5853000,150",
         "5859400,182,5853300,18,9999999999,0,5853000,150", "5859500,10,5853300,18,9999999999,0,-9999999999,0",
         "5859500,10,5853300,18,9999999999,0,-9999999999,0"],
    )  # fmt: skip
    manifest = imported(tmp_path, *paths)
    (source,) = manifest.sources
    accounted(source)
    assert manifest.series[0].market == "nasdaq"
    begin = midnight_ns("2012-06-21")
    assert begin == 1340251200 * 10**9, "midnight in New York, in summer"
    assert [(row["ts_ns"] - begin, row["px"], row["sz"], row["side"]) for row in rows(tmp_path, manifest, "trades", "AAPL")] == [
        (34200025551909, 585.91, 18.0, 1),
        (34200025580000, 585.6, 5.0, -1),
        (34202500000000, 585.7, 100.0, 0),
    ]
    book = rows(tmp_path, manifest, "book", "AAPL")
    assert [(row["session"], row["bid_px_1"], row["ask_px_1"], row["ask_sz_1"], row.get("ask_px_2")) for row in book] == [
        (0, 585.33, 585.94, 200.0, 585.98),
        (0, 585.33, 585.94, 182.0, None),
        (1, 585.33, 585.95, 10.0, None),
    ]
    assert source.unused == {"no visible change": 3, "a message that is no trade": 3}


def test_lobster_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    message, book = lobster(tmp_path, ["34200.0,1,1,1,5853300,1"] * 2, ["5859400,200,5853300,18,5859800,200,5853000,150"])
    with pytest.raises(ImportFailed, match="do not belong together"):
        imported(tmp_path, message, book)
    with pytest.raises(ImportFailed, match="must be beside it"):
        imported(tmp_path, message)
    assert not (tmp_path / "dataset").exists()


# ---- what is no format


TRADE_LINE = b"1,61130.9,0.002,1,1709251200006,true\n"


def test_files_of_no_format_are_refused_when_named_and_told_when_found_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    (folder / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ImportFailed, match="of no known format"):
        find_sources([folder / "odd.csv"], Options())
    with pytest.raises(ImportFailed, match="nothing of a known format"):
        find_sources([folder], Options())
    (folder / "BTCUSDT-trades-2024-03-01.csv").write_text("1,61130.9,0.002,1,1709251200006,true\n")
    manifest = imported(tmp_path, folder)
    assert [Path(name).name for name in manifest.passed_over] == ["notes.txt", "odd.csv"]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("BTCUSDT-trades-2024-03-01.zip", b"no archive", "cannot be read"),
        ("BTCUSDT-trades-2024-03-01.csv.gz", gzip.compress(TRADE_LINE * 20_000)[:-20], "cannot be read after line"),
        ("BTCUSDT-trades-2024-03-01.csv", b"1,2,3\n", "has 3 columns; trades files have"),
        ("spot__btcusdt_20240101.gz", gzip.compress(b"12 {}\n"), "micro- or nanoseconds"),
        ("x.book.parquet", b"no parquet", "cannot be read as parquet"),
    ],
    ids=["zip", "torn gzip", "columns", "recording", "parquet"],
)
def test_spoilt_files_are_named(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImportFailed, match=word) as refused:
        imported(tmp_path, tmp_path / name)
    assert name in str(refused.value)
    assert not (tmp_path / "dataset").exists()
