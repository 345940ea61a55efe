"""The daemon on futures on which things go wrong: modifications without answer, holes in the sequence, a venue that restarts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mmd.mock.faults import parse_fault
from mmd.mock.server import MockExchange
from tests.integration.daemon.test_daemon_on_futures import Running, both_sides, daemon_on, futures_exchange, settings_for


class Troubled:
    """A daemon that quotes, and its venue's faults."""

    def __init__(self, daemon: Running, exchange: MockExchange) -> None:
        self.daemon = daemon
        self.exchange = exchange

    def on(self, kind: str, **parameters: Any) -> None:
        self.exchange.faults.switch_on(parse_fault({"kind": kind, **parameters}), time.time_ns())

    async def until(self, check: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        return await self.daemon.until(check)

    def at_venue(self) -> dict[str, tuple[float, float]]:
        """Price and quantity of our open orders, by client id."""
        engine = self.exchange.futures.engine
        return {
            order.client_order_id: (order.price_ticks * 0.1, order.remaining_lots * 0.001) for order in engine.open_orders("K1")
        }

    async def agrees(self) -> None:
        """Daemon and exchange say the same of the open orders, price and quantity too; it quotes and is not halted."""

        def same(state: dict[str, Any]) -> bool:
            lines = state["open_orders"]
            said = {line["client_order_id"]: (line["price"], line["quantity"]) for line in lines}
            real = self.at_venue()
            return (
                both_sides(state)
                and not state["pauses"]
                and all(line["state"] == "live" for line in lines)
                and said.keys() == real.keys()
                and all(abs(one - other) < 1e-6 for name in said for one, other in zip(said[name], real[name], strict=True))
            )

        state = await self.until(same)
        assert not state["halt"]["halted"], state["halt"]


@asynccontextmanager
async def troubled(folder: Path) -> AsyncIterator[Troubled]:
    async with futures_exchange() as exchange, daemon_on(settings_for(exchange, folder)) as daemon:
        await daemon.until(both_sides)
        yield Troubled(daemon, exchange)


async def test_modifications_whose_answer_never_comes_are_asked_for_and_resolved(tmp_path: Path) -> None:
    async with troubled(tmp_path) as venue:
        venue.on("lose_acknowledgements", operations=["order.modify"], count=3)
        venue.on("drop_frames", channel="order_entry", frames=["event"], count=3)
        # The question what became of them is not answered either, for a while.
        venue.on("lose_acknowledgements", operations=["order.status"], seconds=6)
        await venue.until(lambda state: any(line["state"] == "unknown" for line in state["open_orders"]))
        await venue.agrees()


async def test_timeouts_and_server_errors_leave_nothing_in_doubt(tmp_path: Path) -> None:
    async with troubled(tmp_path) as venue:
        venue.on("backend_timeouts", count=4)
        venue.on("server_errors", channel="order_entry", count=4)
        injected = venue.exchange.faults.injected
        await venue.until(lambda _: injected["backend_timeouts"] == injected["server_errors"] == 4)
        await venue.agrees()


async def test_a_hole_in_the_sequence_is_seen_by_pu_and_the_book_made_anew(tmp_path: Path) -> None:
    async with troubled(tmp_path) as venue:
        venue.on("skip_depth_update", count=1)
        state = await venue.until(lambda state: state["sequence_gaps"] and state["symbols"][0]["book_valid"])
        assert state["resyncs"] >= 1
        await venue.agrees()


async def test_a_venue_that_restarts_is_quoted_on_again(tmp_path: Path) -> None:
    async with troubled(tmp_path) as venue:
        venue.on("restart", keep_state=True, down_seconds=0.5)
        await venue.until(lambda state: state["pauses"])
        await venue.agrees()
