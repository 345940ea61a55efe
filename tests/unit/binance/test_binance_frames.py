"""Market frames, letter by letter, and every line of the recordings."""

from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame, announces_shutdown, is_depth_snapshot
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedAnnouncement, MarketTrade, Side, TouchUpdate

TOUCH = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":36090299876,"s":"BTCUSDT",'
    b'"b":"28165.47000000","B":"7.98680000","a":"28165.48000000","A":"3.26888000"}}'
)
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652800000,"s":"BTCUSDT","t":3071245454,"p":"28165.47000000",'
    b'"q":"0.00056000","b":20720542158,"a":20720542592,"T":1680652799999,"m":true,"M":true}}'
)
DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1680652800084,"s":"BTCUSDT","U":36090299859,"u":36090299980,'
    b'"b":[["28165.47000000","7.73115000"],["28165.40000000","0.00000000"]],"a":[["28165.48000000","3.2"]]}}'
)


@pytest.fixture
def decoder(instruments: dict[str, Instrument]) -> FrameDecoder:
    return FrameDecoder(instruments)


def test_spot_book_ticker(decoder: FrameDecoder) -> None:
    assert decoder.decode(TOUCH, 7) == TouchUpdate("BTCUSDT", 7, 0, 36090299876, 2816547, 798680, 2816548, 326888)


def test_spot_trade(decoder: FrameDecoder) -> None:
    assert decoder.decode(TRADE, 7) == MarketTrade("BTCUSDT", 7, 1680652800000_000000, 3071245454, 2816547, 56, Side.SELL)
    bought = TRADE.replace(b'"m":true', b'"m":false')
    assert decoder.decode(bought, 7) == MarketTrade("BTCUSDT", 7, 1680652800000_000000, 3071245454, 2816547, 56, Side.BUY)


def test_spot_depth(decoder: FrameDecoder) -> None:
    assert decoder.decode(DEPTH, 7) == DepthUpdate(
        "BTCUSDT",
        7,
        1680652800084_000000,
        36090299859,
        36090299980,
        -1,
        ((2816547, 773115), (2816540, 0)),
        ((2816548, 320000),),
    )


def test_futures_frames() -> None:
    future = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.1", lot_size="0.001")
    decoder = FrameDecoder([future])
    touch = (
        b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":2710246762461,"s":"BTCUSDT","b":"28145.10","B":"3.868",'
        b'"a":"28145.20","A":"6.887","T":1680652700430,"E":1680652700435}}'
    )
    assert decoder.decode(touch, 1) == TouchUpdate("BTCUSDT", 1, 1680652700435_000000, 2710246762461, 281451, 3868, 281452, 6887)
    depth = (
        b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1721347201585,"T":1721347201533,"s":"BTCUSDT",'
        b'"U":4984034747463,"u":4984034747464,"pu":4984033952967,"b":[],"a":[["64020.40","0.000"],["64024.70","0.005"]]}}'
    )
    assert decoder.decode(depth, 1) == DepthUpdate(
        "BTCUSDT", 1, 1721347201585_000000, 4984034747463, 4984034747464, 4984033952967, (), ((640204, 0), (640247, 5))
    )
    trade = (
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1680652874406,"T":1680652874400,"s":"BTCUSDT","t":3535191080,'
        b'"p":"28722.50","q":"0.001","X":"MARKET","m":true}}'
    )
    assert decoder.decode(trade, 1) == MarketTrade("BTCUSDT", 1, 1680652874406_000000, 3535191080, 287225, 1, Side.SELL)
    assert decoder.decode(trade.replace(b"MARKET", b"INSURANCE_FUND"), 1) is None


def test_announcement(decoder: FrameDecoder) -> None:
    frame = b'{"stream":"mmd@announcement","data":{"e":"announcement","epoch":1721347020984480942,"speed":2.5,"ended":false}}'
    assert decoder.decode(frame, 3) == FeedAnnouncement(3, 1721347020984480942, 2.5, False)


def test_any_layout_of_the_same_frame_decodes_alike(decoder: FrameDecoder) -> None:
    spread_out = json.dumps(json.loads(TOUCH)).encode()
    assert spread_out != TOUCH
    assert decoder.decode(spread_out, 7) == decoder.decode(TOUCH, 7)
    document = json.loads(TOUCH)
    turned = json.dumps({"data": document["data"], "stream": document["stream"]}).encode()
    assert decoder.decode(turned, 7) == decoder.decode(TOUCH, 7)


