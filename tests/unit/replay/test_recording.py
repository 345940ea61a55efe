"""Reading recordings: units of time, order, what a file is told to be, and the book against an independent one."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmd.exchanges.binance.decode import FrameDecoder
from mmd.market.book import OrderBook
from mmd.mock.engine import MatchingEngine
from mmd.mock.replay import Recording, RecordingError, ReplayMarket
from mmd.recording.recording import inner_data
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, Side, TouchUpdate

SECOND = 1_000_000_000
COMPARED_LEVELS = 500
"""The recorded snapshots reach 1000 levels deep; diffs before them speak of further ones."""


def frame(symbol: str, kind: str, **data: Any) -> bytes:
    return msgspec.json.encode({"stream": f"{symbol.lower()}@{kind}", "data": {"s": symbol, **data}})


def diff(symbol: str, first: int, final: int, bids: Any = (), asks: Any = (), *, previous: int | None = None) -> bytes:
    extra = {} if previous is None else {"pu": previous}
    return frame(symbol, "depth@0ms", e="depthUpdate", E=1000, U=first, u=final, b=bids, a=asks, **extra)


def record(path: Path, *lines: tuple[int, bytes]) -> Path:
    path.write_bytes(gzip.compress(b"".join(b"%d %b\n" % line for line in lines)))
    return path


def test_both_units_of_time_and_the_market_are_told_from_the_file(tmp_path: Path) -> None:
    spot = Recording([record(tmp_path / "a.gz", (1_680_652_800_004_107, diff("BTCUSDT", 1, 2)))])
    futures = Recording([record(tmp_path / "b.gz", (1_721_347_020_984_480_942, diff("BTCUSDT", 1, 2, previous=0)))])
    assert [line.receive_ns for line in spot.lines()] == [1_680_652_800_004_107_000]
    assert [line.receive_ns for line in futures.lines()] == [1_721_347_020_984_480_942]
    assert spot.instruments["BTCUSDT"].tick_size == Decimal("0.01")
    assert spot.instruments["BTCUSDT"].lot_size == Decimal("0.00001")
    assert futures.instruments["BTCUSDT"].tick_size == Decimal("0.1")
    assert futures.instruments["BTCUSDT"].lot_size == Decimal("0.001")


def test_files_of_one_symbol_follow_each_other_and_symbols_are_merged_by_time(tmp_path: Path) -> None:
    base = 1_721_347_020_000_000_000
    late = record(tmp_path / "1.gz", (base + 30, diff("BTCUSDT", 5, 6, previous=4)), (base + 50, diff("BTCUSDT", 7, 8, previous=6)))
    early = record(tmp_path / "2.gz", (base, diff("BTCUSDT", 1, 2, previous=0)), (base + 20, diff("BTCUSDT", 3, 4, previous=2)))
    other = record(
        tmp_path / "3.gz", (base + 10, diff("ETHUSDT", 1, 2, previous=0)), (base + 40, diff("ETHUSDT", 3, 4, previous=2))
    )
    lines = list(Recording([late, other, early]).lines())
    assert [line.receive_ns - base for line in lines] == [0, 10, 20, 30, 40, 50]
    assert [line.symbol[:3] for line in lines] == ["BTC", "ETH", "BTC", "BTC", "ETH", "BTC"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"not gzip", "cannot be read"),
        (gzip.compress(b"12 {}\n"), "micro- or nanoseconds"),
        (gzip.compress(b"1721347020984480942 hello\n"), "line 1"),
        (gzip.compress(b""), "no diff-depth frame"),
    ],
    # Compressed bytes bear the time they were made at: as names they would differ from worker to worker.
    ids=["not gzip", "odd time", "odd frame", "empty"],
)
def test_what_is_no_recording_is_refused_with_its_name(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "odd.gz"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=word) as refused:
        Recording([path])
    assert "odd.gz" in str(refused.value)


def test_an_unknown_symbol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no tick and lot size known for usdm DOGEUSDT"):
        Recording([record(tmp_path / "a.gz", (1_721_347_020_984_480_942, diff("DOGEUSDT", 1, 2, previous=0)))])


def test_the_inner_data_of_a_frame_are_its_bytes() -> None:
    assert inner_data(b'{"stream":"btcusdt@trade","data":{"e":"trade","q":"0.10"}}') == b'{"e":"trade","q":"0.10"}'


class Wire:
    """Everybody reads everything."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.announced: list[dict[str, Any]] = []

    def reader_count(self, stream: str) -> int:
        return 1

    def broadcast_as_is(self, streams: Any, combined: bytes, raw: bytes) -> None:
        if "mmd@announcement" in streams:
            self.announced.append(msgspec.json.decode(raw))
        else:
            self.sent.append(combined)


