"""Orders as the trader knows them, compiled: `OrderTracker`'s states, by its own table of transitions."""

from __future__ import annotations

from typing import Any

from mmd.backtest.fast.compiling import compiled
from mmd.backtest.fast.layout import (
    AMENDED,
    BAD_TRANSITION,
    FINE,
    FIRST_TERMINAL,
    IMPOSSIBLE,
    LIVE,
    LOSE,
    NO_ROOM,
    NONE,
    OPEN,
    OPEN_LIST,
    PENDING_NEW,
    REJECTED,
    SEND_CANCEL,
    TABLE,
    UNKNOWN,
    World,
)
from mmd.execution.tracker import CLOCK_LEAD_MS, NS_PER_MS


@compiled
def fail(w: World, code: int) -> None:
    """Note the first thing that should never happen."""
    if w.state[0].error == FINE:
        w.state[0].error = code


@compiled
def find(w: World, seq: int) -> int:
    """Slot of the order that bears, bore or may come to bear this id; NONE where it is forgotten."""
    for slot in range(w.state[0].slots):
        order = w.orders[slot]
        if order.seq and (order.seq == seq or order.amend_seq == seq or order.former_seq == seq):
            return slot
    return NONE


@compiled
def free_slot(w: World) -> int:
    """A slot whose order nobody holds any more, blank."""
    for slot in range(len(w.orders) - 1):
        order = w.orders[slot]
        if order.seq == 0 or (order.state >= FIRST_TERMINAL and not order.v_open and not order.v_waiting):
            w.orders[slot] = w.orders[len(w.orders) - 1]
            w.state[0].slots = max(w.state[0].slots, slot + 1)
            return slot
    fail(w, NO_ROOM)
    return 0


@compiled
def drop(slots: Any, count: int, slot: int) -> int:
    """Take a slot out of a list, and say how many are left."""
    kept = 0
    for place in range(count):
        if slots[place] != slot:
            slots[kept] = slots[place]
            kept += 1
    return kept


@compiled
def remaining(order: Any) -> int:
    """`TrackedOrder.remaining_lots`."""
    left = order.lots - (order.filled if order.filled > order.booked else order.booked)
    return left if left > 0 else 0


@compiled
def at_risk(w: World, side: int) -> int:
    """Lots of a side that may yet change the position."""
    total = 0
    for slot in range(w.state[0].slots):
        order = w.orders[slot]
        if order.seq and order.side == side:
            left = (order.filled if order.state >= FIRST_TERMINAL else order.lots) - order.booked
            if left > 0:
                total += left
    return total


@compiled
def apply(w: World, slot: int, trigger: int, now: int) -> None:
    """Move an order, and keep the list of those that can still trade."""
    order = w.orders[slot]
    before = order.state
    after = TABLE[before, trigger]
    if after == IMPOSSIBLE:
        fail(w, BAD_TRANSITION)
        return
    if after == before:
        return
    order.state = after
    order.changed_ns = now
    order.not_founds = order.amend_not_founds = 0
    if after == UNKNOWN and order.amend_seq:
        order.wants_cancel = True
    elif after == LIVE and not order.wants_cancel:
        order.queries = order.next_query_ns = 0
    s = w.state[0]
    if after >= FIRST_TERMINAL and before < FIRST_TERMINAL:
        s.open_orders = drop(w.lists[OPEN_LIST], s.open_orders, slot)
    elif after < FIRST_TERMINAL and before >= FIRST_TERMINAL:
        w.lists[OPEN_LIST, s.open_orders] = slot
        s.open_orders += 1


@compiled
def backoff_ns(w: World, attempts: int) -> int:
    """`ExecutionSettings.backoff_ns`."""
    doubled = w.state[0].query_backoff_ms << min(attempts - 1, 20)
    return min(doubled, w.state[0].max_query_backoff_ms) * NS_PER_MS


@compiled
def add_sent(w: World, side: int, price_ticks: int, lots: int) -> int:
    """A new order is about to be written. Returns its slot."""
    s = w.state[0]
    now = s.now_ns
    slot = free_slot(w)
    order = w.orders[slot]
    s.sequence += 1
    order.seq, order.side, order.price_ticks, order.lots = s.sequence, side, price_ticks, lots
    order.sent_ns = order.request_ns = order.changed_ns = order.ordered_ns = now
    order.state = PENDING_NEW
    w.lists[OPEN_LIST, s.open_orders] = slot
    s.open_orders += 1
    return slot


@compiled
def begin_cancel(w: World, slot: int) -> None:
    """A cancel, or the cancelling half of a replacement, is about to be written."""
    order, now = w.orders[slot], w.state[0].now_ns
    after = TABLE[order.state, SEND_CANCEL]
    if after == IMPOSSIBLE:
        fail(w, BAD_TRANSITION)
        return
    if after != order.state:
        order.state = after
        order.changed_ns = now
        order.not_founds = order.amend_not_founds = 0
    order.wants_cancel = True
    order.request_ns = now
    order.cancels += 1
    order.next_cancel_ns = now + backoff_ns(w, order.cancels)


@compiled
def on_update(w: World, seq: int, former_seq: int, trigger: int, lots: int, filled: int, now: int) -> None:
    """The venue shows the order. `trigger` is OPEN, FILLED or CANCELED."""
    slot = find(w, seq)
    if slot == NONE and former_seq:
        slot = find(w, former_seq)
    if slot == NONE:
        return
    order = w.orders[slot]
    order.acknowledged = True
    if trigger == OPEN:
        if seq == order.seq:
            order.lots = max(order.lots, lots)
        elif former_seq == order.seq or seq == order.amend_seq:
            if order.amend_seq == seq:
                order.amend_seq = 0
            s = w.state[0]
            if order.state < FIRST_TERMINAL:
                s.open_orders = drop(w.lists[OPEN_LIST], s.open_orders, slot)
                w.lists[OPEN_LIST, s.open_orders] = slot
                s.open_orders += 1
            order.former_seq, order.seq, order.lots = order.seq, seq, lots
            trigger = AMENDED
    order.filled = max(order.filled, filled)
    apply(w, slot, trigger, now)


@compiled
def on_rejected(w: World, seq: int, now: int) -> None:
    """A placement was refused."""
    slot = find(w, seq)
    if slot != NONE:
        apply(w, slot, LOSE if w.orders[slot].acknowledged else REJECTED, now)


@compiled
def proves_absence(w: World, order: Any, query_ms: int) -> bool:
    """Whether an order that a query did not find can no longer arrive: clocks here are one."""
    return query_ms > -(-order.ordered_ns // NS_PER_MS) + w.state[0].receive_window_ms + CLOCK_LEAD_MS
