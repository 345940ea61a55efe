from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmd.daemon.collection import CollectionSchedule
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import Heartbeat
from mmd.daemon.loop_watch import StallWatchdog
from mmd.daemon.pulse import Pulse, PulseParts
from mmd.types.control import HaltRequest, Timer
from tests.unit.daemon.tiny_core import Desk


def pulse_of(desk: Desk, watchdog: StallWatchdog | None = None) -> Pulse:
    sources = desk.sources
    parts = PulseParts(
        desk.dispatcher,
        desk.halt_file,
        watchdog or sources.watchdog,
        sources.collection,
        sources.loop_lag,
        Heartbeat(desk.halt_file.path.with_name("heartbeat")),
        None,
    )
    return Pulse(parts, interval_seconds=0.005, clock_ns=time.time_ns)


async def until(check: object, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # type: ignore[operator]  # noqa: ASYNC110 (there is nothing to await: the pulse is what is tested)
            await asyncio.sleep(0.002)


async def test_the_core_is_told_the_time_again_and_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    pulse = pulse_of(desk)
    pulse.start()
    await until(lambda: len(desk.core.events) >= 5)
    pulse.stop()
    times = [event.receive_ns for event in desk.core.events]
    assert {type(event) for event in desk.core.events} == {Timer}
    assert times == sorted(times)
    assert desk.sources.loop_lag.n >= 5
    beats = len(desk.core.events)
    await asyncio.sleep(0.02)
    assert len(desk.core.events) == beats


async def test_a_halt_file_halts_once_while_it_lies_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    pulse = pulse_of(desk)
    pulse.start()
    desk.halt_file.operator_file.write_text("moving house")
    await until(lambda: desk.core.latch.halted)
    seen = len(desk.core.events)
    await until(lambda: len(desk.core.events) > seen + 5)
    pulse.stop()
    assert desk.core.latch.record.reason == "file HALT: moving house"
    assert desk.core.latch.record.actor == "file"
    assert sum(isinstance(event, HaltRequest) for event in desk.core.events) == 1


async def test_a_stalled_loop_is_latched_from_outside_and_told_to_the_core_afterwards(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    cleared: list[bool] = []

    def clear_market(give_up: Callable[[], bool]) -> None:
        cleared.append(give_up())
        while not give_up():
            time.sleep(0.01)
        cleared.append(give_up())

    # Long enough for a busy machine not to stall by itself.
    watchdog = StallWatchdog(desk.halt_file, limit_seconds=3.0, clock_ns=time.time_ns, clear_market=clear_market)
    pulse = pulse_of(desk, watchdog)
    pulse.start()
    watchdog.start()
    await until(lambda: len(desk.core.events) > 3)
    assert watchdog.stalls == 0
    deadline = time.monotonic() + 10
    while desk.halt_file.read(0) is None and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 (this is the stall)
    record = desk.halt_file.read(0)
    assert record is not None
    assert record.actor == "watchdog"
    assert not desk.core.latch.halted
    await until(lambda: desk.core.latch.halted)
    pulse.stop()
    watchdog.stop()
    assert watchdog.stalls == 1
    assert cleared == [False, True], "the market is cleared while the loop stands, and left to it once it turns"
    assert "has not turned" in desk.core.latch.record.reason


def test_a_stall_keeps_an_earlier_halt(tmp_path: Path) -> None:
    store = HaltFile(tmp_path)
    watchdog = StallWatchdog(store, limit_seconds=0.02, clock_ns=lambda: 7, clear_market=lambda give_up: None)
    watchdog.start()
    deadline = time.monotonic() + 5
    while not watchdog.stalls and time.monotonic() < deadline:
        time.sleep(0.005)
    watchdog.stop()
    record = store.read(0)
    assert record is not None
    assert record.time_ns == 7
    assert watchdog.take_report() == record.reason
    assert watchdog.take_report() == ""


def test_garbage_waits_for_a_quiet_market_but_not_forever() -> None:
    second = 1_000_000_000
    schedule = CollectionSchedule(10.0)
    schedule.start(0)
    try:
        assert not gc.isenabled()
        schedule.on_timer(5 * second, 0)
        assert schedule.collections == 0
        schedule.on_timer(11 * second, 11 * second - 1)
        assert schedule.collections == 0
        schedule.on_timer(12 * second, 11 * second)
        assert schedule.collections == 1
        schedule.on_timer(32 * second + 1, 32 * second)
        assert schedule.collections == 2
        assert schedule.total_ns >= schedule.longest_ns > 0
    finally:
        schedule.stop()
    assert gc.isenabled()


@pytest.mark.parametrize("seconds", [0.001])
async def test_missed_beats_are_not_made_up_for(tmp_path: Path, seconds: float) -> None:
    desk = Desk(tmp_path)
    pulse = pulse_of(desk)
    pulse.start()
    await until(lambda: len(desk.core.events) >= 1)
    before = len(desk.core.events)
    time.sleep(0.1)  # noqa: ASYNC251 (twenty beats are missed)
    await asyncio.sleep(seconds)
    pulse.stop()
    assert len(desk.core.events) - before <= 3
