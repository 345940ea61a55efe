"""The running core, broken on purpose: each safety rule and each invariant in turn, to see that the simulation notices.

A mutation replaces a function or an object of the program for the time of a run. Nothing in the program knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from mmd.daemon import durable
from mmd.daemon.checkpoint import CheckpointFile
from mmd.daemon.halt_file import HaltFile
from mmd.daemon.logs import Redactor
from mmd.execution import order_state, reconciliation
from mmd.execution.client_order_ids import ClientOrderIds
from mmd.execution.ledger import PositionLedger
from mmd.execution.order_index import OrderIndex
from mmd.execution.order_state import OrderState, OrderTrigger
from mmd.execution.reconciliation import ReconciliationJudge
from mmd.execution.tracked_order import TrackedOrder
from mmd.execution.tracker import OrderTracker
from mmd.market import book as book_module
from mmd.market.book import OrderBook
from mmd.risk.checks import PreTradeChecks
from mmd.risk.latch import HaltLatch
from mmd.risk.loss import LossBudget
from mmd.risk.order_rate import OrderRateBudget
from mmd.risk.pauses import PauseBoard
from mmd.simulation.broken_checks import without
from mmd.simulation.guard import SimulatedGuard
from mmd.trader import accounts as accounts_module
from mmd.trader.accounts import ReconciliationRoutine
from mmd.trader.core import Trader
from mmd.trader.order_desk import OrderDesk
from mmd.types.control import HaltRecord, PauseReason
from mmd.types.market import DepthUpdate

Patches = Callable[[], list[Any]]


class Mutation(msgspec.Struct, frozen=True):
    """`rule` is the safety rule of docs/explanation/safety.md that it breaks (its number); `patches` makes what breaks it."""

    name: str
    rule: int
    breaks: str
    patches: Patches

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The program is broken within."""
        made = self.patches()
        for each in made:
            each.start()
        try:
            yield
        finally:
            for each in reversed(made):
                each.stop()


def _replace(owner: Any, name: str, value: Any) -> Patches:
    return lambda: [patch.object(owner, name, value)]


def _wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> Patches:
    """`make` gets the true function and returns the broken one."""
    return lambda: [patch.object(owner, name, make(getattr(owner, name)))]


# ---- rule 1: every order passes every check


def _sides_netted(true: Any) -> Any:
    def check(self: PreTradeChecks, view: Any, *arguments: Any, **named: Any) -> Any:
        kept = view.buy_at_risk_lots, view.sell_at_risk_lots
        netted = kept[0] - kept[1]
        view.buy_at_risk_lots, view.sell_at_risk_lots = max(0, netted), max(0, -netted)
        try:
            return true(self, view, *arguments, **named)
        finally:
            view.buy_at_risk_lots, view.sell_at_risk_lots = kept

    return check


def _replacement_counts_once(true: Any) -> Any:
    def at_risk(self: TrackedOrder) -> int:
        return 0 if self.state is OrderState.PENDING_CANCEL else int(true.fget(self))

    return property(at_risk)


def _cancelling_not_counted() -> list[Any]:
    true = OrderTracker._begin_cancel

    def begin_cancel(self: OrderTracker, order: TrackedOrder, now_ns: int) -> None:
        true(self, order, now_ns)
        self._index.refresh(order)

    at_risk = _replacement_counts_once(TrackedOrder.at_risk_lots)
    return [patch.object(TrackedOrder, "at_risk_lots", at_risk), patch.object(OrderTracker, "_begin_cancel", begin_cancel)]


def _huge_lots(true: Any) -> Any:
    def carry_out(self: OrderDesk, symbol: str, intent: Any, now_ns: int) -> None:
        if hasattr(intent, "lots") and hasattr(intent, "price_ticks"):
            intent = msgspec.structs.replace(intent, lots=intent.lots * 3)
        true(self, symbol, intent, now_ns)

    return carry_out


# ---- rule 2: pause and halt


def _pause_ignored(*reasons: PauseReason) -> Patches:
    def make(true: Any) -> Any:
        def set_pause(self: PauseBoard, which: PauseReason, symbol: str, active: bool, now_ns: int) -> bool:
            return False if which in reasons else bool(true(self, which, symbol, active, now_ns))

        return set_pause

    return _wrap(PauseBoard, "set", make)


def _latch_slips(true: Any) -> Any:
    def halt(self: HaltLatch, *arguments: Any) -> HaltRecord | None:
        record: HaltRecord | None = true(self, *arguments)
        self.record = HaltRecord(halted=False, reason="", actor="", time_ns=0)
        return record

    return halt


def _halt_forgotten(trader: Trader, desk: Any, now_ns: int) -> bool:
    return trader.orders.leaving or trader.safeguards.paused(desk.instrument.symbol, now_ns)


