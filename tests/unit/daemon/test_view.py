from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from mmd.daemon.latency import StageClock
from mmd.daemon.summary import Ending, summarise
from mmd.daemon.view import Dashboard, LiveView, status_line, summary_table, symbol_table, totals_line
from mmd.daemon.view_history import BLOCKS, History, sparkline
from mmd.exchanges.adapter import VenueOrder
from mmd.types.report import OrderLine, SymbolReport, TraderReport
from tests.unit.daemon.tiny_core import TinyCore, a_report

SECOND_NS = 1_000_000_000
START_NS = 1_000_000 * SECOND_NS
FALLBACK = "avellaneda-stoikov, for the prediction is refused: out_of_range"


def drawn(renderable: object, width: int = 160, height: int = 50) -> str:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(renderable)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def a_symbol(symbol: str = "BTCUSDT", source: str = "neural", **changes: Any) -> SymbolReport:
    line = a_report(START_NS, TinyCore()).symbols[0]
    assert line.quote is not None
    parts = {
        "mid": 100.0, "microprice": 0.25, "price_head": -0.5, "skew": 0.75, "half_spread": 5.0,
        "adverse_bid": 0.0, "adverse_ask": 1.25, "clamp_bid": 0.0, "clamp_ask": 0.0,
    }  # fmt: skip
    quote = msgspec.structs.replace(line.quote, source=source, attribution_ticks=parts)
    return msgspec.structs.replace(line, **{"symbol": symbol, "quote": quote, **changes})


def reported(*symbols: SymbolReport, core: TinyCore | None = None, time_ns: int = START_NS) -> TraderReport:
    core = core or TinyCore()
    limits = {"daily_loss": 0.03, "drawdown": 0.04, "gross_exposure": 0.55, "open_orders": 0.95}
    limits |= {f"position_{line.symbol}": 0.5 for line in symbols}
    return msgspec.structs.replace(a_report(time_ns, core), symbols=symbols, limits_used=limits)


def pictured(report: TraderReport, width: int = 80, height: int = 24, seconds: float | None = 60.0) -> str:
    """The dashboard after fifteen seconds, and that it fits."""
    stages = StageClock()
    for stage in stages.stages:
        stage.record(50_000)
    stages.tick_to_quote.record(150_000)
    dashboard = Dashboard("mmd demo on a mock exchange", seconds)
    for quarter in range(60):
        then = tuple(msgspec.structs.replace(line, mid=line.mid + quarter, pnl=quarter / 8) for line in report.symbols)
        earlier = report.time_ns - (60 - quarter) * SECOND_NS // 4
        dashboard.show(msgspec.structs.replace(report, symbols=then, time_ns=earlier, ticks=quarter * 10), stages)
    dashboard.show(msgspec.structs.replace(report, ticks=600), stages)
    text = drawn(dashboard, width, height)
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= width
    assert len(lines) < height, text
    return text


def test_one_symbol_fits_a_small_terminal_with_everything() -> None:
    core = TinyCore()
    core.open["a"] = OrderLine("a", "BTCUSDT", "BUY", 99.25, 0.5, "live", 0)
    text = pictured(reported(a_symbol(), core=core))
    for part in (
        "QUOTING", "0:15 of 1:00 ███░", "99.00 / 101.00", "99.25  -75.00 bps  size 0.5  ● resting",
        "100.50  +50.00 bps  size 2  ○ no order", "neural  spread 100.00 bps", "microprice +0.25", "price head -0.50", "skew +0.75",
        "half-spread +5.00", "adverse ask +1.25", "▲ up  confidence 0.50", "-0.250000  ██████░░░░░░ 50% of limit", "+0.75",
        "realised +1.50", "unrealised -0.50", "fees 0.25", "7  markout 1 s -0.75 bps", "2 ms",
        "tick-to-quote p50 150 µs, p99 150 µs", "40 ticks/s", "inference 50", "daily loss 3%", "open orders 95%", "open 1",
        "denied 5 (most: data_age)", "paused 2",
    ):  # fmt: skip
        assert part in text, f"{part}\n{text}"
    assert "clamp" not in text


def test_a_fallback_says_why() -> None:
    text = pictured(reported(a_symbol(source=FALLBACK)))
    assert "fallback avellaneda-stoikov  the prediction is refused: out_of_range" in text