def play(paths: list[Path], speed: float = 1.0) -> tuple[ReplayMarket, Wire]:
    recording, wire = Recording(paths), Wire()
    return ReplayMarket(MatchingEngine(recording.instruments.values()), recording, speed, lambda: wire), wire


def test_a_long_gap_is_skipped_and_the_end_is_announced(tmp_path: Path) -> None:
    base = 1_721_347_020_000_000_000
    path = record(
        tmp_path / "1.gz",
        (base, diff("BTCUSDT", 1, 2, previous=0)),
        (base + 100 * SECOND, diff("BTCUSDT", 3, 4, previous=2)),
    )
    market, wire = play([path], speed=2.0)
    start = 5 * SECOND
    for now in range(start, start + SECOND, SECOND // 100):
        market.advance(now, lambda *_: None)
    assert market.frames == 2
    assert market.ended
    assert market.skipped_ns == pytest.approx(99 * SECOND, abs=SECOND // 10)
    assert [said["ended"] for said in wire.announced].count(True) >= 1
    assert wire.announced[-1]["e"] == "announcement"
    assert wire.announced[-1]["speed"] == 2.0
    assert wire.announced[-1]["frames"] == 2


NAMES = ("usdm__btcusdt_20240718.gz", "usdm__ethusdt_20240718.gz")


Levels = list[tuple[int, int]]


def test_the_book_is_that_of_an_independent_replay_and_any_client_comes_in_step(market_data_folder: Path) -> None:
    paths = [market_data_folder / "binance_raw" / name for name in NAMES]
    market, wire = play(paths)
    instruments = Recording(paths).instruments
    decoder = FrameDecoder(instruments)
    clients = {symbol: OrderBook(symbol) for symbol in instruments}
    shown: dict[str, dict[int, tuple[Levels, Levels]]] = {symbol: {} for symbol in instruments}
    seen = 0
    for step in range(180):
        now_ns = (step + 1) * SECOND
        market.advance(now_ns, lambda *_: None)
        for sent in wire.sent[seen:]:
            event = decoder.decode(sent, now_ns)
            if isinstance(event, DepthUpdate):
                clients[event.symbol].on_depth_update(event)
            elif isinstance(event, TouchUpdate):
                clients[event.symbol].on_touch_update(event)
        seen = len(wire.sent)
        for symbol, client in clients.items():
            update_id, bids, asks = market.depth(symbol, COMPARED_LEVELS)
            if client.needs_snapshot:
                client.on_depth_snapshot(DepthSnapshot(symbol, now_ns, update_id, tuple(bids), tuple(asks)))
            if step <= 2:
                continue
            shown[symbol][update_id] = (bids, asks)
            assert client.valid, client.invalid_reason
            assert client.bid_ticks < client.ask_ticks
            assert bids[0][0] < asks[0][0]
            if client.touch_update_id == client.update_id:
                assert client.levels(Side.BUY, 20) == bids[:20]
                assert client.levels(Side.SELL, 20) == asks[:20]
    assert sum(client.gaps + client.resyncs for client in clients.values()) == 0
    for path, (symbol, instrument) in zip(paths, instruments.items(), strict=True):
        assert len(shown[symbol]) > 100
        assert _independent(path, instrument, set(shown[symbol])) == shown[symbol]


def _independent(path: Path, instrument: Instrument, wanted: set[int]) -> dict[int, tuple[Levels, Levels]]:
    """Decimal texts in plain dictionaries, from the recorded snapshot on: the best levels at the wanted update ids."""
    sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
    pending: list[dict[str, Any]] = []
    found: dict[int, tuple[Levels, Levels]] = {}
    last = 0

    def apply(data: dict[str, Any]) -> None:
        if data["u"] <= last:
            return
        for side, levels in zip(sides, (data["b"], data["a"]), strict=True):
            side.update(levels)
        if data["u"] in wanted:
            found[data["u"]] = (ranked(sides[0], -1), ranked(sides[1], 1))

    def ranked(side: dict[str, str], sign: int) -> Levels:
        levels = [(instrument.ticks(price), instrument.lots(quantity)) for price, quantity in side.items()]
        return sorted((level for level in levels if level[1]), key=lambda level: sign * level[0])[:COMPARED_LEVELS]

    with gzip.open(path) as lines:
        for line in lines:
            body = line.partition(b" ")[2]
            if b"lastUpdateId" in body[:20]:
                snapshot = msgspec.json.decode(body)
                last = snapshot["lastUpdateId"]
                sides[0].update(snapshot["bids"])
                sides[1].update(snapshot["asks"])
                for data in pending:
                    apply(data)
            elif b"@depth" in body[:30]:
                data = msgspec.json.decode(body)["data"]
                if last:
                    apply(data)
                else:
                    pending.append(data)
    return found
