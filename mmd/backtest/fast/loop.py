"""One run, compiled: market records at their times, hftbacktest's exchange in between, after `BacktestSession`.

What this file compiles calls hftbacktest, and is compiled anew in each process; so it is little.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmd.backtest.fast.compiling import calling_library
from mmd.backtest.fast.entry import entry
from mmd.backtest.fast.layout import (
    ANSWERS,
    BATCH_END,
    CHANNEL_OPENS,
    DATA_ENDED,
    DO_CANCEL,
    DO_PLACE,
    FINE,
    HEAR,
    LOST_ORDER,
    MARKET_RECORD,
    MATCHER_REFUSES,
    SHUT_DOWN,
    TIMER,
    VENUE_LIST,
    World,
)
from mmd.backtest.fast.world import world_at
from mmd.backtest.session import GOODBYE_NS, LONG_SILENCE_NS, PROGRESS_EVERY, TIMER_NS

TIMED_OUT, RESPONDED = 0, 3
POST_ONLY, LIMIT = 1, 0
MARGIN = 4_096
"""Rows that must be free before another market record is taken."""
happen = entry.ctypes


@calling_library
def look_at_orders(w: World, matcher: Any) -> None:
    """The matcher's newest word on each order that the venue holds."""
    orders = matcher.orders(0)
    for place in range(w.state[0].venue_orders):
        order = w.orders[w.lists[VENUE_LIST, place]]
        seen = orders.get(np.uint64(order.v_number))
        if seen is None:
            w.state[0].error = LOST_ORDER
        else:
            order.seen_status, order.seen_exchange_ns = seen.status, seen.exch_timestamp
            # While a request is under way the quantity shown is the one asked for, not yet the exchange's.
            order.seen_left, order.seen_asked = seen.leaves_qty, seen.qty if seen.req == 0 else -1.0


@calling_library
def tell_matcher(w: World, matcher: Any) -> None:
    """Hand over what was asked of it."""
    s = w.state[0]
    for place in range(s.requests):
        asked = w.requests[place]
        number, price = np.uint64(asked.number), float(asked.price_ticks)
        if asked.kind == DO_PLACE:
            if asked.side > 0:
                code = matcher.submit_buy_order(0, number, price, asked.quantity, POST_ONLY, LIMIT, False)
            else:
                code = matcher.submit_sell_order(0, number, price, asked.quantity, POST_ONLY, LIMIT, False)
        elif asked.kind == DO_CANCEL:
            code = matcher.cancel(0, number, False)
        else:
            code = matcher.modify(0, number, price, asked.quantity, False)
        if code != 0:
            s.error = MATCHER_REFUSES
    s.requests = 0


@calling_library
def advance(w: World, at: int, matcher: Any, until_ns: int) -> None:
    """Let the exchange go on up to a moment, handing over everything that comes back on the way."""
    s = w.state[0]
    while s.error == FINE:
        stop_ns = until_ns
        if s.answers and w.sayings[ANSWERS, 0].due_ns < stop_ns:
            stop_ns = w.sayings[ANSWERS, 0].due_ns
        responded = False
        if stop_ns > s.matcher_ns:
            code = matcher.wait_next_feed(True, stop_ns - s.matcher_ns)
            if code != TIMED_OUT and code != RESPONDED:
                s.error = DATA_ENDED
                return
            responded = code == RESPONDED
            s.matcher_ns = matcher.current_timestamp if responded else stop_ns
        events = 0
        if responded or (s.answers and w.sayings[ANSWERS, 0].due_ns <= s.matcher_ns):
            s.now_ns = s.matcher_ns
            if responded:
                look_at_orders(w, matcher)
            events = happen(at, HEAR, 1 if responded else 0)
            tell_matcher(w, matcher)
        if events == 0 and not responded and s.matcher_ns >= until_ns:
            return


@calling_library
def pass_time(w: World, at: int, matcher: Any, until_ns: int) -> None:
    """Up to a moment, with every timer on the way."""
    s = w.state[0]
    while True:
        timer_ns = s.next_timer_ns
        fires = timer_ns <= until_ns
        advance(w, at, matcher, timer_ns if fires else until_ns)
        if not fires or s.error != FINE:
            return
        s.next_timer_ns += LONG_SILENCE_NS // 10 if until_ns - timer_ns > LONG_SILENCE_NS else TIMER_NS
        s.now_ns = timer_ns
        if not s.channel_up and timer_ns >= s.trade_from_ns:
            happen(at, CHANNEL_OPENS, 0)
        happen(at, TIMER, 0)
        tell_matcher(w, matcher)


@calling_library
def run_records(at: int, matcher: Any, stop: int) -> None:
    """From where the state stands up to record `stop`, or to where an array is full; after the last of them, leave.

    Record 0 is the feed's connection. `at`: address of what `world.addresses` says.
    """
    w = world_at(at)
    s = w.state[0]
    while s.record < stop and s.error == FINE:
        if len(w.fills) - s.fills < MARGIN or (s.logging and len(w.log) - s.log < MARGIN):
            return
        record = w.records[s.record]
        now = record.receive_ns
        if s.record == 0:
            s.next_timer_ns = now + TIMER_NS
        if now != s.last_ns:
            pass_time(w, at, matcher, now)
            s.last_ns = now
        happen(at, MARKET_RECORD, s.record)
        if s.record == 0 and now >= s.trade_from_ns:
            happen(at, CHANNEL_OPENS, 0)
        if s.requests:
            tell_matcher(w, matcher)
        s.record += 1
        if record.kind == BATCH_END:
            before = s.events_seen // PROGRESS_EVERY
            s.events_seen += record.events
            if before != s.events_seen // PROGRESS_EVERY:
                matcher.clear_inactive_orders(0)
    if s.record == len(w.records) and s.error == FINE:
        s.now_ns = s.last_ns
        happen(at, SHUT_DOWN, 0)
        tell_matcher(w, matcher)
        end_ns = s.last_ns + GOODBYE_NS
        while not s.exited and s.matcher_ns < end_ns and s.error == FINE:
            pass_time(w, at, matcher, min(end_ns, s.matcher_ns + TIMER_NS))