# ---- rule 3: unknown is unknown


def _triggered(state: OrderState, trigger: OrderTrigger, becomes: OrderState) -> Patches:
    return lambda: [patch.dict(order_state.TRANSITIONS[state], {trigger: becomes})]


def _all_lost_is_dead() -> list[Any]:
    return [
        patch.dict(order_state.TRANSITIONS[state], {OrderTrigger.LOSE: OrderState.CANCELLED})
        for state in order_state.PENDING_STATES
    ]


def _same_id_again(true: Any) -> Any:
    def make(self: ClientOrderIds) -> str:
        self._sequence %= 7
        return str(true(self))

    return make


# ---- rule 5: ledger = exchange


def _books_all(true: Any) -> Any:
    def book(self: PositionLedger, fill: Any) -> bool:
        if self.seen(fill.trade_id):
            self._trade(fill.side.sign * fill.lots * self.instrument.lot_atoms, 0)
            self.volume_atoms += fill.lots * fill.price_ticks * self.instrument.notional_atoms
            return True
        return bool(true(self, fill))

    return book


def _forgets_neutral_base(true: Any) -> Any:
    def restore(self: ReconciliationRoutine, checkpoint: Any) -> None:
        true(self, checkpoint)
        self.neutral_base_atoms.clear()

    return restore


def _nothing_recovered(true: Any) -> Any:
    def compare(*arguments: Any) -> Any:
        return msgspec.structs.replace(true(*arguments), fills_to_book=())

    return compare


# ---- rule 7: no quote on a bad book


def _gaps_pass(true: Any) -> Any:
    def follows(update_id: int, update: DepthUpdate) -> bool:
        return True

    return follows


def _not_thrown_away(true: Any) -> Any:
    def invalidate(self: OrderBook, reason: str) -> None:
        self.invalid_reason = reason

    return invalidate


# ---- rule 8: secrets


def _as_it_is(self: Redactor, logger: Any, name: str, event: Any) -> Any:
    return event


# ---- rule 9: nothing unbounded


def _never_forgets(true: Any) -> Any:
    def init(self: OrderIndex, finished_kept: int) -> None:
        true(self, 1_000_000)

    return init


def _written_in_place(path: Any, content: bytes) -> None:
    os = vars(durable)["os"]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        half = len(content) // 2
        file.write(content[:half])
        file.write(content[half:])


def _nothing(*arguments: Any, **named: Any) -> None:
    """Not done."""


def _true(*arguments: Any, **named: Any) -> bool:
    return True