def test_what_is_not_ours_is_counted_and_ignored(decoder: FrameDecoder) -> None:
    for frame in (
        b'{"result":null,"id":1}',
        b'{"stream":"bnbusdt@bookTicker","data":{"u":1,"s":"BNBUSDT","b":"1","B":"1","a":"2","A":"1"}}',
        b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate"}}',
    ):
        assert decoder.decode(frame, 1) is None
    assert decoder.ignored == 3


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"null",
        b"{",
        TOUCH[:-3],
        TOUCH.replace(b'"28165.47000000"', b'"price"'),
        TOUCH.replace(b'"28165.47000000"', b'"nan"'),
        TOUCH.replace(b'"7.98680000"', b'"inf"'),
        TOUCH.replace(b'"u":36090299876', b'"u":"x"'),
        TOUCH.replace(b'"b":"28165.47000000",', b""),
        DEPTH.replace(b'["28165.40000000","0.00000000"]', b'["28165.40000000"]'),
        b"\xff\xfe" + TOUCH,
    ],
)
def test_malformed_frames_are_one_kind_of_error(decoder: FrameDecoder, frame: bytes) -> None:
    with pytest.raises(MalformedFrame, match="market data frame"):
        decoder.decode(frame, 1)


def test_snapshot(decoder: FrameDecoder) -> None:
    body = b'{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.02000000","12.00000000"]]}'
    assert is_depth_snapshot(body)
    assert decoder.decode_snapshot("BTCUSDT", body, 5) == DepthSnapshot(
        "BTCUSDT", 5, 1027024, ((400, 43100000),), ((402, 1200000),)
    )
    with pytest.raises(MalformedFrame, match="depth snapshot of BTCUSDT"):
        decoder.decode_snapshot("BTCUSDT", b'{"bids":[]}', 5)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"e":"serverShutdown","E":1770123456789}',
        b'{"stream":"serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"event":{"e":"serverShutdown","E":1770123456789}}',
    ],
)
def test_shutdown_announcements(decoder: FrameDecoder, frame: bytes) -> None:
    assert decoder.decode(frame, 1) is None
    assert announces_shutdown(frame)
    assert not announces_shutdown(TOUCH)


RECORDINGS = Path(os.environ.get("MMD_DATA_DIR", Path(__file__).parents[4] / "shared" / "data")) / "binance_raw"
SAMPLED_LINES = 6_000


def recording_names() -> list[str]:
    return sorted(path.name for path in RECORDINGS.glob("*.gz")) or ["missing"]


def exact_levels(levels: list[list[str]], instrument: Instrument) -> tuple[tuple[int, int], ...]:
    """By decimals. Far levels of old books hold quantities finer than today's lot: those are rounded."""
    return tuple((instrument.ticks(price), round(Decimal(quantity) / instrument.lot_size)) for price, quantity in levels)


@pytest.mark.parametrize("name", recording_names())
def test_lines_of_the_recordings(name: str) -> None:
    if name == "missing":
        message = f"no recordings in {RECORDINGS}: set MMD_DATA_DIR"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    spot = name.startswith("spot")
    tick, lot = ("0.01", "0.00001") if spot or "eth" in name else ("0.1", "0.001")
    symbol = "ETHUSDT" if "eth" in name else "BTCUSDT"
    instrument = Instrument.create(symbol, symbol[:3], "USDT", tick_size=tick, lot_size=lot)
    decoder = FrameDecoder([instrument])
    seen = {TouchUpdate: 0, MarketTrade: 0, DepthUpdate: 0, DepthSnapshot: 0}
    with gzip.open(RECORDINGS / name, "rb") as lines:
        for _, line in zip(range(SAMPLED_LINES), lines, strict=False):
            frame = line.split(b" ", 1)[1].rstrip()
            if is_depth_snapshot(frame):
                snapshot = decoder.decode_snapshot(symbol, frame, 1)
                assert snapshot.bids[0] > snapshot.bids[1]
                assert snapshot.asks[0] < snapshot.asks[1]
                seen[DepthSnapshot] += 1
                continue
            event = decoder.decode(frame, 1)
            if event is None:
                assert b"@markPrice" in frame or b"INSURANCE_FUND" in frame
                continue
            assert not isinstance(event, FeedAnnouncement)
            seen[type(event)] += 1
            data = json.loads(frame)["data"]
            if isinstance(event, TouchUpdate):
                assert (event.bid_ticks, event.ask_ticks) == (instrument.ticks(data["b"]), instrument.ticks(data["a"]))
                assert (event.bid_lots, event.ask_lots) == (instrument.lots(data["B"]), instrument.lots(data["A"]))
                assert event.exchange_ns == data.get("E", 0) * 1_000_000
            elif isinstance(event, MarketTrade):
                assert (event.price_ticks, event.lots) == (instrument.ticks(data["p"]), instrument.lots(data["q"]))
            else:
                assert event.bids == exact_levels(data["b"], instrument)
                assert event.asks == exact_levels(data["a"], instrument)
                assert event.previous_final_update_id == data.get("pu", -1)
    assert seen[TouchUpdate] > 500
    assert seen[MarketTrade] > 50
    assert seen[DepthUpdate] > 200
