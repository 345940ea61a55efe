"""Where events come from: the simulated market, recordings, and what is wrong with a source."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

import pytest

from mmd.learning.data import parse_data
from mmd.learning.errors import SourceError
from mmd.learning.sources import simulated_events
from mmd.market.book import OrderBook
from mmd.recording.events import SNAPSHOT_SECONDS, recorded_events
from mmd.recording.instruments import KNOWN_INSTRUMENTS
from mmd.recording.recording import RecordingError
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, TouchUpdate


def test_a_simulated_market_is_the_same_for_the_same_seed_and_keeps_a_book_valid() -> None:
    events = list(simulated_events(3, 5.0, "BTCUSDT"))
    assert events == list(simulated_events(3, 5.0, "BTCUSDT"))
    assert events != list(simulated_events(4, 5.0, "BTCUSDT"))
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(events[0])  # type: ignore[arg-type]
    kinds = {type(event) for event in events}
    assert kinds == {DepthSnapshot, DepthUpdate, TouchUpdate, MarketTrade}
    assert [event.receive_ns for event in events] == sorted(event.receive_ns for event in events)
    for event in events[1:]:
        if isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        elif isinstance(event, TouchUpdate):
            book.on_touch_update(event)
    assert (book.valid, book.gaps, book.resyncs) == (True, 0, 0)


def test_sources_of_a_simulation_by_seeds_and_hours() -> None:
    sources = parse_data("sim:1-2,0.5")
    assert [(source.series, source.describe) for source in sources] == [
        ("sim BTCUSDT", "simulated market, seed 1, 1800 s"),
        ("sim ETHUSDT", "simulated market, seed 1, 1800 s"),
        ("sim BTCUSDT", "simulated market, seed 2, 1800 s"),
        ("sim ETHUSDT", "simulated market, seed 2, 1800 s"),
    ]


@pytest.mark.parametrize("text", ["sim:", "sim:1", "sim:3-1,1", "sim:1,0", "sim:x,1", "/no/such/folder"])
def test_data_that_cannot_be_meant_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(SourceError, match="data "):
        parse_data(text)


def test_recordings_are_grouped_by_market_symbol_and_month(market_data_folder: Path) -> None:
    sources = parse_data(str(market_data_folder / "binance_raw"))
    assert {source.series: source.describe.count(".gz") for source in sources} == {
        "spot BTCUSDT 202304": 1,
        "usdm BTCUSDT 202304": 2,
        "usdm BTCUSDT 202407": 2,
        "usdm ETHUSDT 202407": 2,
    }


def test_a_recording_without_a_snapshot_learns_its_levels_first(market_data_folder: Path) -> None:
    path = market_data_folder / "binance_raw" / "spot__btcusdt_20230405.dat.gz"
    events = list(recorded_events([path], KNOWN_INSTRUMENTS["spot", "BTCUSDT"]))
    snapshots = [event for event in events if isinstance(event, DepthSnapshot)]
    assert len(snapshots) == 1
    assert snapshots[0].receive_ns - events[0].receive_ns == pytest.approx(SNAPSHOT_SECONDS * 1e9, rel=0.05)
    assert snapshots[0].bids[0] < snapshots[0].asks[0]
    book = OrderBook("BTCUSDT")
    met = missed = 0
    for event in events:
        if isinstance(event, DepthSnapshot):
            book.on_depth_snapshot(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        elif isinstance(event, TouchUpdate) and book.valid:
            book.on_touch_update(event)
            met += (book.bid_ticks, book.ask_ticks) == (event.bid_ticks, event.ask_ticks)
            missed += (book.bid_ticks, book.ask_ticks) != (event.bid_ticks, event.ask_ticks)
    assert book.gaps == 0
    assert met > 100 * missed


def test_both_units_of_receive_time_are_understood(market_data_folder: Path) -> None:
    folder = market_data_folder / "binance_raw"
    for name, key, year in (
        ("usdm__btcusdt_20230404.dat.gz", ("usdm", "BTCUSDT"), 2023),
        ("usdm__btcusdt_20240718.gz", ("usdm", "BTCUSDT"), 2024),
    ):
        first = next(islice(recorded_events([folder / name], KNOWN_INSTRUMENTS[key]), 1))
        assert 1970 + first.receive_ns / 1e9 / 86_400 / 365.25 == pytest.approx(year + 0.4, abs=0.5)


def test_faults_of_a_recording_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no recordings"):
        parse_data(str(tmp_path))
    (tmp_path / "spot__dogeusdt_20240101.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(SourceError, match="no tick and lot size known for spot DOGEUSDT"):
        parse_data(str(tmp_path))
    path = tmp_path / "usdm__btcusdt_20240101.gz"
    path.write_bytes(gzip.compress(b'12 {"stream":"btcusdt@trade"}\n'))
    with pytest.raises(RecordingError, match="line 1: expected a receive time"):
        list(recorded_events([path], KNOWN_INSTRUMENTS["usdm", "BTCUSDT"]))
