"""A market recorded, imported, replayed and recorded again, by real processes: the same trades, the same best prices."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmd.recording.recording import Recording, RecordingError
from tests.acceptance.processes import MMD, Process, World, clean_environment, wait_until, world

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def recorder(system: World, folder: Path, *extra: str) -> Process:
    base = f"127.0.0.1:{system.mock_port}"
    urls = ["--rest-url", f"http://{base}", "--stream-url", f"ws://{base}"]
    process = Process(
        ["record", "--out", str(folder), "--symbols", ",".join(SYMBOLS), "--min-free-mb", "0", *urls, *extra],
        clean_environment(),
        system.folder,
        "record",
    )
    system.processes.append(process)
    return process


def frames(folder: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Symbol and data of each frame of a stream, in order, by symbol."""
    lines = [line for line in Recording([folder]).lines() if line.kind == kind]
    lines.sort(key=lambda line: line.symbol)
    return [(line.symbol, json.loads(line.frame)["data"]) for line in lines]


def imported(recorded: Path, dataset: Path) -> dict[str, dict[str, pl.DataFrame]]:
    """By `mmd import`: the tables of each symbol."""
    done = subprocess.run(
        [*MMD, "import", str(recorded), "--out", str(dataset), "--json"],
        env=clean_environment(),
        cwd=recorded.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tables: dict[str, dict[str, pl.DataFrame]] = {}
    for series in json.loads(done.stdout)["series"]:
        for name, table in series["tables"].items():
            assert table["rejected"] == {}, series
            parts = [pl.read_parquet(dataset / part["path"]) for part in table["partitions"]]
            tables.setdefault(series["symbol"], {})[name] = pl.concat(parts)
    return tables


def best_prices(book: pl.DataFrame) -> dict[int, tuple[float, ...]]:
    """At each update id, the last row that shows it."""
    touch = ("bid_px_1", "bid_sz_1", "ask_px_1", "ask_sz_1")
    return {row[0]: row[1:] for row in book.select("update_id", *touch).iter_rows()}


@pytest.mark.parametrize(
    ("seconds", "speed"),
    [
        pytest.param(8, 4, marks=pytest.mark.timeout(200)),
        pytest.param(60, 2, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
    ids=["seconds", "minute"],
)
def test_what_was_recorded_comes_out_of_import_and_replay_as_it_was(tmp_path: Path, seconds: int, speed: int) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with world(tmp_path) as system:
        mock = system.start_mock("--seed", "11", keep_state=False)
        assert recorder(system, first, "--seconds", str(seconds), "--segment-seconds", str(seconds / 3)).child.wait(300) == 0
        mock.terminate()
        assert len(list(first.glob("*.gz"))) >= 2 * len(SYMBOLS), "the recording is cut into several files"
        trades, touches = frames(first, "trade"), frames(first, "bookTicker")
        diffs = frames(first, "depth@100ms")
        assert min(len(trades), len(touches), len(diffs)) > 5 * seconds

        system.start_mock("--replay", str(first), "--speed", str(speed), keep_state=False)
        again = recorder(system, second)

        def everything_is_there() -> bool:
            try:
                return len(frames(second, "trade")) >= len(trades) and len(frames(second, "depth@100ms")) >= len(diffs)
            except RecordingError:
                # Nothing was flushed yet.
                return False

        wait_until("the end of the replay", everything_is_there, 2 * seconds / speed + 60)
        assert again.terminate() == 0

    assert frames(second, "trade") == trades
    assert frames(second, "bookTicker") == touches
    assert frames(second, "depth@100ms") == diffs

    before, after = imported(first, tmp_path / "dataset-1"), imported(second, tmp_path / "dataset-2")
    assert set(before) == set(after) == set(SYMBOLS)
    for symbol in SYMBOLS:
        ours = [data for name, data in trades if name == symbol]
        for tables in (before[symbol], after[symbol]):
            table = tables["trades"]
            assert table["trade_id"].to_list() == [data["t"] for data in ours]
            assert table["px"].to_list() == [float(data["p"]) for data in ours]
            assert table["sz"].to_list() == [float(data["q"]) for data in ours]
            assert table["side"].to_list() == [-1 if data["m"] else 1 for data in ours]
            assert (table["exch_ts_ns"] // 1_000_000).to_list() == [data["E"] for data in ours]
        one, other = best_prices(before[symbol]["book"]), best_prices(after[symbol]["book"])
        # Each book begins with the snapshot that its own recorder was given, and with what came while it waited for that.
        begin = min(one.keys() & other.keys())
        one, other = ({key: touch for key, touch in each.items() if key >= begin} for each in (one, other))
        assert one == other
        assert len(one) > 3 * seconds
        told = {data["u"]: tuple(float(data[name]) for name in "bBaA") for name, data in touches if name == symbol}
        assert all(told[key] == touch for key, touch in one.items() if key in told)
        assert sum(key in told for key in one) > len(one) / 2
