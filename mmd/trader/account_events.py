"""What the venue says about our orders and our account: the tracker hears of it, the ledger books it, and what must halt halts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmd.execution.markout import MarkoutMeter
from mmd.execution.order_state import OrderState
from mmd.execution.tracker import OrderTracker
from mmd.trader.accounts import ReconciliationRoutine
from mmd.trader.commands import Outbox
from mmd.trader.order_desk import OrderDesk
from mmd.trader.safeguards import Safeguards
from mmd.types.control import PauseReason
from mmd.types.orders import (
    ClockSync,
    DeadMansSwitchLapsed,
    ExternalBalanceChange,
    Fill,
    ForcedTrade,
    FundingPaid,
    OrderAccepted,
    OrderBudgetReport,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    RateLimited,
    ReconciliationFailed,
    ReconciliationReport,
)

if TYPE_CHECKING:
    from mmd.trader.core import Trader

WOULD_MATCH_CODE = -2010
RACED_CODES = (-2011, -2022)
"""A replacement that was not attempted, since its predecessor was filled meanwhile: the market's doing, no error of ours."""


class AccountEvents:
    """The order and account side of one trader; `trader` is asked for what concerns the whole of it (halt, quotes, checkpoint)."""

    def __init__(
        self,
        trader: Trader,
        tracker: OrderTracker,
        safeguards: Safeguards,
        orders: OrderDesk,
        accounts: ReconciliationRoutine,
        markouts: MarkoutMeter,
        outbox: Outbox,
    ) -> None:
        self._trader = trader
        self._desks = trader.desks
        self._tracker = tracker
        self._safeguards = safeguards
        self._orders = orders
        self._accounts = accounts
        self._markouts = markouts
        self._outbox = outbox
        self.rejections: dict[str, int] = {}
        """Orders refused by the venue, by its error code."""
        self.accepted = 0
        """Orders that the venue acknowledged."""

    def on_order_event(self, event: Any) -> None:
        """The tracker is told; the symbol is looked at again."""
        self._trader.now_ns = event.receive_ns
        self._tracker.on_event(event)
        desk = self._desks.get(event.symbol)
        if desk is not None:
            desk.dirty = True
        self._trader.leave_when_clear()

    def on_accepted(self, event: OrderAccepted) -> None:
        """An order rests."""
        self._safeguards.errors.succeeded()
        self.accepted += 1
        self.on_order_event(event)

    def on_rejected(self, event: OrderRejected) -> None:
        """An order was refused: counted by code, and an error in the row unless the market merely moved."""
        key = str(event.code)
        self.rejections[key] = self.rejections.get(key, 0) + 1
        raced = (
            event.would_take
            or event.code in RACED_CODES
            or (event.code == WOULD_MATCH_CODE and "immediately match" in event.message)
        )
        if not raced:
            self._safeguards.errors.failed(f"order refused: {event.code} {event.message}")
        self.on_order_event(event)

    def on_not_found(self, event: OrderNotFound) -> None:
        """The venue knows no such order: the end of one that never was, a halt for one it had acknowledged."""
        order = self._tracker.find(event.client_order_id)
        self.on_order_event(event)
        if order is not None and order.acknowledged and order.state is OrderState.NEVER_EXISTED:
            self._trader.halt(
                f"{event.symbol}: the venue has forgotten order {event.client_order_id}, which it had acknowledged", "core"
            )

    def on_fill(self, event: Fill) -> None:
        """A trade of ours, as the user data stream brings it."""
        self._trader.now_ns = event.receive_ns
        self._book(event)
        self._tracker.on_event(event)
        self._trader.leave_when_clear()

    def _book(self, fill: Fill) -> None:
        desk = self._desks.get(fill.symbol)
        if desk is None or not self._tracker.is_ours(fill.client_order_id):
            return
        if not desk.ledger.book(fill):
            return
        desk.fills += 1
        desk.recent_fills.append(fill)
        desk.dirty = True
        if desk.book.valid:
            self._markouts.on_fill(fill, desk.book.bid_ticks + desk.book.ask_ticks)
        self._trader.mark_and_check()
        self._trader.persist()

    def on_funding(self, event: FundingPaid) -> None:
        """Funding of a perpetual position."""
        self._trader.now_ns = event.receive_ns
        if self._book_funding(event):
            self._trader.mark_and_check()
            self._trader.persist()

    def _book_funding(self, payment: FundingPaid) -> bool:
        desk = self._desks.get(payment.symbol)
        # Before the first comparison it is not known which payments are ours to book; that one brings the rest.
        if desk is None or payment.symbol not in self._accounts.neutral_base_atoms:
            return False
        return desk.ledger.book_funding(payment)

    def on_switch_lapsed(self, event: DeadMansSwitchLapsed) -> None:
        """The venue cancelled everything, since it did not hear of us: a halt."""
        self._trader.now_ns = event.receive_ns
        self._trader.halt(f"{event.symbol}: the venue's dead-man's switch has lapsed: {event.detail}", "core")

    def on_forced_trade(self, event: ForcedTrade) -> None:
        """The venue trades on our position: a halt."""
        self._trader.now_ns = event.receive_ns
        self._trader.halt(f"{event.symbol}: the venue trades on our position: {event.detail}", "core")

    def on_channel(self, event: OrderChannelStatus) -> None:
        """Orders can be sent, or cannot; whoever comes back first compares ledgers."""
        self._trader.now_ns = event.receive_ns
        self._orders.channel_up = event.connected
        self._tracker.on_event(event)
        self._safeguards.pause_all(PauseReason.ORDER_CHANNEL_DOWN, not event.connected, event.receive_ns)
        if event.connected:
            self._safeguards.pause_all(PauseReason.RECONCILING, True, event.receive_ns)
            self._outbox.put(self._accounts.request("order channel connected", event.receive_ns))
        for desk in self._desks.values():
            self._trader.refresh(desk, event.receive_ns)

    def on_reconciliation(self, event: ReconciliationReport) -> None:
        """The venue's view of the account beside ours."""
        self._trader.now_ns = now = event.receive_ns
        outcome = self._accounts.on_report(event)
        self._safeguards.on_margin(event)
        self._tracker.on_event(event)
        # Every payment is booked before the loss is judged.
        funded = [payment for payment in event.funding if self._book_funding(payment)]
        for fill in outcome.fills:
            self._book(fill)
            self._tracker.on_event(fill)
        verdict = self._accounts.judge(event, outcome)
        if verdict.halt_reason:
            self._trader.halt(verdict.halt_reason, "core")
        self._safeguards.pause_all(PauseReason.RECONCILING, not verdict.clean, now)
        if verdict.clean:
            self._safeguards.pause_all(PauseReason.STARTING, False, now)
            self._safeguards.pause_all(PauseReason.EXTERNAL_BALANCE_CHANGE, False, now)
        if funded:
            self._trader.mark_and_check()
        if verdict.changed or funded:
            self._trader.persist()
        for desk in self._desks.values():
            self._trader.refresh(desk, now)
        self._trader.leave_when_clear()

    def on_reconciliation_failed(self, event: ReconciliationFailed) -> None:
        """It could not be had."""
        self._trader.now_ns = event.receive_ns
        if self._accounts.on_failure(event):
            self._trader.halt(
                f"the venue's view of the account could not be had {self._accounts.failures} times: {event.detail}", "core"
            )

    def on_external_change(self, event: ExternalBalanceChange) -> None:
        """A balance moved without a trade: a pause, and a comparison."""
        self._trader.now_ns = event.receive_ns
        self._safeguards.pause_all(PauseReason.EXTERNAL_BALANCE_CHANGE, True, event.receive_ns)
        self._outbox.put(self._accounts.request(f"{event.asset} balance changed without a trade", event.receive_ns))
        for desk in self._desks.values():
            self._trader.refresh(desk, event.receive_ns)

    def on_budget(self, event: OrderBudgetReport) -> None:
        """How many orders the venue has counted."""
        self._safeguards.order_rate.on_venue_report(event)

    def on_rate_limited(self, event: RateLimited) -> None:
        """The venue bids us wait."""
        self._trader.now_ns = event.receive_ns
        self._safeguards.rate_limited_until(event.until_ns, event.receive_ns)
        for desk in self._desks.values():
            self._trader.refresh(desk, event.receive_ns)

    def on_clock(self, event: ClockSync) -> None:
        """The venue's clock beside ours."""
        self._tracker.on_event(event)
