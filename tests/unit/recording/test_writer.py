"""The recorder's writer: lines as readers want them, rotation, tears, repetition, a buffer that is bounded, a disk that refuses."""

from __future__ import annotations

import gzip
import hashlib
import time
from pathlib import Path

import pytest

from mmd.recording.frame_sorter import RECENT_IDS, FrameSorter, Verdict
from mmd.recording.instruments import (
    KNOWN_INSTRUMENTS,
    InstrumentsFileError,
    instrument_of,
    read_instruments,
    write_instruments,
)
from mmd.recording.recording import Recording, RecordingError, raw_lines, read_lines
from mmd.recording.segments import Segment, SegmentSet, segment_name
from mmd.recording.settings import RecordingSettings
from mmd.recording.writer import RecordingWriter
from mmd.types.instrument import Instrument

BEGIN = 1_721_347_020_000_000_000
SECOND = 1_000_000_000
SOL = Instrument.create("SOLUSDT", "SOL", "USDT", tick_size="0.01", lot_size="0.001", min_notional="5", max_quantity="90000")
ETH = Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.0001")


def settings(**values: float) -> RecordingSettings:
    return RecordingSettings.model_validate({"min_free_bytes": 0, **values})


def trade(symbol: str, number: int) -> bytes:
    return (
        f'{{"stream":"{symbol.lower()}@trade","data":{{"e":"trade","E":1,"s":"{symbol}","t":{number},"p":"10.00","q":"1.000",'
        f'"T":1,"m":true,"M":true}}}}'
    ).encode()


def diff(symbol: str, number: int) -> bytes:
    return (
        f'{{"stream":"{symbol.lower()}@depth@100ms","data":{{"e":"depthUpdate","E":1,"s":"{symbol}","U":{number},"u":{number},'
        f'"b":[["10.00","1.000"]],"a":[]}}}}'
    ).encode()


def write(folder: Path, frames: list[tuple[int, bytes]], **values: float) -> RecordingWriter:
    writer = RecordingWriter(folder, "spot", {"SOLUSDT": SOL, "ETHUSDT": ETH}, settings(**values))
    writer.start()
    for receive_ns, frame in frames:
        writer.on_frame(receive_ns, frame)
    writer.close()
    return writer


def test_frames_come_back_as_they_were_by_symbol_with_the_snapshot(tmp_path: Path) -> None:
    frames = [
        (BEGIN + index, make(symbol, index)) for index in range(40) for make in (diff, trade) for symbol in ("SOLUSDT", "ETHUSDT")
    ]
    writer = RecordingWriter(tmp_path, "spot", {"SOLUSDT": SOL, "ETHUSDT": ETH}, settings())
    writer.start()
    writer.on_snapshot(BEGIN, "SOLUSDT", b'{"lastUpdateId":1,\n"bids":[],"asks":[]}')
    for receive_ns, frame in frames:
        writer.on_frame(receive_ns, frame)
    status = writer.close()
    assert (status.frames, status.snapshots, status.segments) == (160, 1, 2)
    assert (status.dropped, status.lost, status.failure, status.bytes_buffered) == (0, 0, "", 0)
    assert status.bytes_written == sum(path.stat().st_size for path in tmp_path.glob("*.gz"))
    recording = Recording([tmp_path])
    assert recording.instruments["SOLUSDT"].tick_size == SOL.tick_size
    assert recording.instruments["SOLUSDT"].max_lots == SOL.max_lots
    lines = list(recording.lines_of("SOLUSDT"))
    assert lines[0].frame == b'{"lastUpdateId":1,"bids":[],"asks":[]}'
    assert lines[0].kind == ""
    assert [(line.receive_ns, line.frame) for line in lines[1:]] == [pair for pair in frames if b'"SOLUSDT"' in pair[1]]


def test_names_sort_as_time_does_and_say_market_and_symbol() -> None:
    names = [segment_name("usdm", "BTCUSDT", BEGIN + offset) for offset in (0, 5, 7_200 * SECOND)]
    assert names == sorted(names)
    assert names[0] == "usdm__btcusdt_20240718T235700000000000Z.gz"


def test_a_new_file_begins_by_time_and_by_size(tmp_path: Path) -> None:
    (tmp_path / "time").mkdir()
    segments = SegmentSet(tmp_path / "time", "spot", settings(segment_seconds=10))
    for second in range(0, 30, 3):
        segments.write("SOLUSDT", b"line\n", BEGIN + second * SECOND)
    segments.close()
    assert segments.segments == 3
    (tmp_path / "size").mkdir()
    by_size = SegmentSet(tmp_path / "size", "spot", settings(segment_bytes=1000))
    for index in range(50):
        by_size.write("SOLUSDT", hashlib.sha512(str(index).encode()).hexdigest().encode() * 2, BEGIN + index)
        by_size.flush()
    by_size.close()
    assert by_size.segments > 1
    assert all(path.stat().st_size < 2_000 for path in (tmp_path / "size").glob("*.gz"))


