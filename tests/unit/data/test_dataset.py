"""The dataset as a whole: days, sessions, hashes, adding to it, real files, learning from it, memory."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from mmd.cli import app
from mmd.data.importing import import_data
from mmd.data.manifest import MANIFEST_FILE, Manifest, ManifestError, read_manifest
from mmd.data.source import ImportFailed, Options
from mmd.learning.data import load_rows, parse_data
from mmd.learning.errors import SourceError
from mmd.learning.sessions import record_sessions
from mmd.learning.sources import recorded_sources

DAY_MS = 86_400_000
BEGIN_MS = 1_709_251_200_000
"""2024-03-01."""


def trades(folder: Path, name: str, rows: list[tuple[int, int]]) -> Path:
    path = folder / f"BTCUSDT-trades-{name}.csv"
    path.write_text("".join(f"{number},61130.9,0.002,1,{ms},true\n" for number, ms in rows))
    return path


def check_files(dataset: Path, manifest: Manifest) -> None:
    """The manifest tells the truth about every file."""
    listed = set()
    for series in manifest.series:
        for name, table in series.tables.items():
            for part in table.partitions:
                path = dataset / part.path
                frame = pl.read_parquet(path)
                listed.add(path)
                assert hashlib.sha256(path.read_bytes()).hexdigest() == part.sha256
                assert path.stat().st_size == part.bytes
                assert (frame.height, frame["ts_ns"].min(), frame["ts_ns"].max()) == (part.rows, part.begin_ns, part.end_ns)
                assert frame["ts_ns"].is_sorted()
                assert frame["symbol"].unique().to_list() == [series.symbol]
                assert path.name.endswith(f".{name}.parquet")
            assert table.rows == sum(part.rows for part in table.partitions)
    assert listed == set(dataset.rglob("*.parquet"))


def test_days_are_files_of_their_own_and_silence_ends_a_session(tmp_path: Path) -> None:
    rows = [
        (1, BEGIN_MS + DAY_MS - 2_000),
        (2, BEGIN_MS + DAY_MS - 1_000),
        (3, BEGIN_MS + DAY_MS + 500),
        (4, BEGIN_MS + DAY_MS + 90_000),
    ]
    manifest = import_data([trades(tmp_path, "2024-03", rows)], tmp_path / "d", Options())
    check_files(tmp_path / "d", manifest)
    table = manifest.series[0].tables["trades"]
    assert [(part.date, part.rows) for part in table.partitions] == [("2024-03-01", 2), ("2024-03-02", 2)]
    assert (table.gap_count, table.gap_seconds) == (1, 89.5)
    assert table.gaps[0].begin_ns == (BEGIN_MS + DAY_MS + 500) * 10**6
    assert read_manifest(tmp_path / "d") == manifest


def test_the_same_sources_give_the_same_hash_and_are_not_imported_twice(tmp_path: Path) -> None:
    path = trades(tmp_path, "2024-03-01", [(number, BEGIN_MS + number) for number in range(1, 500)])
    first, second = (import_data([path], tmp_path / name, Options()) for name in ("a", "b"))
    assert first.sha256 == second.sha256
    with pytest.raises(ImportFailed, match="say --append"):
        import_data([path], tmp_path / "a", Options())
    with pytest.raises(ImportFailed, match="in the dataset already"):
        import_data([path], tmp_path / "a", Options(), append=True)
    assert read_manifest(tmp_path / "a") == first


def test_a_dataset_is_added_to_and_the_same_time_twice_is_refused(tmp_path: Path) -> None:
    dataset = tmp_path / "d"
    morning = trades(tmp_path, "2024-03-01", [(number, BEGIN_MS + number) for number in range(1, 100)])
    import_data([morning], dataset, Options())
    evening = trades(tmp_path, "2024-03-02", [(number, BEGIN_MS + 7_200_000 + number) for number in range(100, 200)])
    grown = import_data([evening], dataset, Options(), append=True)
    check_files(dataset, grown)
    table = grown.series[0].tables["trades"]
    assert (table.rows, len(grown.sources)) == (199, 2)
    assert [Path(part.path).name for part in table.partitions] == [
        "BTCUSDT-usdm-20240301-000.trades.parquet",
        "BTCUSDT-usdm-20240301-001.trades.parquet",
    ]
    again = trades(tmp_path, "2024-03-03", [(number, BEGIN_MS + number) for number in range(50, 300)])
    with pytest.raises(ImportFailed, match="overlaps in time"):
        import_data([again], dataset, Options(), append=True)
    assert read_manifest(dataset) == grown
    check_files(dataset, grown)


def test_folders_that_are_no_dataset_are_left_alone(tmp_path: Path) -> None:
    path = trades(tmp_path, "2024-03-01", [(1, BEGIN_MS)])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious.txt").write_text("mine")
    with pytest.raises(ImportFailed, match="is no dataset"):
        import_data([path], tmp_path / "other", Options())
    assert [each.name for each in (tmp_path / "other").iterdir()] == ["precious.txt"]
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / MANIFEST_FILE).write_text('{"schema_version": 1}')
    with pytest.raises(ManifestError, match="cannot be read"):
        import_data([path], tmp_path / "old", Options(), append=True)


def test_real_parquet_files_with_their_known_faults(tmp_path: Path, market_data_folder: Path) -> None:
    files = [market_data_folder / "us_equity" / f"IBM.{table}.parquet" for table in ("book", "trades")]
    manifest = import_data(files, tmp_path / "d", Options())
    check_files(tmp_path / "d", manifest)
    (series,) = manifest.series
    book, prints = series.tables["book"], series.tables["trades"]
    assert (series.market, series.symbol, series.instrument.tick_size) == ("us_equity", "IBM", "0.01")
    assert book.rejected == {"crossed": 51}
    assert book.rows == 121_826 - 51
    assert book.locked_rows > 0
    assert (prints.rows, prints.rejected) == (84_344, {})
    assert [part.date for part in book.partitions] == ["2013-10-07", "2013-10-08", "2013-10-09"]
    assert book.gap_count == 2
    assert all(gap.end_ns - gap.begin_ns > 17 * 3_600 * 10**9 for gap in book.gaps)


def test_quotes_without_sizes_stay_without(tmp_path: Path, market_data_folder: Path) -> None:
    whole = pl.scan_parquet(market_data_folder / "fx" / "XAUUSD.oanda.book.parquet").head(150_000).collect()
    path = tmp_path / "XAUUSD.oanda.book.parquet"
    whole.write_parquet(path)
    manifest = import_data([path], tmp_path / "d", Options())
    (series,) = manifest.series
    assert (series.market, series.symbol) == ("oanda", "XAUUSD")
    frame = pl.read_parquet(tmp_path / "d" / series.tables["book"].partitions[0].path)
    assert frame["bid_sz_1"].null_count() == frame.height
    assert series.tables["book"].rows + sum(series.tables["book"].rejected.values()) == 150_000


def test_a_recording_becomes_the_rows_that_learning_makes_of_it_directly(tmp_path: Path, market_data_folder: Path) -> None:
    """The way through the dataset changes nothing: the same steps, the same features, the same trades."""
    raw = tmp_path / "raw"
    raw.mkdir()
    name = "usdm__btcusdt_20240718.gz"
    (raw / name).symlink_to(market_data_folder / "binance_raw" / name)
    manifest = import_data([raw / name], tmp_path / "d", Options(gap_seconds=5.0))
    check_files(tmp_path / "d", manifest)
    (series,) = manifest.series
    assert series.instrument.tick_size == "0.1"
    assert series.instrument.origin.startswith("as the venue stated")
    assert series.clock_offset is not None
    assert 1.2e9 < series.clock_offset.median_ns < 1.6e9
    assert "behind the exchange's" in series.clock_offset.note
    direct = record_sessions(recorded_sources(raw)[0], 1.0, min_rows=50)
    sources = parse_data(str(tmp_path / "d"))
    through = [session for source in sources for session in load_rows(source, 1.0, min_rows=50, cache=tmp_path / "cache").sessions]
    (one,), other = direct, through[0]
    assert np.array_equal(one.receive_ns[: other.rows], other.receive_ns)
    for field in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots"):
        assert np.array_equal(getattr(one, field)[: other.rows], getattr(other, field)), field
    assert np.array_equal(one.trade_price_ticks[: len(other.trade_price_ticks)], other.trade_price_ticks)
    np.testing.assert_allclose(one.market[: other.rows], other.market, rtol=1e-4, atol=1e-4)


def test_a_dataset_with_a_file_gone_is_no_source(tmp_path: Path) -> None:
    frame = pl.DataFrame({"ts_ns": [BEGIN_MS * 10**6], "symbol": ["A"], "bid_px_1": [1.0], "ask_px_1": [2.0]})
    frame.write_parquet(tmp_path / "A.book.parquet")
    manifest = import_data([tmp_path / "A.book.parquet"], tmp_path / "d", Options())
    (tmp_path / "d" / manifest.series[0].tables["book"].partitions[0].path).unlink()
    with pytest.raises(SourceError, match="not there"):
        parse_data(str(tmp_path / "d"))


def test_the_command_says_what_it_did_and_what_can_be_imported(tmp_path: Path) -> None:
    path = trades(tmp_path, "2024-03-01", [(1, BEGIN_MS), (1, BEGIN_MS), (2, BEGIN_MS)])
    run = CliRunner()
    listed = run.invoke(app, ["import", "--list-formats"])
    assert listed.exit_code == 0
    for name in ("recording", "binance-archive", "binance-depth", "tardis", "lobster", "parquet"):
        assert name in listed.output
    done = run.invoke(app, ["import", str(path), "--out", str(tmp_path / "d")])
    assert done.exit_code == 0, done.output
    assert "1 duplicate" in done.output
    assert "sha256" in done.output
    for arguments, code, said in (
        ([], 2, "say what to import"),
        ([str(path), "--out", str(tmp_path / "d")], 1, "--append"),
        ([str(path), "--out", str(tmp_path / "e"), "--tick", "0.1"], 2, "go together"),
        ([str(path), "--out", str(tmp_path / "e"), "--tick", "x", "--lot", "1"], 1, "--tick x"),
        ([str(tmp_path / "none"), "--out", str(tmp_path / "e")], 1, "no such file"),
    ):
        refused = run.invoke(app, ["import", *arguments])
        assert (refused.exit_code, said in refused.output) == (code, True), refused.output


@pytest.mark.long
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Four times the rows within nearly the same memory, in processes of their own."""
    used = []
    for times, name in ((1, "2024-03-01"), (4, "2024-03-02")):
        path = tmp_path / f"BTCUSDT-trades-{name}.csv"
        with path.open("w") as file:
            for number in range(300_000 * times):
                file.write(f"{number},61130.9,0.002,122.26,{BEGIN_MS + number},true\n")
        code = (
            "import resource, sys; from pathlib import Path; from mmd.data.importing import import_data;"
            "from mmd.data.source import Options;"
            f"import_data([Path({str(path)!r})], Path({str(tmp_path / name)!r}), Options());"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
        used.append(int(done.stdout))
    assert used[1] < 1.5 * used[0], used
