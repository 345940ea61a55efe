"""The venue of a backtest, compiled: what `BacktestVenue` does between the trader's commands and the matcher's responses."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmd.backtest.fast.compiling import compiled
from mmd.backtest.fast.layout import (
    ANSWERS,
    CANCELED,
    DO_CANCEL,
    DO_PLACE,
    DO_REDUCE,
    FILLED,
    NO_ROOM,
    NONE,
    OPEN,
    SAID,
    SAYS_ACCEPTED,
    SAYS_CANCEL_REJECTED,
    SAYS_FILL,
    SAYS_REJECTED,
    SAYS_UPDATE,
    VENUE_LIST,
    World,
)
from mmd.backtest.fast.tracking import fail, find
from mmd.backtest.matching import SHORT_OF_A_LOT, MatchStatus

NO_STATUS, EXPIRED, WHOLLY_FILLED, GONE = (
    int(each) for each in (MatchStatus.NONE, MatchStatus.EXPIRED, MatchStatus.FILLED, MatchStatus.CANCELED)
)


@compiled
def request(w: World, kind: int, number: int, side: int, price_ticks: int, quantity: float) -> None:
    """Ask the matcher; it is told before time goes on."""
    s = w.state[0]
    if s.requests >= len(w.requests):
        fail(w, NO_ROOM)
        return
    asked = w.requests[s.requests]
    asked.kind, asked.number, asked.side, asked.price_ticks, asked.quantity = kind, number, side, price_ticks, quantity
    s.requests += 1


@compiled
def answer(w: World, kind: int, seq: int, due_ns: int, asked_ns: int) -> int:
    """Something that is not the matcher's to say, when it is due: kept in order of time and of asking. Returns its place."""
    s = w.state[0]
    if s.answers >= w.sayings.shape[1]:
        fail(w, NO_ROOM)
        return 0
    place = s.answers
    while place > 0 and w.sayings[ANSWERS, place - 1].due_ns > due_ns:
        w.sayings[ANSWERS, place] = w.sayings[ANSWERS, place - 1]
        place -= 1
    said = w.sayings[ANSWERS, place]
    said.kind, said.seq, said.due_ns, said.asked_ns = kind, seq, due_ns, asked_ns
    s.answers += 1
    return place


@compiled
def say(w: World, kind: int, order: Any, status: int, lots: int) -> None:
    """An event about an order as it stands; `lots` is the fill's or the order's."""
    s = w.state[0]
    if s.said >= w.sayings.shape[1]:
        fail(w, NO_ROOM)
        return
    said = w.sayings[SAID, s.said]
    said.kind, said.seq, said.status, said.lots, said.filled = kind, order.v_name, status, lots, order.v_filled
    said.side, said.price_ticks, said.former_seq = order.side, order.price_ticks, 0
    s.said += 1


@compiled
def venue_place(w: World, slot: int) -> None:
    """The order leaves for the exchange."""
    s, order = w.state[0], w.orders[slot]
    s.number += 1
    s.sent += 1
    order.v_number, order.v_name, order.v_lots, order.v_remaining = s.number, order.seq, order.lots, order.lots
    order.v_open = True
    w.lists[VENUE_LIST, s.venue_orders] = slot
    s.venue_orders += 1
    order.v_waiting = False
    if order.v_waiting_cancel:
        order.v_waiting_cancel = False
        order.v_cancel_wanted = True
    request(w, DO_PLACE, order.v_number, order.side, order.price_ticks, order.lots - SHORT_OF_A_LOT)


@compiled
def refuse_cancel(w: World, seq: int, replaced_by: int) -> None:
    """There is nothing to cancel; a replacement that waited for it is not attempted."""
    s = w.state[0]
    due_ns = s.now_ns + w.state[0].round_trip_ns
    answer(w, SAYS_CANCEL_REJECTED, seq, due_ns, 0)
    if replaced_by != NONE:
        new = w.orders[replaced_by]
        if new.v_waiting_cancel:
            answer(w, SAYS_CANCEL_REJECTED, new.seq, due_ns, 0)
        new.v_waiting = new.v_waiting_cancel = False
        answer(w, SAYS_REJECTED, new.seq, due_ns, 0)


@compiled
def venue_cancel(w: World, slot: int, seq: int, replaced_by: int) -> None:
    """A cancel, in favour of another order or (NONE) of none."""
    order = w.orders[slot]
    if order.v_waiting and not order.v_waiting_cancel:
        order.v_waiting_cancel = True
        return
    if not order.v_open or order.v_cancel_wanted:
        if replaced_by != NONE:
            w.orders[replaced_by].v_waiting = False
        refuse_cancel(w, seq, replaced_by)
        return
    order.v_cancel_wanted = True
    order.v_replaced_by = replaced_by
    if replaced_by != NONE:
        w.orders[replaced_by].v_waiting = True
    send_cancel(w, order)


@compiled
def send_cancel(w: World, order: Any) -> None:
    """Unless it has to wait for the answer to an earlier request."""
    if order.v_acknowledged and not order.v_amending:
        request(w, DO_CANCEL, order.v_number, order.side, order.price_ticks, 0.0)


@compiled
def venue_amend(w: World, slot: int, seq: int, new_seq: int, lots: int) -> None:
    """Ask for a smaller quantity."""
    order = w.orders[slot]
    left = lots - order.v_filled
    if not order.v_open or not order.v_acknowledged or order.v_cancel_wanted or order.v_amending or left <= 0:
        refuse_cancel(w, seq, NONE)
        return
    order.v_amending, order.v_amend_seq, order.v_amend_to = True, new_seq, left
    request(w, DO_REDUCE, order.v_number, order.side, order.price_ticks, left - SHORT_OF_A_LOT)


