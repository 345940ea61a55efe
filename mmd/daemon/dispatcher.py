"""Events into the core, its commands out again, in order; and what is done when the core, the disk or the adapter fails.

The latch and the checkpoint are on disk before any later command of the same event leaves, but for a halt's cancels: a disk may
take its time, and a cancel never adds to what is at risk. A core that raised is not asked again: the latch is written, what it knew
to be open is cancelled, and the process is told to leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, Protocol

import structlog

from mmd.daemon.checkpoint import CheckpointFile
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.latency import LatencyHistogram, StageClock
from mmd.daemon.state_writer import StateWriter
from mmd.exchanges.adapter import VenueCommand
from mmd.journal.records import CoreFailed, SentByShell
from mmd.types.control import Exit, FlattenRequest, HaltRecord, HaltRequest, PersistHalt, PersistLedger, ResumeRequest
from mmd.types.market import BatchEnd, DepthUpdate, FeedStatus, MarketTrade, TouchUpdate
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    DeadMansSwitchLapsed,
    ExternalBalanceChange,
    ForcedTrade,
    FundingPaid,
    ModifyOrder,
    OrderChannelStatus,
    PlaceOrder,
    RateLimited,
    ReconciliationFailed,
    ReplaceOrder,
)
from mmd.types.report import TraderReport
from mmd.types.stages import Stage

log = structlog.get_logger(__name__)

STREAMED = frozenset({TouchUpdate, DepthUpdate, MarketTrade})
LOGGED = frozenset(
    {
        FeedStatus,
        OrderChannelStatus,
        ExternalBalanceChange,
        RateLimited,
        ReconciliationFailed,
        FundingPaid,
        DeadMansSwitchLapsed,
        ForcedTrade,
    }
)
ORDERS = frozenset({PlaceOrder, ReplaceOrder, ModifyOrder, CancelOrder, AmendOrder})
DECODE, SEND = Stage.DECODE, Stage.SEND
RISING = frozenset({PlaceOrder, ReplaceOrder, ModifyOrder})
"""Commands that may add to what is at risk."""


class Journal(Protocol):
    """What keeps every event and command in their order: `mmd.journal.writer.JournalWriter`, or nothing."""

    @property
    def append(self) -> Callable[[Any], None]:
        """Takes one record."""

    @property
    def extend(self) -> Callable[[Any], None]:
        """Takes several, in their order."""

    @property
    def crowded(self) -> bool:
        """More waits than may: `check` is due."""

    def check(self) -> str:
        """What is wrong; empty if nothing is."""


class NoJournal:
    """Keeps nothing."""

    @property
    def crowded(self) -> bool:
        """Nothing ever waits."""
        return False

    def append(self, record: Any) -> None:
        """Nothing."""

    def extend(self, records: Any) -> None:
        """Nothing."""

    def check(self) -> str:
        """Nothing can be wrong."""
        return ""


class Core(Protocol):
    """The trader, or anything that behaves like it."""

    def on_event(self, event: Any) -> Sequence[Any]:
        """Handle one event, return commands."""

    def report(self, now_ns: int) -> TraderReport:
        """The core's account of itself."""

    @property
    def cut_off(self) -> bool:
        """Whether orders of ours may be open at a venue that cannot be reached to cancel them."""

    @property
    def open_orders(self) -> int:
        """How many orders of ours may be open. Cheap: it is asked for before a halt is carried out."""


class ResumeRefused(ValueError):
    """The halt cannot be lifted now; the text says why. `conflict` tells a wrong moment from a wrong request."""

    def __init__(self, text: str, *, conflict: bool) -> None:
        super().__init__(text)
        self.conflict = conflict


