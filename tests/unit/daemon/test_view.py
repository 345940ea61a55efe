from __future__ import annotations

import io

from rich.console import Console

from mmd.daemon.latency import StageClock
from mmd.daemon.summary import Ending, summarise
from mmd.daemon.view import LiveView, status_line, summary_table, symbol_table
from mmd.exchanges.adapter import VenueOrder
from tests.unit.daemon.tiny_core import TinyCore, a_report


def drawn(renderable: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_table_shows_market_quotes_and_money() -> None:
    text = drawn(symbol_table(a_report(1, TinyCore())))
    for part in ("BTCUSDT", "99.5", "100.5", "-0.250000", "+0.75", "-0.75 bps"):
        assert part in text


def test_the_line_above_says_halted_paused_or_quoting() -> None:
    core = TinyCore()
    assert "quoting" in drawn(status_line(a_report(1, core)))
    core.pauses = ("data_stale:BTCUSDT",)
    assert "paused: data_stale:BTCUSDT" in drawn(status_line(a_report(1, core)))
    core.latch.halt("drill", "cli", 1)
    assert "HALTED by cli: drill" in drawn(status_line(a_report(1, core)))


def test_the_view_draws_the_newest_report() -> None:
    output = io.StringIO()
    console = Console(file=output, width=160, force_terminal=True)
    with LiveView(console, "a title") as view:
        view.show(a_report(1, TinyCore()))
    assert "a title" in output.getvalue()
    assert "BTCUSDT" in output.getvalue()


def test_a_summary_says_what_is_left() -> None:
    order = VenueOrder("mmd-a-1", "BTCUSDT", "BUY", "1", "1", "0")
    summary = summarise(a_report(1, TinyCore()), StageClock(), Ending(3, "late", (order,)), 2.0)
    assert summary.open_orders_at_exit == 1
    assert summary.position == -0.25
    assert summary.markout_1s_bps == -0.75
    assert "late" in drawn(summary_table(summary))
    unknown = summarise(a_report(1, TinyCore()), StageClock(), Ending(3, "late", None), 2.0)
    assert unknown.open_orders_at_exit is None
    assert "unknown" in drawn(summary_table(unknown))
