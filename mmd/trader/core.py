"""The trader: event in, commands out. Synchronous and pure; it reads no clock, draws no number, opens no file.

One call of `on_event` handles one event to the end. Market events only update books; the quote is made once per symbol at
`BatchEnd`, for the newest state, so that overload makes quotes rarer and never staler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mmd.execution.markout import MarkoutMeter
from mmd.execution.tracker import OrderTracker
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.market.book import OrderBook
from mmd.market.signals import ExternalSignal, ExternalSignals
from mmd.risk.limits import NS_PER_MS, nanoseconds
from mmd.trader.account_events import AccountEvents
from mmd.trader.accounts import ReconciliationRoutine
from mmd.trader.commands import Command, Outbox
from mmd.trader.control_events import ControlEvents
from mmd.trader.desk import SymbolDesk
from mmd.trader.flatten import Flattening
from mmd.trader.order_desk import OrderDesk
from mmd.trader.references import ReferenceBoard
from mmd.trader.reporting import build_report
from mmd.trader.safeguards import Safeguards
from mmd.trader.settings import TraderConfig
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.trader.watched import WatchedSymbol
from mmd.types.control import (
    Exit,
    FlattenRequest,
    GuardStatus,
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
QUOTE: Final = Stage.QUOTE
RISK: Final = Stage.RISK
WITHDRAWN_LONG_NS: Final = 2_000_000_000
"""Orders that were withdrawn so long ago and stand all the same: we are as good as cut off."""


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
        self.signals = ExternalSignals()
        board = self._board = ReferenceBoard(tuple(instruments), config.cross_asset_symbols)
        self.desks = {
            symbol: SymbolDesk(
                config, instrument, self.stages, bundle if symbol in made else None, made.get(symbol), self.signals, board
            )
            for symbol, instrument in instruments.items()
            if symbol not in config.reference_symbols
        }
        self.watched = {
            symbol: WatchedSymbol(instruments[symbol], config.risk, config.session_gap_seconds)
            for symbol in config.reference_symbols
        }
        self.bundle = bundle
        board.attach(self.desks, self.watched, bundle)
        self.tracker = OrderTracker(config.execution, prefix=config.client_order_id_prefix, session_epoch=config.session)
        self.markouts = MarkoutMeter()
        self.now_ns = 0
        self._timer_ns = 0
        self._exited = False
        self._max_data_age_ns = nanoseconds(config.risk.max_data_age_seconds)
        self._max_timer_silence_ns = nanoseconds(config.risk.max_timer_silence_seconds)
        self._max_feed_lag_ns = round(config.risk.max_feed_lag_ms * NS_PER_MS)
        self._outbox = Outbox()
        self.safeguards = Safeguards(config, self.desks, halt)
        self.orders = OrderDesk(config, self.tracker, self.safeguards, self._outbox)
        self.flattening = Flattening(self.desks.values(), self.orders, self.safeguards)
        self.accounts = ReconciliationRoutine(config.reconciliation, self.desks, self.tracker, config.trades_from)
        if checkpoint is not None:
            self.safeguards.restore(checkpoint)
            self.accounts.restore(checkpoint)
        self.account_events = AccountEvents(
            self, self.tracker, self.safeguards, self.orders, self.accounts, self.markouts, self._outbox
        )
        self.control_events = ControlEvents(self, self.safeguards, self.orders, self.accounts, self.flattening, self._outbox)
        self._handlers: dict[type, Callable[[Any], None]] = {
            TouchUpdate: self._on_touch,
            DepthUpdate: self._on_depth,
            MarketTrade: self._on_trade,
            BatchEnd: self._on_batch_end,
            DepthSnapshot: self._on_snapshot,
            FeedStatus: self._on_feed_status,
            FeedAnnouncement: self._on_announcement,
            Timer: self._on_timer,
            OrderAccepted: self.account_events.on_accepted,
            OrderRejected: self.account_events.on_rejected,
            CancelRejected: self.account_events.on_order_event,
            OutcomeUnknown: self.account_events.on_order_event,
            OrderUpdate: self.account_events.on_order_event,
            OrderNotFound: self.account_events.on_not_found,
            Fill: self.account_events.on_fill,
            FundingPaid: self.account_events.on_funding,
            DeadMansSwitchLapsed: self.account_events.on_switch_lapsed,
            ForcedTrade: self.account_events.on_forced_trade,
            OrderChannelStatus: self.account_events.on_channel,
            ReconciliationReport: self.account_events.on_reconciliation,
            ReconciliationFailed: self.account_events.on_reconciliation_failed,
            BalanceReport: self._ignore,
            ExternalBalanceChange: self.account_events.on_external_change,
            OrderBudgetReport: self.account_events.on_budget,
            RateLimited: self.account_events.on_rate_limited,
            ClockSync: self.account_events.on_clock,
            InstrumentsLoaded: self._ignore,
            MarkPrice: self._on_mark_price,
            GuardStatus: self.control_events.on_guard,
            HaltRequest: self.control_events.on_halt,
            FlattenRequest: self.control_events.on_flatten,
            ResumeRequest: self.control_events.on_resume,
            Shutdown: self.control_events.on_shutdown,
            SwapNetworks: self.control_events.on_swap,
            ChallengeNetworks: self.control_events.on_challenge,
            ExternalSignal: self.control_events.on_signal,
        }

    def on_event(self, event: Event) -> Sequence[Command]:
        """Handle one event; the commands are to be carried out in order. Raises `KeyError` for a type it does not know."""
        self._handlers[type(event)](event)
        if self.orders.checkpoint_due:
            self.orders.checkpoint_due = False
            self._outbox.put_checkpoint(self._checkpoint())
        return self._outbox.take()

    @property
    def cut_off(self) -> bool:
        """Whether orders of ours may stand at a venue that we cannot reach: no channel, or withdrawn for long and not gone yet."""
        if not self.tracker.open_count:
            return False
        return not self.orders.channel_up or any(
            desk.blocked_since_ns and self.now_ns - desk.blocked_since_ns > WITHDRAWN_LONG_NS and self.orders.standing(desk)
            for desk in self.desks.values()
        )

    @property
    def open_orders(self) -> int:
        """How many orders of ours can still trade, those of unknown outcome among them."""
        return self.tracker.open_count

    def serve(self, bundle: Bundle) -> None:
        """The networks of this bundle are the ones in service."""
        self.bundle = bundle
        self._board.serve(bundle)

    def watch(self, bundle: Bundle | None) -> None:
        """Those of this one are watched in shadow; None: of none."""
        self._board.challenge(bundle)

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
                self.refresh(desk, now)

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
            self.refresh(desk, event.receive_ns)

    def _on_announcement(self, event: FeedAnnouncement) -> None:
        self.now_ns = event.receive_ns
        self.safeguards.pause_all(PauseReason.RECORDING_ENDED, event.ended, event.receive_ns)
        for desk in self.desks.values():
            desk.feed_lag.on_announcement(event.receive_ns, event.epoch_ns, event.speed)
            desk.dirty = True
        for watched in self.watched.values():
            watched.feed_lag.on_announcement(event.receive_ns, event.epoch_ns, event.speed)

    def _ignore(self, event: Event) -> None:
        """Nothing in the core depends on it."""

    # ---- time

    def _on_timer(self, event: Timer) -> None:
        self.now_ns = self._timer_ns = now = event.receive_ns
        for desk in self.desks.values():
            self._check_feed(desk, now)
        for watched in self.watched.values():
            self._ask_for_snapshot(watched.book, now)
        self.orders.presence.on_timer(now)
        self.mark_and_check()
        for reason in self.safeguards.breaches(now):
            self.halt(reason, "core")
        self.flattening.on_timer(now)
        if self.orders.channel_up:
            for command in self.tracker.due(now):
                self.orders.send(command)
            request = self.accounts.due(now, fills_missing=bool(self.tracker.missing_fills(now)))
            if request is not None:
                self._outbox.put(request)
        for desk in self.desks.values():
            blocked = self._blocked(desk, now)
            desk.blocked_since_ns = (desk.blocked_since_ns or now) if blocked and not self.flattening.active else 0
            if blocked or desk.dirty or desk.quote is None:
                self.refresh(desk, now)
            desk.on_timer(now)
        if self.safeguards.persist_due:
            self.persist()
        self.leave_when_clear()

    def _check_feed(self, desk: SymbolDesk, now: int) -> None:
        symbol, book = desk.instrument.symbol, desk.book
        stale = book.valid and now - book.receive_ns > self._max_data_age_ns
        self.safeguards.pause(PauseReason.DATA_STALE, symbol, stale, now)
        self.safeguards.pause(PauseReason.FEED_LAG, symbol, (desk.feed_lag.lag_ns or 0) > self._max_feed_lag_ns, now)
        if book.valid:
            self.markouts.on_mid(now, symbol, book.bid_ticks + book.ask_ticks)
        else:
            self.markouts.on_invalid(now, symbol)

    # ---- coming to a stop

    def halt(self, reason: str, actor: str) -> None:
        """Latch, take back what was not handed out yet, cancel everything of ours. A second halt keeps the first one's record."""
        record = self.safeguards.halt(reason, actor, self.now_ns)
        if record is not None:
            for unsent in self._outbox.put_halt(PersistHalt(record)):
                self.orders.unsend(unsent)
        for desk in self.desks.values():
            self.orders.withdraw(desk, self.now_ns)

    def leave_when_clear(self) -> None:
        """Exit once nothing of ours is open, if we were asked to leave: nothing that an earlier session left, either."""
        if self.orders.leaving and not self._exited and self.accounts.compared and not self.tracker.open_count:
            self._exited = True
            self.persist()
            self._outbox.put(Exit(self.now_ns, "no order of ours is open"))

    # ---- quoting

    def refresh(self, desk: SymbolDesk, now: int) -> None:
        """Bring the symbol's orders in line with what should stand now."""
        if now - self._timer_ns > self._max_timer_silence_ns and self._timer_ns:
            # We stood still for as long: whoever halted us meanwhile is heard first, at the next timer.
            desk.dirty = True
            return
        desk.dirty = False
        book = desk.book
        symbol = desk.instrument.symbol
        if book.valid is not desk.book_was_valid:
            desk.book_was_valid = book.valid
            self.safeguards.pause(PauseReason.BOOK_INVALID, symbol, not book.valid, now)
        if not book.valid:
            self._ask_for_snapshot(book, now)
        if self._blocked(desk, now):
            if self.flattening.active and not self.orders.leaving:
                self.flattening.work(desk, now)
            else:
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

    def mark_and_check(self) -> None:
        """Mark the book of positions, and halt where that breaks a limit."""
        reason = self.safeguards.mark(self.now_ns)
        if reason is not None:
            self.halt(reason, "core")

    def persist(self) -> None:
        """Write a checkpoint once this event is dealt with, before any order that it decides on leaves."""
        self.orders.checkpoint_due = True

    def _checkpoint(self) -> PersistLedger:
        return PersistLedger(msgspec.json.encode({**self.safeguards.state(), **self.accounts.state()}))