class Dispatcher:
    """Call it with an event. `send` carries out a venue command; `clock_ns` gives UTC ns."""

    def __init__(
        self,
        core: Core,
        send: Callable[[VenueCommand], None],
        halt_file: HaltFile,
        checkpoint: CheckpointFile,
        stages: StageClock,
        clock_ns: Callable[[], int],
        journal: Journal | None = None,
    ) -> None:
        self.core = core
        self.journal: Journal = NoJournal() if journal is None else journal
        self._journal_problem = ""
        self._send = send
        self.state = StateWriter(halt_file, checkpoint, self._halt_next)
        self._stages = stages
        self._clock_ns = clock_ns
        self._batch_open = False
        self._follow_up: HaltRequest | None = None
        self._orders_gone: asyncio.Future[None] | None = None
        self.last_cancel_ns = 0
        """When the last cancel of the newest halt was with the adapter, by `perf_counter_ns`; 0 while no halt had one to send."""
        self.halt_to_cancels = LatencyHistogram()
        """From being asked to halt to that, for halts that had any to send."""
        self.last_batch_ns = 0
        self.failure: str = ""
        """Why the core is not asked any more."""
        loop = asyncio.get_running_loop()
        self.failed: asyncio.Future[str] = loop.create_future()
        self.exited: asyncio.Future[str] = loop.create_future()

    def __call__(self, event: Any) -> None:
        """Handle one event to the end. Raises nothing: what fails in here halts."""
        if self.failure:
            return
        kind = type(event)
        streamed = kind in STREAMED
        self._time_arrival(event, streamed, kind is BatchEnd)
        self.journal.append(event)
        try:
            commands = self.core.on_event(event)
        except Exception as error:  # noqa: BLE001 (whatever it was: the core cannot be trusted any more)
            self._core_failed(error, event)
            return
        ordered = False
        if commands:
            self.journal.extend(commands)
            ordered = self._carry_out(commands)
        if kind is BatchEnd:
            self._end_batch(event.receive_ns, ordered)
        elif kind in LOGGED:
            log.info("venue event", event_type=kind.__name__, detail=repr(event))
        if self._orders_gone is not None and not streamed and self.open_order_count() == 0:
            self._orders_gone.set_result(None)
            self._orders_gone = None
        if self._follow_up is not None and self._follow_up is not event:
            request = self._follow_up
            self(request)
            # What failed while halting is logged; a halt needs no second one.
            self._follow_up = None

    @property
    def busy_until_ns(self) -> int:
        """Until when the market kept us busy: the newest batch, or now where one is open (of a read that is handled in slices)."""
        return self._clock_ns() if self._batch_open else self.last_batch_ns

    # ---- what people ask for

    def report(self) -> TraderReport:
        """The core's account of itself, now."""
        return self.core.report(self._clock_ns())

    def halt(self, reason: str, actor: str, asked_ns: int | None = None) -> HaltRecord:
        """Halt; returns the record that stands, which is the first cause if it was halted already.

        `asked_ns` is when the request arrived, by `perf_counter_ns`.
        """
        now_ns = self._clock_ns()
        begun_ns = perf_counter_ns()
        self(HaltRequest(now_ns, reason, actor))
        if self.last_cancel_ns > begun_ns:
            self.halt_to_cancels.record(self.last_cancel_ns - (begun_ns if asked_ns is None else asked_ns))
        if not self.failure:
            try:
                return self.core.report(now_ns).halt
            except Exception as error:
                log.critical("the core halted but cannot report it", exc_info=error)
        return self._latch_directly(reason, actor)

    def flatten(self, reason: str, actor: str, seconds: float) -> HaltRecord:
        """Halt, and have the core work towards no position until `seconds` from now. Raises `ResumeRefused` where it cannot."""
        if self.failure:
            raise ResumeRefused(f"the core failed and the process is leaving: {self.failure}", conflict=True)
        now_ns = self._clock_ns()
        self(FlattenRequest(now_ns, reason, actor, now_ns + round(seconds * 1e9)))
        return self.core.report(now_ns).halt

    def open_order_count(self) -> int:
        """Orders of ours that the core believes open, pending or unknown; -1 where it failed."""
        return -1 if self.failure else self.core.open_orders

    def resume(self, reason: str, actor: str) -> HaltRecord:
        """Lift the halt. Raises `ResumeRefused`."""
        if not reason.strip():
            raise ResumeRefused("resume needs a reason: say what was found and mended", conflict=False)
        if self.failure:
            raise ResumeRefused(f"the core failed and the process is leaving: {self.failure}", conflict=True)
        if self.state.halt_file.operator_request() is not None:
            raise ResumeRefused(
                f"remove the file {self.state.halt_file.operator_file} first: it would halt again at once", conflict=True
            )
        now_ns = self._clock_ns()
        record = self.core.report(now_ns).halt
        if not record.halted:
            raise ResumeRefused("nothing to resume: not halted", conflict=True)
        unwell = self._why_unwell(now_ns)
        if unwell:
            raise ResumeRefused(f"not yet: {unwell}", conflict=True)
        self(ResumeRequest(now_ns, reason, actor))
        return self.core.report(now_ns).halt

    def _why_unwell(self, now_ns: int) -> str:
        """What must be mended before a halt may be lifted; empty when nothing is."""
        self.state.retry()
        if self.state.behind:
            return "latch or checkpoint cannot be written; look at the disk of the state directory"
        report = self.core.report(now_ns)
        if report.open_orders:
            names = ", ".join(f"{order.client_order_id} ({order.state})" for order in report.open_orders)
            return f"orders of the halted session are not confirmed gone: {names}"
        for limit, setting in (("daily_loss", "risk.max_daily_loss"), ("drawdown", "risk.max_drawdown")):
            if report.limits_used.get(limit, 0.0) >= 1.0:
                return f"{setting} is used up, and it would halt again at once; no resume refills it: raise it and start anew"
        return ""

    def when_orders_gone(self) -> asyncio.Future[None]:
        """Resolves when the core knows no order of ours to be open or unknown. One future serves all who wait."""
        if self._orders_gone is not None:
            return self._orders_gone
        gone = asyncio.get_running_loop().create_future()
        if self.open_order_count() == 0:
            gone.set_result(None)
        else:
            self._orders_gone = gone
        return gone

    def check_journal(self) -> None:
        """Halt where the journal cannot be kept: what would be done unrecorded is not done. Called by the timer."""
        problem = self._new_journal_problem()
        if problem:
            self(HaltRequest(self._clock_ns(), problem, "core"))

    def _new_journal_problem(self) -> str:
        """Told once, however long it stays."""
        before, self._journal_problem = self._journal_problem, self.journal.check()
        if before or not self._journal_problem:
            return ""
        log.critical("the journal cannot be kept", detail=self._journal_problem)
        return self._journal_problem

    # ---- commands

    def _time_arrival(self, event: Any, streamed: bool, batch_end: bool) -> None:
        if streamed:
            if self._batch_open:
                self._stages.lap(DECODE)
            else:
                self._batch_open = True
                self._stages.stages[DECODE].record(self._clock_ns() - event.receive_ns)
                self._stages.start()
        elif not batch_end:
            self._stages.quoted = False
            self._stages.start()

    def _end_batch(self, receive_ns: int, ordered: bool) -> None:
        self._batch_open = False
        self.last_batch_ns = receive_ns
        if self.journal.crowded and (problem := self._new_journal_problem()):
            self._halt_next(problem)
        if self._stages.quoted:
            self._stages.quoted = False
            taken_ns = self._clock_ns() - receive_ns
            self._stages.tick_to_quote.record(taken_ns)
            if ordered:
                self._stages.tick_to_order.record(taken_ns)

    def _carry_out(self, commands: Sequence[Any]) -> bool:
        """In order. True when any order command left."""
        withheld = ordered = False
        if PersistHalt in map(type, commands):
            asked = len(commands)
            commands = self._cancel_first(commands)
            ordered = len(commands) < asked
        for command in commands:
            kind = type(command)
            if kind in ORDERS:
                if withheld and kind in RISING:
                    continue
                ordered = True
                self._send_safely(command)
            elif kind is PersistLedger:
                withheld = not self.state.write_ledger(command.document) or withheld
            elif kind is PersistHalt:
                self.state.write_halt(command.record)
            elif kind is Exit:
                if not self.exited.done():
                    self.exited.set_result(command.detail)
            else:
                self._send_safely(command)
        if ordered:
            self._stages.lap(SEND)
        return ordered

    def _cancel_first(self, commands: Sequence[Any]) -> list[Any]:
        """Send a halt's cancels; what is left of its commands."""
        left = [command for command in commands if type(command) is not CancelOrder]
        if len(left) < len(commands):
            for command in commands:
                if type(command) is CancelOrder:
                    self._send_safely(command)
            self.last_cancel_ns = perf_counter_ns()
        return left

    def _send_safely(self, command: VenueCommand) -> None:
        try:
            self._send(command)
        except Exception as error:
            # Adapters never raise for I/O: this is a fault.
            log.critical("the adapter refused a command", command=repr(command), exc_info=error)
            self._halt_next(f"the adapter could not carry out {type(command).__name__}: {type(error).__name__}: {error}")

    def _halt_next(self, reason: str) -> None:
        if self._follow_up is None:
            self._follow_up = HaltRequest(self._clock_ns(), reason, "core")

    # ---- the core failed

    def _core_failed(self, error: Exception, event: Any) -> None:
        self.failure = f"the core raised {type(error).__name__} on {type(event).__name__}: {error}"
        if not self.failed.done():
            self.failed.set_result(self.failure)
        self.journal.append(CoreFailed(f"{type(error).__name__}: {error}"))
        # First what protects, then what tells of it.
        self._latch_directly(self.failure, "core")
        self._cancel_what_was_open()
        log.critical("the core failed; everything is cancelled, the process leaves", during=repr(event)[:500], exc_info=error)

    def _latch_directly(self, reason: str, actor: str) -> HaltRecord:
        return self.state.latch(HaltRecord(halted=True, reason=reason, actor=actor, time_ns=self._clock_ns()))

    def _cancel_what_was_open(self) -> None:
        now_ns = self._clock_ns()
        try:
            orders = self.core.report(now_ns).open_orders
        except Exception as error:
            # The process asks the venue itself next.
            log.critical("the failed core cannot name its open orders", exc_info=error)
            return
        for order in orders:
            cancel = CancelOrder(now_ns, order.client_order_id, order.symbol)
            self.journal.append(SentByShell(cancel))
            self._send_safely(cancel)
