"""The trader: event in, commands out. Synchronous and pure; it reads no clock, draws no number, opens no file.

One call of `on_event` handles one event to the end. Market events only update books; the quote is made once per symbol at
`BatchEnd`, for the newest state, so that overload makes quotes rarer and never staler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mmd.execution.markout import MarkoutMeter
from mmd.execution.order_state import OrderState
from mmd.execution.tracker import OrderTracker
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.market.book import OrderBook
from mmd.market.signals import ExternalSignal, ExternalSignals
from mmd.risk.limits import NS_PER_MS, nanoseconds
from mmd.trader.accounts import ReconciliationRoutine
from mmd.trader.commands import Command, Outbox
from mmd.trader.desk import SymbolDesk
from mmd.trader.order_desk import OrderDesk
from mmd.trader.reporting import build_report
from mmd.trader.safeguards import Safeguards
from mmd.trader.settings import TraderConfig
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.trader.watched import WatchedSymbol
from mmd.types.control import (
    Exit,
    HaltRecord,
    HaltRequest,
    PauseReason,
    PersistHalt,
    PersistLedger,
    ResumeRequest,
    Shutdown,
    Timer,
)
from mmd.types.instrument import Instrument
from mmd.types.market import (
    BatchEnd,
    DepthSnapshot,
    DepthUpdate,
    FeedAnnouncement,
    FeedState,
    FeedStatus,
    MarketTrade,
    MarkPrice,
    TouchUpdate,
)
from mmd.types.orders import (
    BalanceReport,
    CancelRejected,
    ClockSync,
    DeadMansSwitchLapsed,
    ExternalBalanceChange,
    Fill,
    ForcedTrade,
    FundingPaid,
    InstrumentsLoaded,
    OrderAccepted,
    OrderBudgetReport,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderUpdate,
    OutcomeUnknown,
    RateLimited,
    ReconciliationFailed,
    ReconciliationReport,
    RequestDepthSnapshot,
)
from mmd.types.report import TraderReport
from mmd.types.stages import NoTimer, Stage, StageTimer

Event = msgspec.Struct
QUOTE, RISK = Stage.QUOTE, Stage.RISK

WOULD_MATCH_CODE = -2010
RACED_CODES = (-2011, -2022)
"""A replacement that was not attempted, since its predecessor was filled meanwhile: the market's doing, no error of ours."""