def _false(*arguments: Any, **named: Any) -> bool:
    return False


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("no_position_check", 1, "what the position check refuses is sent", without("position")),
    Mutation("no_gross_check", 1, "what the gross exposure check refuses is sent", without("gross_exposure")),
    Mutation("no_collar", 1, "what the price collar refuses is sent", without("price_collar")),
    Mutation("no_order_rate", 1, "what the order rate refuses is sent", without("order_rate")),
    Mutation("no_open_orders_check", 1, "what the count of open orders refuses is sent", without("open_orders")),
    Mutation("no_self_trade_check", 1, "orders may meet our own", without("self_trade")),
    Mutation("sides_netted", 1, "what buys is set off against what sells", _wrap(PreTradeChecks, "check", _sides_netted)),
    Mutation(
        "cancelling_not_counted",
        1,
        "an order being cancelled or replaced counts no more",
        _cancelling_not_counted,
    ),
    Mutation(
        "sized_after_the_checks",
        1,
        "orders are sent three times as large, unchecked",
        lambda: [
            patch.object(OrderDesk, "_carry_out", _huge_lots(OrderDesk._carry_out)),
            patch.object(OrderDesk, "_allowed", _true),
        ],
    ),
    Mutation("loss_never_breached", 1, "the loss budget never says stop", _replace(LossBudget, "breach", _nothing)),
    Mutation("loss_refilled", 1, "a restart refills the loss budget", _replace(LossBudget, "restore", _nothing)),
    Mutation("order_count_refilled", 1, "a restart forgets the orders sent", _replace(OrderRateBudget, "restore", _nothing)),
    Mutation("halt_does_not_latch", 2, "a halt is told and not kept", _wrap(HaltLatch, "halt", _latch_slips)),
    Mutation("halt_not_written", 2, "the latch is not written to disk", _replace(HaltFile, "_write", _nothing)),
    Mutation("halt_not_read", 2, "the latch on the disk is not read", _replace(HaltFile, "read", _nothing)),
    Mutation("halt_cancels_nothing", 2, "a halt leaves our orders", _replace(OrderDesk, "withdraw", _nothing)),
    Mutation(
        "halt_not_asked",
        2,
        "quoting goes on while halted",
        lambda: [patch.object(Trader, "_blocked", _halt_forgotten), *without("halted")()],
    ),
    Mutation(
        "reconciling_ignored",
        2,
        "quoting begins before ledgers were compared",
        _pause_ignored(PauseReason.RECONCILING, PauseReason.STARTING),
    ),
    Mutation("ban_ignored", 2, "a ban does not pause", _pause_ignored(PauseReason.RATE_LIMITED)),
    Mutation(
        "checkpoint_torn",
        2,
        "state is written in place instead of beside and renamed",
        lambda: [
            patch("mmd.daemon.checkpoint.write_durably", _written_in_place),
            patch("mmd.daemon.halt_file.write_durably", _written_in_place),
        ],
    ),
    Mutation("lost_is_dead", 3, "a request without an answer ends its order", _all_lost_is_dead),
    Mutation(
        "refused_cancel_is_dead",
        3,
        "a refused cancel ends the order",
        lambda: [
            patch.dict(order_state.TRANSITIONS[state], {OrderTrigger.CANCEL_REJECTED: OrderState.CANCELLED})
            for state in order_state.OPEN_STATES
        ],
    ),
    Mutation(
        "absence_believed_at_once",
        3,
        "'does not exist' ends an order however early it was asked",
        _replace(OrderTracker, "_proves_absence", _true),
    ),
    Mutation(
        "unknown_not_counted",
        3,
        "an unknown order counts against no limit",
        _wrap(
            TrackedOrder,
            "at_risk_lots",
            lambda true: property(lambda self: 0 if self.state is OrderState.UNKNOWN else true.fget(self)),
        ),
    ),
    Mutation(
        "unknown_never_asked",
        3,
        "unknown orders are never asked about",
        _wrap(OrderTracker, "due", lambda true: lambda self, now: [c for c in true(self, now) if type(c).__name__ != "QueryOrder"]),
    ),
    Mutation("ids_repeat", 3, "client ids come round again", _wrap(ClientOrderIds, "make", _same_id_again)),
    Mutation("others_adopted", 4, "any order in the account passes for ours", _replace(ClientOrderIds, "is_ours", _true)),
    Mutation("own_not_adopted", 4, "orders of an earlier session pass for others'", _replace(OrderTracker, "_adopt", _nothing)),
    Mutation("fills_doubled", 5, "a fill told twice is booked twice", _wrap(PositionLedger, "book", _books_all)),
    Mutation(
        "fills_not_recovered",
        5,
        "fills that the stream lost are not taken from the exchange's list",
        lambda: [patch.object(accounts_module, "compare", _nothing_recovered(reconciliation.compare))],
    ),
    Mutation("ledger_not_kept", 5, "a restart begins with an empty ledger", _replace(PositionLedger, "restore", _nothing)),
    Mutation(
        "neutral_base_forgotten",
        5,
        "a restart takes the balance it finds for neutral",
        _wrap(ReconciliationRoutine, "restore", _forgets_neutral_base),
    ),
    Mutation("difference_ignored", 5, "a difference that stays does not halt", _replace(ReconciliationJudge, "judge", _nothing)),
    Mutation("checkpoint_not_written", 5, "checkpoints are not written", _replace(CheckpointFile, "write", _nothing)),
    Mutation("guard_asleep", 6, "the guard does not cancel", _replace(SimulatedGuard, "cancel_ours", _nothing)),
    Mutation(
        "gaps_pass",
        7,
        "a hole in the diffs goes unnoticed",
        lambda: [
            patch.object(book_module, "follows", _gaps_pass(None)),
            patch.object(book_module, "follows_snapshot", _gaps_pass(None)),
        ],
    ),
    Mutation(
        "stale_ignored",
        7,
        "the age of the data is not asked about",
        lambda: [*_pause_ignored(PauseReason.DATA_STALE)(), *without("data_age")()],
    ),
    Mutation(
        "lag_ignored",
        7,
        "the feed's lag is not asked about",
        lambda: [*_pause_ignored(PauseReason.FEED_LAG)(), *without("feed_lag")()],
    ),
    Mutation(
        "book_kept_over_disconnect", 7, "a disconnect leaves the book as it was", _wrap(OrderBook, "invalidate", _not_thrown_away)
    ),
    Mutation("invalid_book_quoted", 7, "an invalid book does not pause", _pause_ignored(PauseReason.BOOK_INVALID)),
    Mutation("nothing_redacted", 8, "secrets stand in the logs as they came", _replace(Redactor, "__call__", _as_it_is)),
    Mutation("finished_kept_for_ever", 9, "finished orders are never forgotten", _wrap(OrderIndex, "__init__", _never_forgets)),
)
"""Every mutation, by the rule that it breaks."""
