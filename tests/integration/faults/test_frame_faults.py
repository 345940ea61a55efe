"""Each fault of frames over real sockets: exactly its effect, and nothing else."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import websockets

from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame
from mmd.mock.faults.corruption import Corruption
from mmd.mock.instruments import listed
from tests.integration.faults.conftest import PATIENCE, Stage, closed_with, received


async def test_without_faults_every_frame_comes_once_in_order(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    sent = [stage.move() for _ in range(20)]
    assert await received(socket, sent[-1]) == sent


async def test_drop(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    stage.on("drop_frames", count=3)
    sent = [stage.move() for _ in range(6)]
    assert await received(socket, sent[-1]) == sent[3:]
    assert stage.struck("drop_frames") == 3
    assert stage.exchange.faults.active == []


async def test_delay_keeps_the_order(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    began = time.monotonic()
    stage.on("delay_frames", milliseconds=150, count=1)
    sent = [stage.move() for _ in range(5)]
    assert await received(socket, sent[-1]) == sent
    assert time.monotonic() - began >= 0.15


async def test_duplicate(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    stage.on("duplicate_frames", copies=2, count=1)
    sent = [stage.move() for _ in range(3)]
    assert await received(socket, sent[-1]) == [sent[0], sent[0], *sent]


async def test_reorder(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    stage.on("reorder_frames", distance=2, count=1)
    sent = [stage.move() for _ in range(4)]
    assert await received(socket, sent[-1]) == [sent[1], sent[2], sent[0], sent[3]]


@pytest.mark.parametrize("how", Corruption.detectable())
async def test_each_detectable_corruption_is_refused_by_our_decoder(stage: Stage, how: Corruption) -> None:
    socket = await stage.streams("bookTicker", "depth@100ms", "trade", combined=True)
    stage.on("corrupt_frames", corruptions=[how])
    decoder = FrameDecoder(listed(["BTCUSDT"]))
    for _ in range(20):
        stage.move()
        frame = await asyncio.wait_for(socket.recv(decode=False), PATIENCE)
        with pytest.raises(MalformedFrame):
            decoder.decode(frame, 1)
    assert stage.struck("corrupt_frames") >= 20


async def test_a_changed_digit_is_valid_json_of_another_number(stage: Stage) -> None:
    socket = await stage.streams("bookTicker")
    stage.on("corrupt_frames", corruptions=["changed_digit"], count=1)
    stage.move()
    frame = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
    truth = ("50000.01000000", "0.01000000", "50001.00000000", "0.01000000")
    told = tuple(frame[name] for name in "bBaA")
    assert sum(one != other for one, other in zip(told, truth, strict=True)) == 1


async def test_skip_depth_update_leaves_a_hole_in_the_ids(stage: Stage) -> None:
    socket = await stage.streams("depth@100ms", "bookTicker")
    diffs = []
    touches = 0
    while len(diffs) < 2:
        stage.move()
        frame = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
        if frame.get("e") == "depthUpdate":
            diffs.append(frame)
            if len(diffs) == 1:
                stage.on("skip_depth_update")
        else:
            touches += 1
    assert diffs[1]["U"] > diffs[0]["u"] + 1
    assert stage.struck("skip_depth_update") == 1
    assert touches


async def test_faults_of_one_connection_leave_the_others_alone(stage: Stage) -> None:
    one, other = await stage.streams("bookTicker"), await stage.streams("bookTicker")
    first = min(socket.rim.number for socket in stage.exchange.sockets("market"))
    stage.on("drop_frames", connection=first, count=2)
    sent = [stage.move() for _ in range(3)]
    assert await received(one, sent[-1]) == sent[2:]
    assert await received(other, sent[-1]) == sent


async def test_a_spared_connection_sees_everything(stage: Stage) -> None:
    one, other = await stage.streams("bookTicker"), await stage.streams("bookTicker")
    stage.exchange.faults.spare(min(socket.rim.number for socket in stage.exchange.sockets("market")))
    stage.on("drop_frames", count=2)
    sent = [stage.move() for _ in range(3)]
    assert await received(one, sent[-1]) == sent
    assert await received(other, sent[-1]) == sent[2:]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 4001])
async def test_cut_with_a_close_code(stage: Stage, code: int) -> None:
    socket = await stage.streams("bookTicker")
    stage.on("cut_connections", code=code, reason="as asked")
    end = await closed_with(socket)
    assert end.rcvd is not None
    assert (end.rcvd.code, end.rcvd.reason) == (code, "as asked")


@pytest.mark.parametrize("parameters", [{"code": 1006}, {"reset": True}], ids=["fin", "reset"])
async def test_cut_without_a_close_frame(stage: Stage, parameters: dict[str, object]) -> None:
    socket = await stage.streams("bookTicker")
    api = await stage.api()
    stage.on("cut_connections", channel="market", **parameters)
    end = await closed_with(socket)
    assert end.rcvd is None
    assert isinstance(end.__cause__, ConnectionResetError) is bool(parameters.get("reset"))
    assert (await api.call("ping"))["status"] == 200


async def test_new_connections_are_refused(stage: Stage) -> None:
    stage.on("refuse_connections", channel="market", status=502)
    with pytest.raises(websockets.InvalidStatus, match="502"):
        await stage.streams("bookTicker")
    await stage.api()
    stage.exchange.faults.clear(kind="refuse_connections")
    await stage.streams("bookTicker")