class Trader:
    """The core of every shell: live, paper, mock, backtest, simulation and replay.

    `checkpoint` and `halt` are what an earlier session left on disk; a latched halt stays latched. `predictors` holds one for each
    symbol, made of `bundle` by the shell, which may load files. Raises `ValueError` where the strategy lacks what it needs.
    """

    def __init__(
        self,
        config: TraderConfig,
        instruments: Mapping[str, Instrument],
        *,
        checkpoint: Mapping[str, Any] | None = None,
        halt: HaltRecord | None = None,
        stages: StageTimer | None = None,
        bundle: Bundle | None = None,
        predictors: Mapping[str, QuotePredictor] | None = None,
    ) -> None:
        if config.quoting.strategy == "neural" and bundle is None:
            raise ValueError("strategy is 'neural', but no bundle was given")
        self.config = config
        self.stages: StageTimer = stages if stages is not None else NoTimer()
        made = predictors or {}
        self.desks = {
            symbol: SymbolDesk(config, instrument, self.stages, bundle if symbol in made else None, made.get(symbol))
            for symbol, instrument in instruments.items()
            if symbol not in config.reference_symbols
        }
        self.watched = {
            symbol: WatchedSymbol(instruments[symbol], config.risk, config.session_gap_seconds)
            for symbol in config.reference_symbols
        }
        self.bundle = bundle
        self.tracker = OrderTracker(config.execution, prefix=config.client_order_id_prefix, session_epoch=config.session)
        self.markouts = MarkoutMeter()
        self.signals = ExternalSignals()
        self.rejections: dict[str, int] = {}
        self.now_ns = 0
        self._exited = False
        self._max_data_age_ns = nanoseconds(config.risk.max_data_age_seconds)
        self._max_feed_lag_ns = round(config.risk.max_feed_lag_ms * NS_PER_MS)
        self._outbox = Outbox()
        self.safeguards = Safeguards(config, self.desks, halt)
        self.orders = OrderDesk(config, self.tracker, self.safeguards, self._outbox)
        self.accounts = ReconciliationRoutine(config.reconciliation, self.desks, self.tracker)
        if checkpoint is not None:
            self.safeguards.restore(checkpoint)
            self.accounts.restore(checkpoint)
        self._handlers: dict[type, Callable[[Any], None]] = {
            TouchUpdate: self._on_touch,
            DepthUpdate: self._on_depth,
            MarketTrade: self._on_trade,
            BatchEnd: self._on_batch_end,
            DepthSnapshot: self._on_snapshot,
            FeedStatus: self._on_feed_status,
            FeedAnnouncement: self._on_announcement,
            Timer: self._on_timer,
            OrderAccepted: self._on_accepted,
            OrderRejected: self._on_rejected,
            CancelRejected: self._on_order_event,
            OutcomeUnknown: self._on_order_event,
            OrderUpdate: self._on_order_event,
            OrderNotFound: self._on_not_found,
            Fill: self._on_fill,
            FundingPaid: self._on_funding,
            DeadMansSwitchLapsed: self._on_switch_lapsed,
            ForcedTrade: self._on_forced_trade,
            OrderChannelStatus: self._on_channel,
            ReconciliationReport: self._on_reconciliation,
            ReconciliationFailed: self._on_reconciliation_failed,
            BalanceReport: self._ignore,
            ExternalBalanceChange: self._on_external_change,
            OrderBudgetReport: self._on_budget,
            RateLimited: self._on_rate_limited,
            ClockSync: self._on_clock,
            InstrumentsLoaded: self._ignore,
            MarkPrice: self._on_mark_price,
            HaltRequest: self._on_halt,
            ResumeRequest: self._on_resume,
            Shutdown: self._on_shutdown,
            SwapNetworks: self._on_swap,
            ChallengeNetworks: self._on_challenge,
            ExternalSignal: self._on_signal,
        }

    def on_event(self, event: Event) -> Sequence[Command]:
        """Handle one event; the commands are to be carried out in order. Raises `KeyError` for a type it does not know."""
        self._handlers[type(event)](event)
        if self.orders.checkpoint_due:
            self.orders.checkpoint_due = False
            self._outbox.put_first(self._checkpoint())
        return self._outbox.take()

    def report(self, now_ns: int) -> TraderReport:
        """What /state, /metrics and the terminal show."""
        return build_report(self, now_ns)

    # ---- market data

    def _on_touch(self, event: TouchUpdate) -> None:
        desk = self.desks.get(event.symbol)
        if desk is not None:
            self.now_ns = event.receive_ns
            desk.on_touch_update(event)
        elif event.symbol in self.watched:
            self._on_watched(event)

    def _on_depth(self, event: DepthUpdate) -> None:
        desk = self.desks.get(event.symbol)
        if desk is not None:
            self.now_ns = event.receive_ns
            desk.on_depth_update(event)
        elif event.symbol in self.watched:
            self._on_watched(event)

    def _on_trade(self, event: MarketTrade) -> None:
        desk = self.desks.get(event.symbol)
        if desk is not None:
            self.now_ns = event.receive_ns
            desk.on_trade(event)
        elif event.symbol in self.watched:
            self._on_watched(event)

    def _on_snapshot(self, event: DepthSnapshot) -> None:
        desk = self.desks.get(event.symbol)
        if desk is not None:
            self.now_ns = event.receive_ns
            desk.on_depth_snapshot(event)
        elif event.symbol in self.watched:
            self._on_watched(event)

    def _on_mark_price(self, event: MarkPrice) -> None:
        desk = self.desks.get(event.symbol)
        if desk is not None:
            desk.mark_price = event

    def _on_watched(self, event: TouchUpdate | DepthUpdate | DepthSnapshot | MarketTrade) -> None:
        self.now_ns = event.receive_ns
        watched = self.watched[event.symbol]
        watched.on_event(event)
        if watched.book.needs_snapshot:
            self._ask_for_snapshot(watched.book, event.receive_ns)

    def _on_batch_end(self, event: BatchEnd) -> None:
        self.now_ns = now = event.receive_ns
        for desk in self.desks.values():
            if desk.dirty:
                self._refresh(desk, now)

    def _on_feed_status(self, event: FeedStatus) -> None:
        self.now_ns = event.receive_ns
        down = event.state is FeedState.DISCONNECTED
        for symbol in event.symbols:
            if symbol in self.watched:
                self.watched[symbol].invalidate(f"feed {event.state.value} {event.detail}".strip())
            desk = self.desks.get(symbol)
            if desk is None:
                continue
            self.safeguards.pause(PauseReason.FEED_DISCONNECTED, symbol, down, event.receive_ns)
            desk.invalidate(f"feed {event.state.value} {event.detail}".strip())
            self._refresh(desk, event.receive_ns)

    def _on_announcement(self, event: FeedAnnouncement) -> None:
        self.now_ns = event.receive_ns
        self.safeguards.pause_all(PauseReason.RECORDING_ENDED, event.ended, event.receive_ns)
        for desk in self.desks.values():
            desk.feed_lag.on_announcement(event.receive_ns, event.epoch_ns, event.speed)
            desk.dirty = True
        for watched in self.watched.values():
            watched.feed_lag.on_announcement(event.receive_ns, event.epoch_ns, event.speed)

    # ---- orders

    def _on_order_event(self, event: Any) -> None:
        self.now_ns = event.receive_ns
        self.tracker.on_event(event)
        desk = self.desks.get(event.symbol)
        if desk is not None:
            desk.dirty = True
        self._leave_when_clear()

    def _on_accepted(self, event: OrderAccepted) -> None:
        self.safeguards.errors.succeeded()
        self._on_order_event(event)

    def _on_rejected(self, event: OrderRejected) -> None:
        key = str(event.code)
        self.rejections[key] = self.rejections.get(key, 0) + 1
        raced = (
            event.would_take
            or event.code in RACED_CODES
            or (event.code == WOULD_MATCH_CODE and "immediately match" in event.message)
        )
        if not raced:
            self.safeguards.errors.failed(f"order refused: {event.code} {event.message}")
        self._on_order_event(event)

    def _on_not_found(self, event: OrderNotFound) -> None:
        order = self.tracker.find(event.client_order_id)
        self._on_order_event(event)
        if order is not None and order.acknowledged and order.state is OrderState.NEVER_EXISTED:
            self._halt(f"{event.symbol}: the venue has forgotten order {event.client_order_id}, which it had acknowledged", "core")

    def _on_fill(self, event: Fill) -> None:
        self.now_ns = event.receive_ns
        self._book(event)
        self.tracker.on_event(event)
        self._leave_when_clear()

    def _book(self, fill: Fill) -> None:
        desk = self.desks.get(fill.symbol)
        if desk is None or not self.tracker.is_ours(fill.client_order_id):
            return
        if not desk.ledger.book(fill):
            return
        desk.fills += 1
        desk.dirty = True
        if desk.book.valid:
            self.markouts.on_fill(fill, desk.book.bid_ticks + desk.book.ask_ticks)
        self._mark_and_check()
        self._persist()

    def _on_funding(self, event: FundingPaid) -> None:
        self.now_ns = event.receive_ns
        if self._book_funding(event):
            self._mark_and_check()
            self._persist()

    def _book_funding(self, payment: FundingPaid) -> bool:
        desk = self.desks.get(payment.symbol)
        # Before the first comparison it is not known which payments are ours to book; that one brings the rest.
        if desk is None or payment.symbol not in self.accounts.neutral_base_atoms:
            return False
        return desk.ledger.book_funding(payment)

    def _on_switch_lapsed(self, event: DeadMansSwitchLapsed) -> None:
        self.now_ns = event.receive_ns
        self._halt(f"{event.symbol}: the venue's dead-man's switch has lapsed: {event.detail}", "core")

    def _on_forced_trade(self, event: ForcedTrade) -> None:
        self.now_ns = event.receive_ns
        self._halt(f"{event.symbol}: the venue trades on our position: {event.detail}", "core")

    def _on_channel(self, event: OrderChannelStatus) -> None:
        self.now_ns = event.receive_ns
        self.orders.channel_up = event.connected
        self.tracker.on_event(event)
        self.safeguards.pause_all(PauseReason.ORDER_CHANNEL_DOWN, not event.connected, event.receive_ns)
        if event.connected:
            self.safeguards.pause_all(PauseReason.RECONCILING, True, event.receive_ns)
            self._outbox.put(self.accounts.request("order channel connected", event.receive_ns))
        for desk in self.desks.values():
            self._refresh(desk, event.receive_ns)

    def _on_reconciliation(self, event: ReconciliationReport) -> None:
        self.now_ns = now = event.receive_ns
        outcome = self.accounts.on_report(event)
        self.safeguards.on_margin(event)
        self.tracker.on_event(event)
        # Every payment is booked before the loss is judged.
        funded = [payment for payment in event.funding if self._book_funding(payment)]
        for fill in outcome.fills:
            self._book(fill)
            self.tracker.on_event(fill)
        verdict = self.accounts.judge(event, outcome)
        if verdict.halt_reason:
            self._halt(verdict.halt_reason, "core")
        self.safeguards.pause_all(PauseReason.RECONCILING, not verdict.clean, now)
        if verdict.clean:
            self.safeguards.pause_all(PauseReason.STARTING, False, now)
            self.safeguards.pause_all(PauseReason.EXTERNAL_BALANCE_CHANGE, False, now)
        if funded:
            self._mark_and_check()
        if verdict.changed or funded:
            self._persist()
        for desk in self.desks.values():
            self._refresh(desk, now)
        self._leave_when_clear()

    def _on_reconciliation_failed(self, event: ReconciliationFailed) -> None:
        self.now_ns = event.receive_ns
        if self.accounts.on_failure(event):
            self._halt(f"the venue's view of the account could not be had {self.accounts.failures} times: {event.detail}", "core")

    def _on_external_change(self, event: ExternalBalanceChange) -> None:
        self.now_ns = event.receive_ns
        self.safeguards.pause_all(PauseReason.EXTERNAL_BALANCE_CHANGE, True, event.receive_ns)
        self._outbox.put(self.accounts.request(f"{event.asset} balance changed without a trade", event.receive_ns))
        for desk in self.desks.values():
            self._refresh(desk, event.receive_ns)

    def _on_budget(self, event: OrderBudgetReport) -> None:
        self.safeguards.order_rate.on_venue_report(event)

    def _on_rate_limited(self, event: RateLimited) -> None:
        self.now_ns = event.receive_ns
        self.safeguards.rate_limited_until(event.until_ns, event.receive_ns)
        for desk in self.desks.values():
            self._refresh(desk, event.receive_ns)

    def _on_clock(self, event: ClockSync) -> None:
        self.tracker.on_event(event)

    def _ignore(self, event: Event) -> None:
        """Nothing in the core depends on it."""

    # ---- time and control

    def _on_timer(self, event: Timer) -> None:
        self.now_ns = now = event.receive_ns
        for desk in self.desks.values():
            self._check_feed(desk, now)
        for watched in self.watched.values():
            self._ask_for_snapshot(watched.book, now)
        self._mark_and_check()
        for reason in self.safeguards.breaches(now):
            self._halt(reason, "core")
        if self.orders.channel_up:
            for command in self.tracker.due(now):
                self.orders.send(command)
            request = self.accounts.due(now, fills_missing=bool(self.tracker.missing_fills(now)))
            if request is not None:
                self._outbox.put(request)
        for desk in self.desks.values():
            if desk.dirty or desk.quote is None or self._blocked(desk, now):
                self._refresh(desk, now)
            desk.run_challenger(now)
            desk.perception.measure_drift()
        if self.safeguards.persist_due:
            self._persist()
        self._leave_when_clear()

    def _check_feed(self, desk: SymbolDesk, now: int) -> None:
        symbol, book = desk.instrument.symbol, desk.book
        stale = book.valid and now - book.receive_ns > self._max_data_age_ns
        self.safeguards.pause(PauseReason.DATA_STALE, symbol, stale, now)
        self.safeguards.pause(PauseReason.FEED_LAG, symbol, (desk.feed_lag.lag_ns or 0) > self._max_feed_lag_ns, now)
        if book.valid:
            self.markouts.on_mid(now, symbol, book.bid_ticks + book.ask_ticks)
        else:
            self.markouts.on_invalid(now, symbol)

    def _on_halt(self, event: HaltRequest) -> None:
        self.now_ns = event.receive_ns
        self._halt(event.reason, event.actor)

    def _halt(self, reason: str, actor: str) -> None:
        record = self.safeguards.halt(reason, actor, self.now_ns)
        if record is not None:
            for unsent in self._outbox.put_halt(PersistHalt(record)):
                self.orders.unsend(unsent)
        for desk in self.desks.values():
            self.orders.withdraw(desk, self.now_ns)

    def _on_resume(self, event: ResumeRequest) -> None:
        self.now_ns = event.receive_ns
        if not self.safeguards.latch.halted or not event.reason.strip():
            return
        self._outbox.put(PersistHalt(self.safeguards.latch.resume(event.reason, event.actor, event.receive_ns)))
        self.safeguards.errors.succeeded()
        self.safeguards.pauses.forgive(event.receive_ns)
        if self.orders.channel_up:
            self.safeguards.pause_all(PauseReason.RECONCILING, True, event.receive_ns)
            self._outbox.put(self.accounts.request("resume", event.receive_ns))

    def _on_shutdown(self, event: Shutdown) -> None:
        self.now_ns = event.receive_ns
        self.orders.leaving = True
        for desk in self.desks.values():
            self.orders.withdraw(desk, event.receive_ns)
        self._leave_when_clear()

    def _on_challenge(self, event: ChallengeNetworks) -> None:
        for symbol, desk in self.desks.items():
            desk.challenge(event.bundle, event.predictors.get(symbol))

    def _on_signal(self, event: ExternalSignal) -> None:
        self.signals.on_signal(event)

    def _on_swap(self, event: SwapNetworks) -> None:
        self.now_ns = event.receive_ns
        self.bundle = event.bundle
        for symbol, desk in self.desks.items():
            desk.use(event.bundle, event.predictors[symbol])

    def _leave_when_clear(self) -> None:
        if self.orders.leaving and not self._exited and not self.tracker.all_open():
            self._exited = True
            self._persist()
            self._outbox.put(Exit(self.now_ns, "no order of ours is open"))

    # ---- quoting

    def _refresh(self, desk: SymbolDesk, now: int) -> None:
        """Bring the symbol's orders in line with what should stand now."""
        desk.dirty = False
        book = desk.book
        symbol = desk.instrument.symbol
        if book.valid is not desk.book_was_valid:
            desk.book_was_valid = book.valid
            self.safeguards.pause(PauseReason.BOOK_INVALID, symbol, not book.valid, now)
        if not book.valid:
            self._ask_for_snapshot(book, now)
        if self._blocked(desk, now):
            self.orders.withdraw(desk, now)
            return
        self.markouts.on_mid(now, symbol, book.bid_ticks + book.ask_ticks)
        quote = desk.make_quote(now, self.safeguards.position_limit_lots(desk), self.safeguards.budget_left)
        self.stages.lap(QUOTE)
        if quote is None:
            self.orders.withdraw(desk, now)
        else:
            self.orders.apply(desk, quote, now)
        self.stages.lap(RISK)

    def _ask_for_snapshot(self, book: OrderBook, now: int) -> None:
        if book.snapshot_due(now):
            book.snapshot_requested(now)
            self._outbox.put(RequestDepthSnapshot(now, book.symbol))

    def _blocked(self, desk: SymbolDesk, now: int) -> bool:
        return self.orders.leaving or self.safeguards.latch.halted or self.safeguards.paused(desk.instrument.symbol, now)

    # ---- money

    def _mark_and_check(self) -> None:
        reason = self.safeguards.mark(self.now_ns)
        if reason is not None:
            self._halt(reason, "core")

    def _persist(self) -> None:
        self._outbox.put(self._checkpoint())

    def _checkpoint(self) -> PersistLedger:
        return PersistLedger(msgspec.json.encode({**self.safeguards.state(), **self.accounts.state()}))