@compiled
def take_responses(w: World) -> None:
    """Everything that the matcher has news of, as events, fills before what they did to the order."""
    s = w.state[0]
    count = s.venue_orders
    for place in range(count):
        # The list shrinks only afterwards, and new orders come behind these.
        slot = w.lists[VENUE_LIST, place]
        order = w.orders[slot]
        status = order.seen_status
        left = 0 if status == WHOLLY_FILLED else int(np.ceil(order.seen_left))
        if not order.v_acknowledged and status != NO_STATUS:
            acknowledge(w, order, status, left)
        if not order.v_open:
            continue
        if order.v_amending and int(np.ceil(order.seen_asked)) == order.v_amend_to:
            amended(w, order, left)
        elif order.v_acknowledged:
            take_fills(w, order, left)
        if status == GONE and order.v_open:
            order.v_open = False
            say(w, SAYS_UPDATE, order, CANCELED, order.v_lots)
            if order.v_replaced_by != NONE:
                venue_place(w, order.v_replaced_by)
    kept = 0
    for place in range(s.venue_orders):
        slot = w.lists[VENUE_LIST, place]
        if w.orders[slot].v_open:
            w.lists[VENUE_LIST, kept] = slot
            kept += 1
    s.venue_orders = kept


@compiled
def acknowledge(w: World, order: Any, status: int, left: int) -> None:
    """The first word of the exchange: it rests, or it would have taken."""
    s = w.state[0]
    if status == EXPIRED:
        s.refused += 1
        order.v_open = False
        say(w, SAYS_REJECTED, order, 0, order.v_lots)
        if order.v_cancel_wanted:
            refuse_cancel(w, order.v_name, order.v_replaced_by)
        return
    order.v_acknowledged = True
    s.placed += 1
    say(w, SAYS_ACCEPTED, order, 0, order.v_lots)
    say(w, SAYS_UPDATE, order, OPEN, order.v_lots)
    if order.v_cancel_wanted and left:
        send_cancel(w, order)


@compiled
def take_fills(w: World, order: Any, left: int) -> None:
    """What has traded since the last look."""
    lots = order.v_remaining - left
    if lots <= 0:
        return
    order.v_filled += lots
    order.v_remaining = left
    book_fill(w, order, lots)
    say(w, SAYS_UPDATE, order, OPEN if left else FILLED, order.v_lots)
    if not left:
        order.v_open = False
        if order.v_amending:
            refuse_cancel(w, order.v_name, NONE)
        if order.v_cancel_wanted:
            refuse_cancel(w, order.v_name, order.v_replaced_by)


@compiled
def amended(w: World, order: Any, left: int) -> None:
    """The quantity is smaller now."""
    order.v_amending = False
    order.v_remaining = left
    order.v_lots = order.v_filled + left
    former, order.v_name = order.v_name, order.v_amend_seq
    say(w, SAYS_UPDATE, order, OPEN, order.v_lots)
    w.sayings[SAID, w.state[0].said - 1].former_seq = former
    if order.v_cancel_wanted:
        send_cancel(w, order)


@compiled
def book_fill(w: World, order: Any, lots: int) -> None:
    """A fill: its event, and its row for the results with the quote that stood for it."""
    s = w.state[0]
    fee = int(np.rint(order.price_ticks * lots * w.state[0].notional_atoms * w.state[0].maker_fee))
    say(w, SAYS_FILL, order, 0, lots)
    w.sayings[SAID, s.said - 1].fee = fee
    if s.valid:
        s.last_mid_x2 = s.bid_ticks + s.ask_ticks
    fill = w.fills[s.fills]
    fill.receive_ns, fill.exchange_ns, fill.seq, fill.order = s.now_ns, order.seen_exchange_ns, order.v_name, order.v_number
    fill.side, fill.price_ticks, fill.lots, fill.fee, fill.mid_x2 = order.side, order.price_ticks, lots, fee, s.last_mid_x2
    fill.has_quote, fill.quote_bid_ticks, fill.quote_ask_ticks = s.has_quote, s.quote_bid_ticks, s.quote_ask_ticks
    fill.quote_mid, fill.quote_micro, fill.quote_head, fill.quote_skew = s.quote_mid, s.quote_micro, s.quote_head, s.quote_skew
    fill.quote_half_spread, fill.quote_fair = s.quote_half_spread, s.quote_fair
    fill.quote_order_flow, fill.quote_adverse_bid, fill.quote_adverse_ask = (
        s.quote_order_flow,
        s.quote_adverse_bid,
        s.quote_adverse_ask,
    )
    fill.quote_position_head, fill.quote_spread_head = s.quote_position_head, s.quote_spread_head
    s.fills += 1


@compiled
def standing(w: World) -> tuple[int, int]:
    """Best acknowledged bid and ask of ours, ticks; 0 where there is none."""
    bid = ask = 0
    for place in range(w.state[0].venue_orders):
        order = w.orders[w.lists[VENUE_LIST, place]]
        if not order.v_acknowledged:
            continue
        if order.side > 0:
            bid = max(bid, order.price_ticks)
        elif ask == 0 or order.price_ticks < ask:
            ask = order.price_ticks
    return bid, ask


@compiled
def venue_knows(w: World, seq: int) -> int:
    """Slot of an order that the venue would find by this id, NONE where it would not."""
    slot = find(w, seq)
    if slot == NONE:
        return NONE
    order = w.orders[slot]
    known = order.v_acknowledged and (seq != order.amend_seq or order.v_amending or order.v_name == seq)
    return slot if known else NONE
