"""Frames and requests through the faults without sockets: determinism, order, and who is befallen."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame
from mmd.mock.faults import FaultBoard, FaultError, FrameLine, parse_fault
from mmd.mock.faults.board import MAX_ACTIVE
from mmd.mock.faults.corruption import Corruption, corrupt
from mmd.mock.faults.frame_class import FrameClass, classify, symbol_of
from mmd.mock.faults.kinds import KINDS
from mmd.mock.faults.random_faults import draw_fault
from mmd.mock.faults.request_plan import UNHARMED, plan_request
from mmd.mock.instruments import listed

TOUCH = b'{"u":7,"s":"BTCUSDT","b":"1.00","B":"2","a":"1.10","A":"3"}'
DEPTH = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[["1.00","2"]],"a":[["1.10","0"]]}'
TRADE = b'{"e":"trade","E":1,"s":"ETHUSDT","t":1,"p":"1.00","q":"2","T":1,"m":true,"M":true}'


def combined(stream: str, data: bytes) -> bytes:
    return b'{"stream":"%b","data":%b}' % (stream.encode(), data)


@pytest.mark.parametrize(
    ("frame", "kind", "symbol"),
    [
        (TOUCH, FrameClass.TOUCH, "BTCUSDT"),
        (DEPTH, FrameClass.DEPTH, "BTCUSDT"),
        (TRADE, FrameClass.TRADE, "ETHUSDT"),
        (combined("btcusdt@bookTicker", TOUCH), FrameClass.TOUCH, "BTCUSDT"),
        (combined("btcusdt@depth@100ms", DEPTH), FrameClass.DEPTH, "BTCUSDT"),
        (combined("ethusdt@trade", TRADE), FrameClass.TRADE, "ETHUSDT"),
        (combined("btcusdt@depth5", b'{"lastUpdateId":1,"bids":[],"asks":[]}'), FrameClass.OTHER, ""),
        (combined("btcusdt@miniTicker", b'{"e":"24hrMiniTicker","s":"BTCUSDT"}'), FrameClass.OTHER, "BTCUSDT"),
        (b'{"id":1,"status":200}', FrameClass.REPLY, ""),
        (b'{"result":null,"id":1}', FrameClass.REPLY, ""),
        (b'{"subscriptionId":0,"event":{"e":"executionReport","s":"BTCUSDT"}}', FrameClass.EVENT, "BTCUSDT"),
    ],
)
def test_frames_are_told_apart(frame: bytes, kind: FrameClass, symbol: str) -> None:
    assert (classify(frame), symbol_of(frame)) == (kind, symbol)


def played(seed: int, connection: int = 1) -> list[tuple[int, bytes]]:
    board = FaultBoard(seed)
    for kind in ("drop_frames", "delay_frames", "duplicate_frames", "reorder_frames", "corrupt_frames"):
        board.switch_on(parse_fault({"kind": kind, "probability": 0.2}), 0)
    line = FrameLine(board, "market", connection)
    out: list[tuple[int, bytes]] = []
    for number in range(300):
        out += line.pass_on(combined("btcusdt@bookTicker", TOUCH.replace(b"7", b"%d" % number)), number * 1_000_000)
    return out


def test_the_same_seed_gives_the_same_faults_and_connections_differ() -> None:
    assert played(1) == played(1)
    assert played(1) != played(2)
    assert played(1) != played(1, connection=2)


def test_other_connections_do_not_disturb() -> None:
    board = FaultBoard(3)
    board.switch_on(parse_fault({"kind": "drop_frames", "probability": 0.5}), 0)
    one, other = FrameLine(board, "market", 1), FrameLine(board, "market", 2)
    alone = [bool(one.pass_on(TOUCH, 0)) for _ in range(50)]
    board = FaultBoard(3)
    board.switch_on(parse_fault({"kind": "drop_frames", "probability": 0.5}), 0)
    one, other = FrameLine(board, "market", 1), FrameLine(board, "market", 2)
    beside = []
    for _ in range(50):
        beside.append(bool(one.pass_on(TOUCH, 0)))
        other.pass_on(TOUCH, 0)
    assert alone == beside


def test_due_times_never_go_back() -> None:
    for seed in range(20):
        dues = [due for due, _ in played(seed)]
        assert dues == sorted(dues)


def test_a_fault_that_is_over_befalls_nothing() -> None:
    board = FaultBoard()
    board.switch_on(parse_fault({"kind": "drop_frames", "seconds": 1}), 0)
    line = FrameLine(board, "market", 1)
    assert line.pass_on(TOUCH, 999_999_999) == []
    assert len(line.pass_on(TOUCH, 1_000_000_000)) == 1
    board.expire(1_000_000_000)
    assert line.clear


@pytest.mark.parametrize("how", list(Corruption))
@pytest.mark.parametrize("frame", [TOUCH, DEPTH, TRADE, combined("btcusdt@bookTicker", TOUCH), b'{"id":1,"status":200}'])
def test_every_corruption_changes_the_frame(how: Corruption, frame: bytes) -> None:
    for seed in range(100):
        damaged = corrupt(frame, how, Random(seed))
        assert damaged != frame
        if how in (Corruption.TRUNCATED, Corruption.GARBLED):
            with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
                msgspec.json.decode(damaged)


def test_spared_connections_and_channels() -> None:
    board = FaultBoard()
    board.switch_on(parse_fault({"kind": "drop_frames", "channel": "market"}), 0)
    board.switch_on(parse_fault({"kind": "lose_acknowledgements", "channel": "order_entry"}), 0)
    board.spare(1)
    assert FrameLine(board, "market", 1).clear
    assert not FrameLine(board, "market", 2).clear
    assert FrameLine(board, "order_entry", 3).clear

    def lost(channel: str, connection: int, *, changes: bool = True) -> bool:
        return plan_request(board, channel, connection, "order.place", changes_orders=changes, now_ns=0).is_lost

    assert lost("order_entry", 3)
    assert not lost("order_entry", 1)
    assert not lost("rest", 0)
    assert not lost("order_entry", 3, changes=False)


def test_a_ban_holds_until_its_end() -> None:
    board = FaultBoard()
    board.switch_on(parse_fault({"kind": "rate_limit_ban", "seconds": 5, "status": "429"}), 0)
    plan = plan_request(board, "rest", 0, "GET depth", changes_orders=False, now_ns=2_000_000_000)
    assert plan.refusal is not None
    assert (plan.refusal.status, plan.refusal.retry_seconds) == (429, 3.0)
    assert plan_request(board, "rest", 0, "GET depth", changes_orders=False, now_ns=5_000_000_000) == UNHARMED


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_can_be_drawn_at_random(kind: str) -> None:
    drawn = [draw_fault(kind, Random(seed), 5.0) for seed in range(50)]
    assert {fault.kind for fault in drawn} == {kind}
    assert drawn == [draw_fault(kind, Random(seed), 5.0) for seed in range(50)]


def test_the_number_of_faults_is_bounded() -> None:
    board, fault = FaultBoard(), parse_fault({"kind": "drop_frames"})
    for _ in range(MAX_ACTIVE):
        board.switch_on(fault, 0)
    with pytest.raises(OverflowError, match="clear some"):
        board.switch_on(fault, 0)


def test_a_refusal_needs_a_text() -> None:
    with pytest.raises(FaultError, match="needs a message"):
        parse_fault({"kind": "refuse_orders", "code": -5})


@pytest.mark.parametrize("how", Corruption.detectable())
@pytest.mark.parametrize(
    ("stream", "data"), [("btcusdt@bookTicker", TOUCH), ("btcusdt@depth@100ms", DEPTH), ("ethusdt@trade", TRADE)]
)
def test_our_decoder_refuses_what_can_be_detected(how: Corruption, stream: str, data: bytes) -> None:
    decoder = FrameDecoder(listed(["BTCUSDT", "ETHUSDT"]))
    assert decoder.decode(combined(stream, data), 1) is not None
    for seed in range(200):
        with pytest.raises(MalformedFrame):
            decoder.decode(corrupt(combined(stream, data), how, Random(seed)), 1)