def test_two_symbols_fit_side_by_side() -> None:
    text = pictured(reported(a_symbol(), a_symbol("ETHUSDT", FALLBACK)), 100, 35)
    header = next(line for line in text.splitlines() if "BTCUSDT" in line)
    assert "ETHUSDT" in header
    for row in ("market", "mid", "in ticks", "predicts", "data age"):
        assert any(line.startswith(row) for line in text.splitlines())


def test_narrow_means_below_one_another_and_low_means_fewer_rows() -> None:
    text = pictured(reported(a_symbol(), a_symbol("ETHUSDT")), 50, 60)
    assert text.count("microprice") == 2
    assert not any("BTCUSDT" in line and "ETHUSDT" in line for line in text.splitlines())
    short = pictured(reported(a_symbol()), 60, 21)
    assert "our bid" in short
    assert "microprice" not in short


def test_the_line_above_says_halted_paused_warming_or_quoting() -> None:
    core = TinyCore()
    assert "QUOTING" in pictured(reported(a_symbol(), core=core))
    warming = pictured(reported(a_symbol(quote=None), core=core))
    assert "WARMING: BTCUSDT has no quote yet (70 steps seen)" in warming
    core.pauses = ("data_stale:BTCUSDT", "starting:all")
    assert "PAUSED: data_stale:BTCUSDT, starting:all" in pictured(reported(a_symbol(), core=core))
    core.latch.halt("drill", "cli", 1)
    assert "HALTED by cli: drill" in pictured(reported(a_symbol(), core=core))


@pytest.mark.parametrize(("prepare", "colour"), [("quote", "green"), ("pause", "yellow"), ("warm", "yellow"), ("halt", "red")])
def test_states_have_their_colours(prepare: str, colour: str) -> None:
    core = TinyCore()
    if prepare == "pause":
        core.pauses = ("rate_limited:all",)
    if prepare == "halt":
        core.latch.halt("drill", "http", 1)
    line = a_symbol(quote=None) if prepare == "warm" else a_symbol()
    assert str(status_line(reported(line, core=core)).style) == f"bold {colour}"


def test_a_withheld_side_and_an_invalid_book_are_named() -> None:
    line = a_symbol()
    assert line.quote is not None
    quote = msgspec.structs.replace(line.quote, bid_quantity=0.0)
    text = pictured(reported(a_symbol(quote=quote, book_valid=False, invalid_reason="sequence gap")))
    assert "withheld" in text
    assert "book invalid: sequence gap" in text


def test_a_status_needs_no_history_and_no_clock() -> None:
    report = reported(a_symbol())
    assert "microprice" in drawn(symbol_table(report), 80)
    assert "sent 40" in drawn(totals_line(report), 80)
    assert "running 0:00" in pictured_without_clock(report)


def pictured_without_clock(report: TraderReport) -> str:
    dashboard = Dashboard("mmd run")
    assert "connecting" in drawn(dashboard)
    dashboard.show(report)
    return drawn(dashboard, 80, 24)


def test_sparklines_run_from_least_to_greatest_and_fill_gaps() -> None:
    points = [(START_NS + index * SECOND_NS, float(index)) for index in range(0, 60, 2)]
    line = sparkline(points, START_NS + 59 * SECOND_NS, 8)
    assert line[0] == BLOCKS[0]
    assert line[-1] == BLOCKS[-1]
    assert list(line) == sorted(line, key=BLOCKS.index)
    assert sparkline(points[:1], START_NS, 8) == ""
    assert sparkline([(START_NS - 120 * SECOND_NS, 1.0)], START_NS, 8) == ""
    holes = sparkline([(START_NS - 50 * SECOND_NS, 1.0), (START_NS, 2.0)], START_NS, 6)
    assert holes == "▁▁▁▁▁█"


def test_a_history_forgets_and_a_rate_is_of_the_last_seconds() -> None:
    history = History()
    assert history.ticks_per_second() == 0.0
    for second in range(1000):
        history.add(msgspec.structs.replace(reported(a_symbol(), time_ns=START_NS + second * SECOND_NS), ticks=second * 3))
    assert history.ticks_per_second() == pytest.approx(3.0)
    assert history.elapsed_seconds(START_NS + 1000 * SECOND_NS) == 1000.0
    assert len(history.mid("BTCUSDT", START_NS + 999 * SECOND_NS, 20)) == 20
    assert history.mid("NOSUCH", START_NS, 20) == ""


def test_the_view_draws_the_newest_report() -> None:
    output = io.StringIO()
    console = Console(file=output, width=160, force_terminal=True)
    with LiveView(console, "a title") as view:
        view.show(a_report(1, TinyCore()), StageClock())
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