def test_a_file_torn_at_any_byte_is_read_up_to_the_tear(tmp_path: Path) -> None:
    path = tmp_path / "whole.gz"
    segment = Segment(path, BEGIN, 5)
    for batch in range(5):
        segment.write(
            b"".join(b"%d %b\n" % (BEGIN + index, trade("SOLUSDT", index)) for index in range(batch * 10, batch * 10 + 10))
        )
        segment.flush()
    flushed = path.stat().st_size
    segment.close()
    content = path.read_bytes()
    torn = tmp_path / "torn.gz"
    counts = []
    for length in (*range(30, len(content), 7), flushed):
        torn.write_bytes(content[:length])
        tears: list[str] = []
        lines = [line for _, line in raw_lines(torn, tears.append)]
        assert lines == [line.rstrip(b"\n") for line in gzip.decompress(content).splitlines()[: len(lines)]]
        assert len(tears) == 1
        assert f"torn after line {len(lines)}" in tears[0]
        counts.append(len(lines))
    assert counts[-1] == 50
    assert counts[:-1] == sorted(counts[:-1])
    assert set(counts) >= {0, 50}


def test_bytes_that_are_no_gzip_in_the_middle_are_an_error_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "spoilt.gz"
    content = bytearray(gzip.compress(b"".join(b"%d %b\n" % (BEGIN + i, trade("SOLUSDT", i * 7919)) for i in range(2000))))
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(RecordingError, match=r"spoilt.gz"):
        list(read_lines(path))


def test_what_two_connections_bring_twice_is_written_once(tmp_path: Path) -> None:
    frames = [(BEGIN + index, trade("SOLUSDT", index)) for index in range(10)]
    again = [(BEGIN + 100 + index, trade("SOLUSDT", index)) for index in range(5, 12)]
    writer = write(tmp_path, frames + again)
    assert writer.status().repeated == 5
    (path,) = tmp_path.glob("*.gz")
    assert [line.receive_ns - BEGIN for line in read_lines(path)] == [*range(10), 110, 111]


def test_frames_are_sorted_and_judged() -> None:
    sorter = FrameSorter(["SOLUSDT"])
    touch = b'{"stream":"solusdt@bookTicker","data":{"u":7,"s":"SOLUSDT","b":"1","B":"1","a":"2","A":"1"}}'
    assert sorter(touch) == (Verdict.KEEP, "SOLUSDT")
    assert sorter(touch)[0] is Verdict.REPEATED
    assert sorter(trade("SOLUSDT", 7)) == (Verdict.KEEP, "SOLUSDT")
    assert sorter(trade("ETHUSDT", 7))[0] is Verdict.FOREIGN
    assert sorter(b'{"result":null,"id":1}')[0] is Verdict.FOREIGN
    assert sorter(b'{"stream":"solusdt@trade","data":')[0] is Verdict.MALFORMED
    for number in range(8, 8 + 2 * RECENT_IDS):
        assert sorter(trade("SOLUSDT", number))[0] is Verdict.KEEP
    assert sorter(trade("SOLUSDT", 7))[0] is Verdict.KEEP, "an exchange whose ids begin anew is recorded"


def test_a_full_buffer_drops_and_counts_and_keeps_what_it_has(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, "spot", {"SOLUSDT": SOL}, settings(max_buffer_bytes=100_000))
    for index in range(2_000):
        writer.on_frame(BEGIN + index, trade("SOLUSDT", index))
    kept = 2_000 - writer.status().dropped
    assert 0 < kept < 2_000
    assert writer.status().bytes_buffered <= 100_000 + len(trade("SOLUSDT", 1_000))
    writer.start()
    status = writer.close()
    assert (status.frames, status.dropped) == (kept, 2_000 - kept)
    (path,) = tmp_path.glob("*.gz")
    assert len(list(read_lines(path))) == kept


def test_a_recording_stops_loudly_where_the_disk_has_too_little_room_and_goes_on_in_a_new_file(tmp_path: Path) -> None:
    tight = RecordingSettings.model_validate(
        {"min_free_bytes": 0, "max_total_bytes": 1_000, "retry_seconds": 3600, "flush_seconds": 0.01}
    )
    writer = RecordingWriter(tmp_path, "spot", {"SOLUSDT": SOL}, tight)
    writer.start()
    deadline = time.monotonic() + 20
    index = 0
    while not writer.status().failure and time.monotonic() < deadline:
        writer.on_frame(BEGIN + index, trade("SOLUSDT", index))
        index += 1
    status = writer.close()
    assert "max_total_bytes" in status.failure
    assert status.failures >= 1
    (path, *_) = sorted(tmp_path.glob("*.gz"))
    assert len(list(read_lines(path))) > 0, "what was written before can be read"


def test_an_instruments_file_keeps_what_it_had_and_a_spoilt_one_is_refused(tmp_path: Path) -> None:
    write_instruments(tmp_path, "spot", [SOL])
    write_instruments(tmp_path, "usdm", [ETH])
    read = read_instruments(tmp_path)
    assert read["spot", "SOLUSDT"] == SOL
    assert read["usdm", "ETHUSDT"].lot_size == ETH.lot_size
    assert instrument_of(tmp_path / "x.gz", "spot", "BTCUSDT") == KNOWN_INSTRUMENTS["spot", "BTCUSDT"]
    (tmp_path / "instruments.json").write_text("{")
    with pytest.raises(InstrumentsFileError, match=r"instruments\.json"):
        RecordingWriter(tmp_path, "spot", {"SOLUSDT": SOL}, settings())
