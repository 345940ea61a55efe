"""The whole daemon on a mock exchange on which things go wrong: it pauses, finds out, and goes on.

That an exchange which comes back without its state is a halt, the acceptance tests show.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mmd.mock.faults import parse_fault
from tests.integration.daemon.test_daemon_on_mock import Running, daemon_on, mock_exchange

PATIENCE_SECONDS = 40.0


class Patient:
    """A daemon that quotes, and what can be asked of it and of its venue."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.venue = running.venue

    def on(self, kind: str, **parameters: Any) -> None:
        self.venue.faults.switch_on(parse_fault({"kind": kind, **parameters}), time.time_ns())

    async def report(self) -> Any:
        _, document = await self.running.ask("GET", "/state")
        return document["trader"]

    async def until(self, what: str, check: Callable[[Any], Any]) -> Any:
        """The first report that passes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            report = await self.report()
            if check(report):
                return report
            assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}; {report['pauses']}, {report['halt']}"
            await asyncio.sleep(0.02)

    def names_at_venue(self) -> set[str]:
        return {order.client_order_id for order in self.venue.engine.open_orders("K1", None)}

    async def agrees(self) -> None:
        """Daemon and exchange say the same of the open orders, none is in doubt, and it quotes and is not halted."""

        def same(report: Any) -> bool:
            lines = report["open_orders"]
            return (
                not report["pauses"]
                and bool(lines)
                and all(line["state"] == "live" for line in lines)
                and {line["client_order_id"] for line in lines} == self.names_at_venue()
            )

        report = await self.until("the same open orders on both sides", same)
        assert not report["halt"]["halted"], report["halt"]


@asynccontextmanager
async def patient(folder: Path, **settings: Any) -> AsyncIterator[Patient]:
    async with mock_exchange() as venue, daemon_on(venue, folder, **settings) as running:
        await running.quoting()
        yield Patient(running)


def states(report: Any) -> set[str]:
    return {line["state"] for line in report["open_orders"]}


async def test_orders_whose_answer_never_comes_are_asked_for_and_resolved(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.on("lose_acknowledgements", operations=["order.place", "order.cancelReplace"], count=3)
        daemon.on("drop_frames", frames=["event"], count=3)
        # The question what became of them is not answered either, for a while.
        daemon.on("lose_acknowledgements", operations=["order.status"], seconds=6)
        await daemon.until("an unknown order", lambda report: "unknown" in states(report))
        await daemon.agrees()


async def test_timeouts_of_the_backend_and_5xx_leave_nothing_in_doubt(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.on("backend_timeouts", count=6)
        daemon.on("server_errors", channel="order_entry", count=6)
        injected = daemon.venue.faults.injected
        await daemon.until("the faults", lambda _: injected["backend_timeouts"] == injected["server_errors"] == 6)
        await daemon.agrees()


async def test_a_ban_is_waited_out(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.on("rate_limit_ban", seconds=3)
        await daemon.until("a pause", lambda report: any("rate_limited" in pause for pause in report["pauses"]))
        sent = (await daemon.report())["orders_sent"]
        while daemon.venue.faults.active:
            report = await daemon.report()
            assert report["orders_sent"] == sent, "no order while banned"
            await asyncio.sleep(0.05)
        await daemon.agrees()
        assert (await daemon.report())["orders_sent"] > sent


async def test_cancels_are_tried_through_a_ban_until_they_get_through(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.on("rate_limit_ban", seconds=4)
        status, answer = await daemon.running.ask("POST", "/halt", reason="test", wait="0.5")
        assert status == 202, answer
        assert daemon.names_at_venue()
        await daemon.until("no order at the exchange", lambda report: not daemon.names_at_venue())
        assert daemon.venue.faults.injected["rate_limit_ban"] < 100, "asked again and again, but not without end"


async def test_a_freeze_pauses_on_the_age_of_the_data(tmp_path: Path) -> None:
    async with patient(tmp_path, risk={"max_data_age_seconds": 1.0}) as daemon:
        daemon.on("freeze", seconds=2.5)
        await daemon.until("a pause", lambda report: any("data_stale" in pause for pause in report["pauses"]))
        await daemon.until("the thaw", lambda report: not daemon.venue.faults.active)
        await daemon.agrees()


async def test_a_clock_that_is_put_off_is_measured_again(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        for offset in (60_000, -60_000):
            daemon.on("clock_offset", milliseconds=offset)
            sent = (await daemon.report())["orders_sent"]
            await daemon.until("orders sent", lambda report, sent=sent: report["orders_sent"] > sent + 3)
            await daemon.agrees()
            daemon.venue.faults.clear()
        await daemon.agrees()


async def test_a_shutdown_announced_is_left_before_it_comes(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        old = {socket.rim.number for socket in daemon.venue.connections}
        assert len(old) == 2
        daemon.on("server_shutdown", grace_seconds=60)
        most = 0

        def moved(report: Any) -> bool:
            nonlocal most
            assert not [pause for pause in report["pauses"] if "disconnected" in pause or "channel_down" in pause]
            now = {socket.rim.number for socket in daemon.venue.connections}
            most = max(most, len(now))
            return len(now) == 2 and not now & old

        await daemon.until("new connections in place of the old", moved)
        assert most > 2, "the new one first, then the old one goes"
        await daemon.agrees()


async def test_a_restart_with_its_state_is_quoted_on_again(tmp_path: Path) -> None:
    async with patient(tmp_path) as daemon:
        daemon.on("partial_fills", count=1)
        await daemon.until("a fill", lambda report: report["fills"] > 0)
        daemon.on("restart", keep_state=True, down_seconds=0.5)
        await daemon.until("a pause", lambda report: report["pauses"])
        await daemon.agrees()
