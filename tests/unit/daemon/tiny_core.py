"""A core of a few lines with the trader's two methods, for what the process around it does; and a dispatcher on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmd.daemon.checkpoint import CheckpointFile
from mmd.daemon.collection import CollectionSchedule
from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.latency import LatencyHistogram, StageClock
from mmd.daemon.loop_watch import StallWatchdog
from mmd.daemon.metrics import ProcessSources
from mmd.daemon.network_switch import NetworkSwitch
from mmd.daemon.signal_feed import SignalFeed, SignalSettings
from mmd.exchanges.adapter import AdapterCounters
from mmd.risk.latch import HaltLatch
from mmd.types.control import HaltRequest, PersistHalt, ResumeRequest
from mmd.types.orders import CancelOrder, OrderStatus, OrderUpdate
from mmd.types.report import OrderLine, QuoteLine, SymbolReport, TraderReport


class TinyCore:
    """Halts, resumes, cancels what is open on a halt. `answers` adds commands by event type."""

    cut_off = False

    def __init__(self) -> None:
        self.latch = HaltLatch()
        self.open: dict[str, OrderLine] = {}
        self.pauses: tuple[str, ...] = ()
        self.limits_used = {"daily_loss": 0.03}
        self.answers: dict[type, Callable[[Any], Sequence[Any]]] = {}
        self.events: list[Any] = []

    def on_event(self, event: Any) -> Sequence[Any]:
        self.events.append(event)
        extra = self.answers.get(type(event))
        commands = list(extra(event)) if extra is not None else []
        if isinstance(event, HaltRequest):
            record = self.latch.halt(event.reason, event.actor, event.receive_ns)
            cancels = [CancelOrder(event.receive_ns, order.client_order_id, order.symbol) for order in self.open.values()]
            return [*([PersistHalt(record)] if record is not None else []), *cancels, *commands]
        if isinstance(event, ResumeRequest):
            return [PersistHalt(self.latch.resume(event.reason, event.actor, event.receive_ns)), *commands]
        if isinstance(event, OrderUpdate) and not event.status.is_open:
            self.open.pop(event.client_order_id, None)
        return commands

    @property
    def open_orders(self) -> int:
        return len(self.open)

    def report(self, now_ns: int) -> TraderReport:
        return a_report(now_ns, self)

    def add_order(self, name: str) -> None:
        self.open[name] = OrderLine(name, "BTCUSDT", "BUY", 100.0, 1.0, "live", 0)


def a_report(now_ns: int, core: TinyCore) -> TraderReport:
    quote = QuoteLine(99.5, 100.5, 1.0, 2.0, 100.0, 1.0, 0.5, 1, "fixed", {"fair": 0.5, "skew": -0.25})
    symbol = SymbolReport(
        symbol="BTCUSDT",
        book_valid=True,
        invalid_reason="",
        bid=99.0,
        ask=101.0,
        mid=100.0,
        quote=quote,
        position=-0.25,
        average_cost=100.0,
        realised=1.5,
        unrealised=-0.5,
        fees=0.25,
        pnl=0.75,
        fills=7,
        steps=70,
        ticks=700,
        quotes=300,
        sequence_gaps=1,
        resyncs=2,
        data_age_ns=1_500_000,
        feed_lag_ns=2_000_000,
        markouts_bps={"1s": -0.75},
        against={"1s": 0.6},
        pnl_parts={"spread": 2.0, "adverse_selection": -1.0, "fees": -0.25, "funding": 0.0, "inventory": 0.0},
        presence_seconds={"none": 1.0, "buy": 2.0, "sell": 3.0, "both": 94.0},
        features={"imbalance": 0.5},
        predictions={"price": 0.1},
    )
    return TraderReport(
        time_ns=now_ns,
        mode="mock",
        session="abc",
        halt=core.latch.record,
        pauses=core.pauses,
        symbols=(symbol,),
        open_orders=tuple(core.open.values()),
        ticks=700,
        steps=70,
        quotes=300,
        orders_sent=40,
        fills=7,
        sequence_gaps=1,
        resyncs=2,
        pnl=0.75,
        fees=0.25,
        loss_used=3.0,
        drawdown=4.0,
        risk_denials={"data_age": 5},
        pause_counts={"data_stale": 2},
        rejections={"-2010": 3},
        gate_refusals={"stale": 1},
        reconciliations={"made": 9},
        limits_used=core.limits_used,
        limits={"daily_loss": 10.0},
        exposure=50.0,
        order_commands={"PlaceOrder": 30, "ReplaceOrder": 10, "CancelOrder": 5},
        orders_accepted=38,
    )


def cancelled(name: str) -> OrderUpdate:
    from mmd.types.market import Side

    return OrderUpdate(time.time_ns(), "BTCUSDT", name, 1, Side.BUY, 100, 1, 0, OrderStatus.CANCELED, 0)


class Desk:
    """Everything around one dispatcher on a `TinyCore`, in a directory of its own. Make it on a running event loop."""

    def __init__(self, directory: Path) -> None:
        self.core = TinyCore()
        self.sent: list[Any] = []
        self.halt_file = HaltFile(directory)
        self.checkpoint = CheckpointFile(directory, "binance/mock")
        self.stages = StageClock()
        self.dispatcher = Dispatcher(self.core, self.sent.append, self.halt_file, self.checkpoint, self.stages, time.time_ns)
        self.sources = ProcessSources(
            self.dispatcher,
            AdapterCounters(frames=11),
            self.stages,
            LatencyHistogram(),
            StallWatchdog(self.halt_file, limit_seconds=10.0, clock_ns=time.time_ns, clear_market=lambda give_up: None),
            CollectionSchedule(10.0),
            time.time_ns(),
            LatencyHistogram(),
            NetworkSwitch(
                None, ("BTCUSDT",), "auto", dispatch=self.dispatcher, failed=lambda: self.dispatcher.failure, clock_ns=time.time_ns
            ),
            SignalFeed(SignalSettings(), dispatch=self.dispatcher, clock_ns=time.time_ns),
        )
