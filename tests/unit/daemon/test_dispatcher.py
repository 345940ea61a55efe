from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from mmd.daemon.dispatcher import ResumeRefused
from mmd.types.control import Exit, HaltRequest, PersistHalt, PersistLedger, Timer
from mmd.types.market import BatchEnd, Side, TouchUpdate
from mmd.types.orders import CancelOrder, PlaceOrder, RequestDepthSnapshot
from mmd.types.stages import Stage
from tests.unit.daemon.tiny_core import Desk, cancelled

PLACE = PlaceOrder(1, "mmd-a-1", "BTCUSDT", Side.BUY, 100, 1)
CANCEL = CancelOrder(1, "mmd-a-1", "BTCUSDT")


def touch() -> TouchUpdate:
    return TouchUpdate("BTCUSDT", time.time_ns(), 0, 1, 99, 1, 101, 1)


async def test_what_must_be_on_disk_is_there_before_later_commands_leave(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    seen: list[tuple[Any, Any]] = []
    desk.dispatcher._send = lambda command: seen.append((command, desk.checkpoint.read()))
    desk.core.answers[Timer] = lambda event: [CANCEL, PersistLedger(b'{"n":1}'), PLACE]
    desk.dispatcher(Timer(1))
    assert seen == [(CANCEL, None), (PLACE, {"n": 1})]
    assert desk.dispatcher.state.checkpoints_written == 1


async def test_a_checkpoint_the_disk_refuses_withholds_orders_and_halts_but_lets_cancels_pass(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.checkpoint.path = tmp_path / "absent" / "ledger.json"
    desk.core.answers[Timer] = lambda event: [PersistLedger(b'{"n":1}'), PLACE, CANCEL]
    desk.dispatcher(Timer(1))
    assert desk.sent == [CANCEL]
    assert desk.core.latch.halted
    assert "checkpoint cannot be written" in desk.core.latch.record.reason
    assert desk.halt_file.read(0) == desk.core.latch.record
    assert desk.dispatcher.state.unwritten_ledger == b'{"n":1}'
    desk.checkpoint.path.parent.mkdir()
    desk.dispatcher.state.retry()
    assert desk.dispatcher.state.unwritten_ledger is None
    assert desk.checkpoint.read() == {"n": 1}


async def test_the_cancels_of_a_halt_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.add_order("mmd-a-1")
    desk.core.add_order("mmd-a-2")
    desk.core.answers[HaltRequest] = lambda event: [PersistLedger(b'{"n":1}'), RequestDepthSnapshot(1, "BTCUSDT")]
    on_disk: list[tuple[type, bool, bool]] = []
    desk.dispatcher._send = lambda command: on_disk.append(
        (type(command), desk.halt_file.path.exists(), desk.checkpoint.path.exists())
    )
    desk.dispatcher.halt("drill", "cli")
    assert on_disk == [(CancelOrder, False, False), (CancelOrder, False, False), (RequestDepthSnapshot, True, True)]
    assert desk.dispatcher.halt_to_cancels.n == 1
    assert desk.halt_file.read(0) == desk.core.latch.record
    desk.dispatcher.halt("again", "cli")
    assert [kind for kind, _, _ in on_disk[3:5]] == [CancelOrder, CancelOrder]
    assert desk.dispatcher.halt_to_cancels.n == 1, "a second halt has nothing to latch; its cancels repeat the first one's"


async def test_a_latch_the_disk_refuses_is_kept_and_written_later(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.halt_file.path = tmp_path / "absent" / "halt.json"
    desk.core.add_order("mmd-a-1")
    record = desk.dispatcher.halt("drill", "cli")
    assert record.halted
    assert [type(command) for command in desk.sent] == [CancelOrder]
    assert desk.dispatcher.state.unwritten_halt == record
    desk.halt_file.path.parent.mkdir()
    desk.dispatcher.state.retry()
    assert desk.dispatcher.state.unwritten_halt is None
    assert desk.halt_file.read(0) == record


async def test_a_core_that_raises_is_not_asked_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.add_order("mmd-a-1")
    desk.core.add_order("mmd-a-2")

    def fail(event: Any) -> Any:
        raise ZeroDivisionError("no mid")

    desk.core.answers[Timer] = fail
    desk.dispatcher(Timer(1))
    assert "ZeroDivisionError on Timer: no mid" in await asyncio.wait_for(desk.dispatcher.failed, 1)
    assert [command.client_order_id for command in desk.sent] == ["mmd-a-1", "mmd-a-2"]
    record = desk.halt_file.read(0)
    assert record is not None
    assert record.halted
    assert record.actor == "core"
    events = len(desk.core.events)
    desk.dispatcher(touch())
    assert len(desk.core.events) == events
    assert desk.dispatcher.halt("again", "http") == record
    with pytest.raises(ResumeRefused, match="core failed"):
        desk.dispatcher.resume("try", "http")


async def test_a_core_that_can_not_even_report_still_leaves_a_latch(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    def fail(*_: Any) -> Any:
        raise RuntimeError("broken")

    desk.core.answers[Timer] = fail
    desk.core.report = fail  # type: ignore[method-assign]
    desk.dispatcher(Timer(1))
    assert desk.dispatcher.failed.done()
    assert desk.dispatcher.open_order_count() == -1
    record = desk.halt_file.read(0)
    assert record is not None
    assert record.halted


async def test_a_halt_succeeds_though_the_core_can_not_report_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    def fail(*_: Any) -> Any:
        raise RuntimeError("broken")

    desk.core.report = fail  # type: ignore[method-assign]
    assert desk.dispatcher.halt("drill", "http").reason == "drill"
    assert desk.core.latch.halted


async def test_an_adapter_that_refuses_a_command_is_a_halt_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.add_order("mmd-a-1")

    def refuse(command: Any) -> None:
        raise KeyError(command.client_order_id)

    desk.dispatcher._send = refuse
    desk.core.answers[Timer] = lambda event: [PLACE]
    desk.dispatcher(Timer(1))
    assert "could not carry out PlaceOrder" in desk.core.latch.record.reason
    assert [type(event) for event in desk.core.events] == [Timer, HaltRequest]
    desk.dispatcher(Timer(2))
    assert desk.core.latch.halts == 1


async def test_exit_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.answers[Timer] = lambda event: [Exit(1, "clear")]
    desk.dispatcher(Timer(1))
    desk.dispatcher(Timer(2))
    assert await desk.dispatcher.exited == "clear"


async def test_other_commands_go_to_the_venue(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.answers[Timer] = lambda event: [RequestDepthSnapshot(1, "BTCUSDT")]
    desk.dispatcher(Timer(1))
    assert desk.sent == [RequestDepthSnapshot(1, "BTCUSDT")]


async def test_orders_gone_is_told_by_the_event_that_ends_the_last_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.dispatcher.when_orders_gone().done()
    desk.core.add_order("mmd-a-1")
    desk.core.add_order("mmd-a-2")
    gone = desk.dispatcher.when_orders_gone()
    assert desk.dispatcher.when_orders_gone() is gone
    desk.dispatcher(cancelled("mmd-a-1"))
    assert not gone.done()
    desk.dispatcher(cancelled("mmd-a-2"))
    assert gone.done()


async def test_resume_needs_a_reason_a_halt_and_no_halt_file(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(ResumeRefused, match="needs a reason") as wrong:
        desk.dispatcher.resume("  ", "cli")
    assert not wrong.value.conflict
    with pytest.raises(ResumeRefused, match="not halted") as moment:
        desk.dispatcher.resume("mended", "cli")
    assert moment.value.conflict
    desk.dispatcher.halt("drill", "cli")
    desk.halt_file.operator_file.touch()
    with pytest.raises(ResumeRefused, match="remove the file"):
        desk.dispatcher.resume("mended", "cli")
    desk.halt_file.operator_file.unlink()
    assert not desk.dispatcher.resume("mended", "cli").halted
    record = desk.halt_file.read(0)
    assert record is not None
    assert not record.halted
    assert record.reason == "mended"


async def test_resume_waits_until_everything_is_well(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.core.add_order("mmd-a-1")
    desk.dispatcher.halt("drill", "cli")
    with pytest.raises(ResumeRefused, match=r"not confirmed gone: mmd-a-1") as moment:
        desk.dispatcher.resume("mended", "cli")
    assert moment.value.conflict
    desk.dispatcher(cancelled("mmd-a-1"))
    desk.core.limits_used["drawdown"] = 1.2
    with pytest.raises(ResumeRefused, match=r"risk\.max_drawdown is used up"):
        desk.dispatcher.resume("mended", "cli")
    desk.core.limits_used["drawdown"] = 0.2
    desk.dispatcher.state.unwritten_ledger = b"{}"
    desk.checkpoint.path.unlink(missing_ok=True)
    desk.checkpoint.path.mkdir()
    with pytest.raises(ResumeRefused, match="cannot be written"):
        desk.dispatcher.resume("mended", "cli")
    desk.checkpoint.path.rmdir()
    assert not desk.dispatcher.resume("mended", "cli").halted
    assert desk.dispatcher.state.unwritten_ledger is None


async def test_times_go_to_their_stages(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    def quote(event: Any) -> list[Any]:
        desk.stages.lap(Stage.QUOTE)
        desk.stages.lap(Stage.RISK)
        return [PLACE]

    desk.core.answers[BatchEnd] = quote
    desk.dispatcher(touch())
    desk.dispatcher(touch())
    desk.dispatcher(BatchEnd(time.time_ns()))
    counts = {stage.name: desk.stages.stages[stage].n for stage in Stage}
    assert counts == {"DECODE": 2, "BOOK": 0, "FEATURES": 0, "INFERENCE": 0, "COMPANION": 0, "QUOTE": 1, "RISK": 1, "SEND": 1}
    assert (desk.stages.tick_to_quote.n, desk.stages.tick_to_order.n) == (1, 1)
    del desk.core.answers[BatchEnd]
    desk.dispatcher(touch())
    desk.dispatcher(BatchEnd(time.time_ns()))
    assert (desk.stages.tick_to_quote.n, desk.stages.tick_to_order.n) == (1, 1)


async def test_the_halt_of_a_core_of_its_own_accord_is_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    record = desk.core.latch.halt("daily loss", "core", 5)
    assert record is not None
    desk.core.answers[Timer] = lambda event: [PersistHalt(record), CANCEL]
    desk.dispatcher(Timer(1))
    assert desk.halt_file.read(0) == record
    assert desk.sent == [CANCEL]
