"""The daemon: one process, one event loop, one venue. Puts the parts together, leaves in order, and says what it left behind."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import structlog

from mmd import CORE
from mmd.daemon.busy_poll import BusyPoll
from mmd.daemon.checkpoint import CheckpointError, CheckpointFile
from mmd.daemon.collection import CollectionSchedule
from mmd.daemon.control import ControlServer
from mmd.daemon.core_building import build_core, trader_config
from mmd.daemon.dispatcher import Dispatcher
from mmd.daemon.guard_presence import GuardPresence
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.heartbeat import DAEMON_NAME, Heartbeat, Life
from mmd.daemon.last_look import sweep
from mmd.daemon.latency import LatencyHistogram, StageClock
from mmd.daemon.loop_watch import StallWatchdog
from mmd.daemon.market_recording import MarketRecording
from mmd.daemon.metrics import ProcessSources
from mmd.daemon.network_admission import admitted_networks, begin_challenge, why_not_admitted
from mmd.daemon.network_switch import NetworkSwitch
from mmd.daemon.pulse import Pulse, PulseParts
from mmd.daemon.rescue import clear_market
from mmd.daemon.session_journal import SessionJournal
from mmd.daemon.session_ledger import SessionLedger
from mmd.daemon.settings import Settings
from mmd.daemon.shadow_tick import ShadowTicks
from mmd.daemon.signal_feed import SignalFeed
from mmd.daemon.state_lock import StateLock
from mmd.daemon.steady_clock import utc_ns
from mmd.daemon.summary import Ending, Summary, summarise
from mmd.daemon.venue import make_adapter
from mmd.exchanges.adapter import ExchangeAdapter
from mmd.inference.bundle import Bundle, content_digest
from mmd.inference.predictor import QuotePredictor
from mmd.trader import Trader
from mmd.types.control import HaltRecord, HaltRequest, PauseReason, Shutdown
from mmd.types.report import TraderReport

log = structlog.get_logger(__name__)

ReportListener = Callable[[TraderReport, StageClock], None]
"""Hears a report, and the clock that has timed every stage since the start."""

SECOND_NS = 1_000_000_000

EXIT_CLEAN = 0
EXIT_FAILED = 1
EXIT_ORDERS_LEFT = 3


async def run_daemon(
    settings: Settings,
    *,
    seconds: float | None = None,
    on_report: ReportListener | None = None,
    on_ready: Callable[[str], None] | None = None,
    leave_at_recording_end: bool = False,
) -> Summary:
    """Trade until a signal, a fault, or for `seconds`. `on_ready` hears the control port's URL once it listens.

    With `leave_at_recording_end` also until a replaying venue has announced the end of its recording.

    Raises `StateLockError`, `CheckpointError`, `AdapterError`, `ControlError`, `BundleError`, `RuntimeUnavailable` or
    `OSError` when it cannot start; nothing was sent then.
    """
    with StateLock(settings.state_dir):
        daemon = Daemon(settings)
        try:
            await daemon.prepare(daemon.leaving_at_recording_end(on_report) if leave_at_recording_end else on_report)
            if on_ready is not None:
                on_ready(daemon.control_url)
            return await daemon.trade(seconds)
        finally:
            await daemon.close()


class Daemon:
    """The parts of one run. `prepare`, then `trade`, then `close`, whatever happened."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._halt_file = HaltFile(settings.state_dir)
        self._checkpoint = CheckpointFile(settings.state_dir, settings.account)
        self._started_ns = utc_ns()
        self._ledger = SessionLedger(settings)
        self._config = trader_config(settings, self._started_ns, self._ledger.last_trade_ids())
        self._journal = SessionJournal(settings, self._config, self._started_ns, self._ledger)
        self._stages = self._journal.stages
        self._loop_lag = LatencyHistogram()
        self._collection = CollectionSchedule(settings.process.collect_interval_seconds)
        self._watchdog = StallWatchdog(
            self._halt_file,
            limit_seconds=settings.process.stall_seconds,
            clock_ns=utc_ns,
            clear_market=lambda give_up: clear_market(settings, give_up),
        )
        recorded = settings.recording.folder is not None
        self._recording = MarketRecording(settings.recording, settings.venue) if recorded else None
        self._begun = time.monotonic()
        self._abandoned: asyncio.Future[str] = self._loop.create_future()
        self._leaving = False
        self._heartbeat = Heartbeat(settings.state_dir / DAEMON_NAME)
        self._ended_as = "it never began to trade"
        self._undo = AsyncExitStack()
        self._undo.callback(lambda: self._heartbeat.close(self._life, utc_ns()))
        self._life = Life.NEVER_TRADED
        """What is said of us once we are gone."""
        self.adapter: ExchangeAdapter
        self.dispatcher: Dispatcher
        self._control: ControlServer
        self._networks: NetworkSwitch
        self._bundle: Bundle | None = None

    @property
    def control_url(self) -> str:
        """Where the control port listens."""
        return self._control.url

    # ---- coming

    async def prepare(self, on_report: ReportListener | None) -> None:
        """Everything but speaking to the venue about orders. Raises as `run_daemon`."""
        settings = self._settings
        checkpoint = self._checkpoint.read()
        halt = self._halt_file.read(self._started_ns)
        if self._recording is not None:
            self._undo.callback(self._recording.end)
        self.adapter = make_adapter(settings, self._on_adapter_failure, self._recording)
        self._undo.push_async_callback(self.adapter.close)
        instruments = await self.adapter.load_instruments()
        if self._recording is not None:
            self._recording.begin(instruments)
        bundle, predictors = admitted_networks(settings, instruments, self._journal.make_predictor)
        self._bundle = bundle
        core = self._make_core(bundle, predictors, checkpoint, halt)
        self._journal.begin(self.adapter, checkpoint, halt, bundle, predictors)
        self.dispatcher = Dispatcher(
            core, self.adapter.send, self._halt_file, self._checkpoint, self._stages, utc_ns, self._journal.of_dispatcher
        )
        shadow_ticks = self._start_shadow_ticks(core, bundle, predictors)
        self._networks = NetworkSwitch(
            bundle,
            tuple(core.desks),
            settings.networks.runtime,
            dispatch=self.dispatcher,
            failed=lambda: self.dispatcher.failure,
            clock_ns=utc_ns,
            may_serve=lambda candidate: why_not_admitted(settings, candidate),
            on_swap=lambda *swapped: None if shadow_ticks is None else shadow_ticks.rehearse_with(*swapped),
            make=self._journal.make_predictor,
        )
        signals = self._start_signals()
        sources = ProcessSources(
            self.dispatcher,
            self.adapter.counters,
            self._stages,
            self._loop_lag,
            self._watchdog,
            self._collection,
            self._started_ns,
            LatencyHistogram() if shadow_ticks is None else shadow_ticks.took,
            self._networks,
            signals,
            self._recording,
            self._journal.writer,
            self._ledger.writer,
        )
        await begin_challenge(self._networks, settings)
        self._first_report = self.dispatcher.report()
        self._control = ControlServer(settings.control, sources)
        await self._control.start()
        self._undo.push_async_callback(self._control.stop)
        self._watchdog.start()
        self._undo.callback(self._watchdog.stop)
        self._start_pulse(on_report)
        self._collection.start(self._started_ns)
        self._undo.callback(self._collection.stop)
        if settings.process.busy_poll:
            busy_poll = BusyPoll()
            busy_poll.start()
            self._undo.callback(busy_poll.stop)
        self._loop.set_exception_handler(self._on_loop_error)
        self._undo.callback(self._loop.set_exception_handler, None)
        if halt is not None and halt.halted:
            log.warning("starting halted: nothing is quoted until `mmd resume`", reason=halt.reason, actor=halt.actor)

    def _make_core(
        self,
        bundle: Bundle | None,
        predictors: Mapping[str, QuotePredictor],
        checkpoint: Mapping[str, Any] | None,
        halt: HaltRecord | None,
    ) -> Trader:
        try:
            return build_core(
                self._config,
                self.adapter.instruments,
                checkpoint=checkpoint,
                halt=halt,
                stages=self._stages,
                bundle=bundle,
                predictors=predictors,
            )
        except (KeyError, TypeError, ValueError) as error:
            if checkpoint is None:
                raise
            raise CheckpointError(
                f"checkpoint {self._checkpoint.path} does not fit this program ({type(error).__name__}: {error})"
            ) from error

    def _start_shadow_ticks(
        self, core: Trader, bundle: Bundle | None, predictors: Mapping[str, QuotePredictor]
    ) -> ShadowTicks | None:
        """Where they are wanted and possible."""
        wire, interval_ms = self.adapter.rehearsal(), self._settings.process.shadow_tick_ms
        if wire is None or not interval_ms:
            return None
        shadow_ticks = ShadowTicks(
            core.desks,
            wire,
            self._settings.quoting,
            bundle,
            predictors,
            interval_seconds=interval_ms / 1000,
            clock_ns=utc_ns,
            last_batch_ns=lambda: self.dispatcher.busy_until_ns,
        )
        shadow_ticks.start()
        self._undo.callback(shadow_ticks.stop)
        return shadow_ticks

    def _start_signals(self) -> SignalFeed:
        settings = self._settings.signals
        feed = SignalFeed(settings, dispatch=self.dispatcher, clock_ns=utc_ns)
        if settings.file is not None:
            watching = self._loop.create_task(feed.watch_file(), name="file of signals")
            watching.add_done_callback(self._on_task_end)
            self._undo.callback(watching.cancel)
        return feed

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a task died", task=task.get_name(), exc_info=error)
            self._halt(f"a task died: {type(error).__name__}: {error}", "core")

    def _start_pulse(self, on_report: ReportListener | None) -> None:
        guarded = self._settings.guard_required
        parts = PulseParts(
            self.dispatcher,
            self._halt_file,
            self._watchdog,
            self._collection,
            self._loop_lag,
            self._heartbeat,
            GuardPresence(self._settings.state_dir, self._settings.guard.timeout_seconds, time.monotonic_ns) if guarded else None,
        )
        interval = self._settings.process.timer_interval_ms / 1000
        hear = None if on_report is None else lambda report: on_report(report, self._stages)
        pulse = Pulse(parts, interval_seconds=interval, clock_ns=utc_ns, on_report=hear)
        pulse.start()
        self._undo.callback(pulse.stop)

    def _take_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGTERM: lambda: self.leave("SIGTERM"),
            signal.SIGINT: lambda: self.leave("SIGINT"),
            signal.SIGUSR1: lambda: self._halt("SIGUSR1", "signal"),
        }
        for number, handler in handlers.items():
            self._loop.add_signal_handler(number, handler)
            self._undo.callback(self._loop.remove_signal_handler, number)

    # ---- trading

    async def trade(self, seconds: float | None) -> Summary:
        """Connect and trade until it is time to leave; then leave."""
        self._take_signals()
        self._life = Life.LEFT
        await self.adapter.start(self.dispatcher)
        log.info("started", mode=self._settings.mode, symbols=self._settings.symbols, control=self.control_url, core=str(CORE))
        if seconds is not None:
            time_up = self._loop.call_later(seconds, self._time_is_up, seconds)
            self._undo.callback(time_up.cancel)
        over = (self.dispatcher.exited, self.dispatcher.failed, self._abandoned)
        await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        ending = await self._end()
        self._life = Life.LEFT_CLEAN if ending.exit_code == EXIT_CLEAN else Life.LEFT
        self._ended_as = ending.detail
        log.info("leaving", exit_code=ending.exit_code, detail=ending.detail)
        summary = summarise(self._last_report(), self._stages, ending, time.monotonic() - self._begun)
        return self._as_evidence(summary)

    def _as_evidence(self, summary: Summary) -> Summary:
        """A paper session is what a bundle's next stage asks for; one in which networks were swapped is evidence about none."""
        bundle = self._bundle
        if self._settings.mode != "paper" or bundle is None or self._networks.swaps:
            return summary
        return msgspec.structs.replace(summary, report="paper", bundle_content=content_digest(bundle.card))

    def leave(self, reason: str) -> None:
        """Cancel everything and go; asked twice, go at once."""
        if self._leaving:
            self._abandon(f"{reason}, asked for the second time")
            return
        self._leaving = True
        log.info("asked to leave", reason=reason)
        self.dispatcher(Shutdown(utc_ns(), reason))
        deadline = self._settings.process.shutdown_deadline_seconds
        overdue = self._loop.call_later(deadline, self._abandon, f"orders were not confirmed gone within {deadline:g} s")
        self._undo.callback(overdue.cancel)

    def leaving_at_recording_end(self, on_report: ReportListener | None) -> ReportListener:
        """A listener to reports that leaves once one says that the recording is over, and hands every report on."""

        def listen(report: TraderReport, stages: StageClock) -> None:
            if on_report is not None:
                on_report(report, stages)
            if not self._leaving and any(PauseReason.RECORDING_ENDED.value in pause for pause in report.pauses):
                self.leave("the recording has ended")

        return listen

    def _time_is_up(self, seconds: float) -> None:
        if not self._leaving:
            self.leave(f"{seconds:g} s are over")

    def _abandon(self, why: str) -> None:
        if not self._abandoned.done():
            self._abandoned.set_result(why)

    # ---- leaving

    async def _end(self) -> Ending:
        deadline_seconds = self._settings.process.shutdown_deadline_seconds
        open_orders = await sweep(
            self.adapter, self._settings.client_order_id_prefix, deadline_seconds, self.dispatcher.journal.append
        )
        if self.dispatcher.failed.done():
            return Ending(EXIT_FAILED, self.dispatcher.failed.result(), open_orders)
        detail = self.dispatcher.exited.result() if self.dispatcher.exited.done() else self._abandoned.result()
        if open_orders is None:
            return Ending(EXIT_ORDERS_LEFT, f"{detail}; the venue could not be asked what is still open", None)
        if open_orders:
            left = ", ".join(f"{order.side} {order.symbol} {order.client_order_id}" for order in open_orders)
            return Ending(EXIT_ORDERS_LEFT, f"{detail}; still open: {left}", open_orders)
        return Ending(EXIT_CLEAN if self.dispatcher.exited.done() else EXIT_ORDERS_LEFT, detail, open_orders)

    def _last_report(self) -> TraderReport:
        try:
            return self.dispatcher.report()
        except Exception as error:
            if not self.dispatcher.failure:
                raise
            log.error("the failed core cannot report; what follows is from its start", exc_info=error)
            return self._first_report

    async def close(self) -> None:
        """Undo what `prepare` and `trade` began, newest first."""
        await self._undo.aclose()
        await self._journal.close(self._ended_as)

    # ---- faults

    def _halt(self, reason: str, actor: str) -> None:
        self.dispatcher(HaltRequest(utc_ns(), reason, actor))

    def _on_adapter_failure(self, error: BaseException, where: str) -> None:
        log.critical("the adapter failed", where=where, exc_info=error)
        self._halt(f"adapter failure in {where}: {type(error).__name__}: {error}", "core")
        self._leave_unless_orders_go(f"adapter failure in {where}")

    def _leave_unless_orders_go(self, reason: str) -> None:
        """A part that died may be the one that cancels: a restart, halted, can do what this process cannot."""
        deadline = self._settings.process.shutdown_deadline_seconds

        def check() -> None:
            if not self.dispatcher.failure and self.dispatcher.report().open_orders:
                self._abandon(f"{reason}: orders were not confirmed gone within {deadline:g} s")

        self._undo.callback(self._loop.call_later(deadline, check).cancel)

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        log.critical("an error nobody handled", message=context.get("message"), exc_info=error)
        detail = f"{type(error).__name__}: {error}" if error is not None else context.get("message", "")
        self._halt(f"an error nobody handled: {detail}", "core")
