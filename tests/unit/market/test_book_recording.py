"""The book over a recorded market: the two files of one BTC futures session, the second going on where the first ends."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmd.market.book import OrderBook
from mmd.types.market import DepthSnapshot, DepthUpdate, Level, Side, TouchUpdate

FILES = ("usdm__btcusdt_20240718.gz", "usdm__btcusdt_20240719.gz")
Event = DepthUpdate | DepthSnapshot | TouchUpdate


def levels(rows: list[list[str]]) -> tuple[Level, ...]:
    return tuple((round(float(price) * 10), round(float(quantity) * 1000)) for price, quantity in rows)


def event_of(receive_ns: int, frame: dict[str, Any]) -> Event | None:
    if "lastUpdateId" in frame:
        return DepthSnapshot("BTCUSDT", receive_ns, frame["lastUpdateId"], levels(frame["bids"]), levels(frame["asks"]))
    data = frame["data"]
    exchange_ns = data["E"] * 1_000_000
    if data["e"] == "depthUpdate":
        bids, asks = levels(data["b"]), levels(data["a"])
        return DepthUpdate("BTCUSDT", receive_ns, exchange_ns, data["U"], data["u"], data["pu"], bids, asks)
    if data["e"] == "bookTicker":
        (bid,), (ask,) = levels([[data["b"], data["B"]]]), levels([[data["a"], data["A"]]])
        return TouchUpdate("BTCUSDT", receive_ns, exchange_ns, data["u"], *bid, *ask)
    return None


def read(path: Path) -> Iterator[Event]:
    decode = msgspec.json.Decoder().decode
    with gzip.open(path, "rb") as lines:
        for line in lines:
            receive_ns, _, frame = line.partition(b" ")
            event = event_of(int(receive_ns), decode(frame))
            if event is not None:
                yield event


@pytest.fixture(scope="module")
def session(market_data_folder: Path) -> list[Event]:
    return [event for name in FILES for event in read(market_data_folder / "binance_raw" / name)]


def feed(book: OrderBook, event: Event) -> bool:
    if isinstance(event, TouchUpdate):
        return book.on_touch_update(event)
    if isinstance(event, DepthUpdate):
        return book.on_depth_update(event)
    return book.on_depth_snapshot(event)


class SlowBook:
    """The reference: a dict a side, sorted when asked; only ever fed with diffs that follow."""

    def __init__(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.update_id = 0

    def apply(self, event: DepthUpdate | DepthSnapshot) -> None:
        for side, rows in ((self.bids, event.bids), (self.asks, event.asks)):
            for price, lots in rows:
                side[price] = lots
                if lots == 0:
                    del side[price]
        self.update_id = event.final_update_id if isinstance(event, DepthUpdate) else event.last_update_id

    def best(self, count: int) -> tuple[list[Level], list[Level]]:
        return sorted(self.bids.items(), reverse=True)[:count], sorted(self.asks.items())[:count]

    def snapshot(self, receive_ns: int) -> DepthSnapshot:
        bids, asks = self.best(1_000)
        return DepthSnapshot("BTCUSDT", receive_ns, self.update_id, tuple(bids), tuple(asks))


def test_never_crossed_while_valid_and_no_gap_in_a_whole_recording(session: list[Event]) -> None:
    book = OrderBook("BTCUSDT")
    touches: dict[int, tuple[int, int, int, int]] = {}
    valid = met = naive_crossed = 0
    naive_bid, naive_ask = 0, 1 << 60
    for event in session:
        feed(book, event)
        if isinstance(event, TouchUpdate):
            touches = {event.update_id: (event.bid_ticks, event.bid_lots, event.ask_ticks, event.ask_lots)}
            naive_bid, naive_ask = event.bid_ticks, event.ask_ticks
        if book.valid:
            valid += 1
            assert 0 < book.bid_ticks < book.ask_ticks
            assert book.bid_lots > 0
            assert book.ask_lots > 0
            (bid, *more_bids), (ask, *more_asks) = book.levels(Side.BUY, 5), book.levels(Side.SELL, 5)
            assert bid == (book.bid_ticks, book.bid_lots)
            assert ask == (book.ask_ticks, book.ask_lots)
            assert all(price < bid[0] for price, _ in more_bids)
            assert all(price > ask[0] for price, _ in more_asks)
            diff_bids, diff_asks = book._bids.best(1), book._asks.best(1)
            naive_crossed += max(naive_bid, diff_bids[0][0]) >= min(naive_ask, diff_asks[0][0])
            if isinstance(event, DepthUpdate) and event.final_update_id in touches:
                # Both streams speak of the same update: they must agree to the lot.
                assert (*bid, *ask) == touches[event.final_update_id]
                met += 1
    assert book.gaps == 0
    assert book.resyncs == 0
    assert valid > 55_000
    assert met > 20
    assert naive_crossed > 1_000, "the recording is one on which a naive merge is crossed"


def test_dropped_diffs_are_gaps_and_a_snapshot_heals_each(session: list[Event]) -> None:
    book, slow = OrderBook("BTCUSDT"), SlowBook()
    early: list[DepthUpdate] = []
    diffs = dropped = 0
    lost = False
    for event in session:
        if isinstance(event, DepthSnapshot):
            slow.apply(event)
            for diff in early:
                if diff.final_update_id > slow.update_id:
                    slow.apply(diff)
        elif isinstance(event, DepthUpdate):
            diffs += 1
            if not slow.update_id:
                early.append(event)
            else:
                slow.apply(event)
                if diffs % 700 == 0:
                    dropped += 1
                    lost = True
                    continue
        feed(book, event)
        if lost and isinstance(event, DepthUpdate):
            assert not book.valid
            assert book.needs_snapshot
            assert book.on_depth_snapshot(slow.snapshot(event.receive_ns))
            assert (book._bids.best(20), book._asks.best(20)) == slow.best(20)
            lost = False
    assert (book._bids.best(20), book._asks.best(20)) == slow.best(20)
    assert dropped > 10
    assert (book.gaps, book.resyncs) == (dropped, dropped)
