"""Working towards no position while halted, because somebody asked for it: passive first, then aggressive, to a deadline.

Only reduce-only orders leave, one at a time for each symbol, checked as such (`PreTradeChecks`, `reduce_only`). The passive part
joins our side of the touch; the aggressive part sends immediate-or-cancel orders no further from the mid than the collar.
While anything but the guard's absence pauses a symbol it waits: on a book that is not valid there is no price to be had.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from mmd.trader.desk import SymbolDesk
from mmd.trader.order_desk import OrderDesk
from mmd.trader.safeguards import Safeguards
from mmd.types.control import FlattenRequest, PauseReason
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument
from mmd.types.market import Side
from mmd.types.report import FlattenReport

PASSIVE_SHARE = 0.3
"""Of the time until the deadline in which it only joins the touch."""
BPS = 10_000

Outcome = Literal["working", "flat", "deadline", "stopped"]


class _Goal(msgspec.Struct):
    """One request under way. Times in ns."""

    begun_ns: int
    aggressive_ns: int
    deadline_ns: int
    orders: int = 0


class Flattening:
    """Of one trader. `active` while it works; `report` tells how the newest one went."""

    def __init__(self, desks: Iterable[SymbolDesk], orders: OrderDesk, safeguards: Safeguards) -> None:
        self._desks = tuple(desks)
        self._orders = orders
        self._safeguards = safeguards
        self._goal: _Goal | None = None
        self._outcome: Outcome = "stopped"
        self._begun = False

    @property
    def active(self) -> bool:
        """Whether reduce-only orders may leave although we are halted."""
        return self._goal is not None

    def begin(self, request: FlattenRequest) -> None:
        """From now to the deadline. A newer request takes the place of one under way."""
        now_ns = request.receive_ns
        passive_ns = round(max(0, request.deadline_ns - now_ns) * PASSIVE_SHARE)
        self._goal = _Goal(now_ns, now_ns + passive_ns, request.deadline_ns)
        self._outcome = "working"
        self._begun = True

    def stop(self) -> None:
        """Somebody halted again, or resumed: no further order."""
        if self._goal is not None:
            self._goal, self._outcome = None, "stopped"

    def on_timer(self, now_ns: int) -> None:
        """Ends when nothing tradable is left and nothing is under way, or at the deadline."""
        goal = self._goal
        if goal is None:
            return
        if now_ns >= goal.deadline_ns:
            self._goal, self._outcome = None, "deadline"
        elif all(self._is_flat(desk) for desk in self._desks):
            self._goal, self._outcome = None, "flat"

    def work(self, desk: SymbolDesk, now_ns: int) -> None:
        """One symbol's next step: cancel what is in the wrong place, or send the next order, or wait."""
        goal = self._goal
        if goal is None or self._must_wait(desk) or not desk.book.valid:
            self._orders.withdraw(desk, now_ns)
            return
        aggressive = now_ns >= goal.aggressive_ns
        side, lots = self._next_lots(desk)
        standing = self._orders.standing(desk)
        if standing:
            price_ticks = _joining(desk, side)
            if aggressive or not lots or any(order.price_ticks != price_ticks or order.side is not side for order in standing):
                self._orders.withdraw(desk, now_ns)
        elif lots:
            price_ticks = self._collared(desk, side) if aggressive else _joining(desk, side)
            if self._orders.reduce(desk, side, price_ticks, lots, now_ns, post_only=not aggressive):
                goal.orders += 1

    def report(self, now_ns: int) -> FlattenReport | None:
        """None before there was a request."""
        if not self._begun:
            return None
        goal = self._goal
        left = {desk.instrument.symbol: desk.ledger.position_atoms / ATOMS_PER_UNIT for desk in self._desks}
        waits = "" if goal is None else "; ".join(filter(None, (self._why_it_waits(desk) for desk in self._desks)))
        seconds = 0.0 if goal is None else max(0.0, (goal.deadline_ns - now_ns) / 1e9)
        return FlattenReport(self._outcome, left, seconds, waits)

    # ---- parts

    def _must_wait(self, desk: SymbolDesk) -> bool:
        return any(reason is not PauseReason.GUARD_LOST for reason in self._safeguards.pauses.reasons(desk.instrument.symbol))

    def _why_it_waits(self, desk: SymbolDesk) -> str:
        reasons = [reason.value for reason in self._safeguards.pauses.reasons(desk.instrument.symbol)]
        return f"{desk.instrument.symbol}: {', '.join(reasons)}" if self._must_wait(desk) else ""

    def _is_flat(self, desk: SymbolDesk) -> bool:
        """Nothing tradable is left, by a book that can be believed, and no order is under way."""
        return desk.book.valid and not self._must_wait(desk) and not self._next_lots(desk)[1] and not self._orders.standing(desk)

    def _next_lots(self, desk: SymbolDesk) -> tuple[Side, int]:
        """The side that reduces, and how much of the position goes next; 0 lots where the rest is too small to be traded."""
        instrument, position = desk.instrument, desk.ledger.position_atoms
        side = Side.SELL if position > 0 else Side.BUY
        lots = abs(position) // instrument.lot_atoms
        least = _least_lots(instrument, max(1, self._collared(desk, Side.SELL)))
        if lots < least:
            return side, 0
        most = min(instrument.max_lots, self._safeguards.most_lots_of_an_order(instrument, desk.book.ask_ticks))
        if lots <= most:
            return side, lots
        # What is left after this one must still be tradable.
        return side, min(most, lots - least) if lots - most < least else most

    def _collared(self, desk: SymbolDesk, side: Side) -> int:
        """As far beyond the touch as the collar lets it, so that it trades at whatever stands up to there."""
        mid_x2 = desk.book.bid_ticks + desk.book.ask_ticks
        collar = self._safeguards.flatten_collar_bps
        if side is Side.SELL:
            return -(-mid_x2 * round((BPS - collar) * 1000) // (2 * BPS * 1000))
        return mid_x2 * round((BPS + collar) * 1000) // (2 * BPS * 1000)


def _joining(desk: SymbolDesk, side: Side) -> int:
    """Our side of the touch."""
    return desk.book.ask_ticks if side is Side.SELL else desk.book.bid_ticks


def _least_lots(instrument: Instrument, price_ticks: int) -> int:
    """The smallest order that the venue takes at this price."""
    by_notional = -(-instrument.min_notional_atoms // (price_ticks * instrument.notional_atoms))
    return max(1, instrument.min_lots, by_notional)
