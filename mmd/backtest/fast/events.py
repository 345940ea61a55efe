"""What happens to the trader of one symbol, compiled: the market, time, and the venue's word, as `Trader` hears of them."""

from __future__ import annotations

from typing import Any

from mmd.backtest.fast.compiling import compiled
from mmd.backtest.fast.desk import blocked, cancel, halt, limit_lots, mark_and_check, refresh, withdraw
from mmd.backtest.fast.formulas import traded
from mmd.backtest.fast.layout import (
    ACCEPTED,
    ANSWERS,
    BATCH_END,
    CANCEL_REJECTED,
    CANCELED,
    CHANNEL_DOWN,
    CHANNEL_OPENS,
    DATA_STALE,
    EVERYTHING,
    FEED_DISCONNECTED,
    FEED_DOWN,
    FEED_LAG,
    FILLED,
    FIRST_TERMINAL,
    HALT_FORGOTTEN,
    HEAR,
    LAST_SAYING,
    LIVE,
    LOSE,
    MARKET_RECORD,
    NEVER_EXISTED,
    NO_HALT,
    NO_ROOM,
    NONE,
    NOT_FOUND,
    OPEN,
    OPEN_LIST,
    PENDING_AMEND,
    PENDING_CANCEL,
    PENDING_NEW,
    RECONCILING,
    SAID,
    SAYING_OF_VENUE,
    SAYS_ACCEPTED,
    SAYS_CANCEL_REJECTED,
    SAYS_FILL,
    SAYS_FUNDING,
    SAYS_QUERIED,
    SAYS_REJECTED,
    SAYS_REPORT,
    SAYS_UPDATE,
    SETTLES,
    STARTING,
    SYMBOL,
    TIMER,
    TRADED,
    UNKNOWN,
    UNLISTED,
    VENUE_LIST,
    World,
)
from mmd.backtest.fast.networks import take_steps
from mmd.backtest.fast.safeguards import breached, set_pause
from mmd.backtest.fast.tracking import apply, backoff_ns, fail, find, on_rejected, on_update, proves_absence
from mmd.backtest.fast.venue import answer, standing, take_responses, venue_knows
from mmd.execution.tracker import NS_PER_MS

# ---- events


@compiled
def take_record(w: World, record: Any) -> bool:
    """The market after a batch of events, or a change of the feed. True: quote anew."""
    s = w.state[0]
    s.now_ns = record.receive_ns
    take_steps(w, record)
    s.book_ns, s.lag_ns, s.variance = record.book_ns, record.feed_lag_ns, record.variance
    s.reach_ticks = record.reach_ticks
    s.valid, s.warm = record.valid, record.warm
    s.bid_ticks, s.bid_lots, s.ask_ticks, s.ask_lots = record.bid_ticks, record.bid_lots, record.ask_ticks, record.ask_lots
    if record.kind == BATCH_END:
        s.dirty = s.dirty or record.dirty
        return batch_ends(w)
    set_pause(w, SYMBOL, FEED_DISCONNECTED, record.kind == FEED_DOWN, s.now_ns)
    return True


@compiled
def batch_ends(w: World) -> bool:
    """`Trader._on_batch_end`: True where there is something to quote anew, unless the timer has been silent for too long."""
    s = w.state[0]
    return s.dirty and not (s.timer_ns and s.now_ns - s.timer_ns > s.max_timer_silence_ns)


@compiled
def on_timer(w: World) -> bool:
    """`Trader._on_timer`. True: quote anew."""
    s = w.state[0]
    now = s.timer_ns = s.now_ns
    set_pause(w, SYMBOL, DATA_STALE, s.valid and now - s.book_ns > s.max_data_age_ns, now)
    set_pause(w, SYMBOL, FEED_LAG, s.lag_ns > s.max_feed_lag_ns, now)
    mark_and_check(w)
    if not s.halted:
        code, scope, value = breached(w, now)
        if code != NO_HALT:
            halt(w, code, scope, value)
    if s.channel_up:
        for at in range(s.open_orders):
            order = w.orders[w.lists[OPEN_LIST, at]]
            pending = order.state == PENDING_NEW or order.state == PENDING_AMEND or order.state == PENDING_CANCEL
            if pending and now - order.request_ns >= s.acknowledgement_timeout_ns:
                apply(w, w.lists[OPEN_LIST, at], LOSE, now)
        for at in range(s.open_orders):
            slot = w.lists[OPEN_LIST, at]
            order = w.orders[slot]
            if order.state == UNKNOWN and now >= order.next_query_ns:
                asks_amended = order.amend_seq != 0 and order.queries % 2 == 1
                order.queries += 1
                order.next_query_ns = now + backoff_ns(w, order.queries)
                asked = order.amend_seq if asks_amended else order.seq
                answer(w, SAYS_QUERIED, asked, now + w.state[0].round_trip_ns, now)
            elif order.state == LIVE and order.wants_cancel and now >= order.next_cancel_ns:
                cancel(w, slot)
        ask_for_report(w)
    return s.dirty or not s.has_quote or blocked(w)


@compiled
def ask_for_report(w: World) -> None:
    """`ReconciliationRoutine.due`."""
    s = w.state[0]
    if s.asked_ns:
        due = s.now_ns - s.asked_ns > s.timeout_ns
    else:
        due = s.next_ask_ns != 0 and s.now_ns >= s.next_ask_ns
    if due:
        request_report(w)


@compiled
def request_report(w: World) -> None:
    """Ask for the venue's view of the account."""
    s = w.state[0]
    s.asked_ns = s.now_ns
    answer(w, SAYS_REPORT, 0, s.now_ns + w.state[0].round_trip_ns, s.now_ns)


@compiled
def open_channel(w: World) -> None:
    """Trading begins: orders can be sent, once the account was compared."""
    s = w.state[0]
    s.channel_up = True
    set_pause(w, EVERYTHING, CHANNEL_DOWN, False, s.now_ns)
    set_pause(w, EVERYTHING, RECONCILING, True, s.now_ns)
    request_report(w)


@compiled
def leave_when_clear(w: World) -> None:
    """Exit once nothing of ours is open, if we were asked to leave."""
    s = w.state[0]
    if s.leaving and not s.exited and not s.starting and s.open_orders == 0:
        s.exited = True


@compiled
def shut_down(w: World) -> None:
    """The data has ended: the last sample, and the last cancels."""
    s = w.state[0]
    if s.begin_ns:
        sample(w, s.last_ns)
        s.end_ns = s.last_ns
    s.leaving = True
    withdraw(w)


@compiled
def deliver(w: World, said: Any) -> bool:
    """One word of the venue. True: quote anew at once, rather than after the last word of this moment."""
    s, kind, seq = w.state[0], said.kind, said.seq
    now = s.now_ns
    if kind == SAYS_REPORT:
        on_report(w, said.asked_ns)
        return True
    if kind == SAYS_FILL:
        on_fill(w, said)
        return False
    if kind == SAYS_FUNDING:
        if s.reported:
            s.funding_atoms += said.fee
            mark_and_check(w)
        return False
    if kind == SAYS_ACCEPTED:
        slot = find(w, seq)
        if slot != NONE:
            w.orders[slot].acknowledged = True
            apply(w, slot, ACCEPTED, now)
    elif kind == SAYS_UPDATE:
        on_update(w, seq, said.former_seq, said.status, said.lots, said.filled, now)
    elif kind == SAYS_REJECTED:
        on_rejected(w, seq, now)
    elif kind == SAYS_CANCEL_REJECTED:
        slot = find(w, seq)
        if slot != NONE:
            order = w.orders[slot]
            if order.state == PENDING_AMEND:
                order.amend_refused = True
                order.amend_seq = 0
            apply(w, slot, CANCEL_REJECTED, now)
    else:
        on_queried(w, seq, said.asked_ns)
    s.dirty = True
    return False


@compiled
def on_queried(w: World, seq: int, asked_ns: int) -> None:
    """The venue's answer to a query of one order."""
    s, found = w.state[0], venue_knows(w, seq)
    if found != NONE:
        order = w.orders[found]
        status = OPEN if order.v_open else CANCELED if order.v_remaining else FILLED
        on_update(w, order.v_name, 0, status, order.v_lots, order.v_filled, s.now_ns)
        return
    slot = find(w, seq)
    if slot == NONE:
        return
    order = w.orders[slot]
    if order.state >= FIRST_TERMINAL or not proves_absence(w, order, asked_ns // NS_PER_MS):
        return
    named, in_doubt = seq == order.seq, order.amend_seq != 0
    if order.state != UNKNOWN:
        if named and not in_doubt:
            apply(w, slot, NOT_FOUND, s.now_ns)
    else:
        if named:
            order.not_founds += 1
        elif seq == order.amend_seq:
            order.amend_not_founds += 1
        needed = w.state[0].not_found_confirmations if order.acknowledged else 1
        if order.not_founds >= needed and (not in_doubt or order.amend_not_founds >= needed):
            apply(w, slot, NOT_FOUND, s.now_ns)
    if order.acknowledged and order.state == NEVER_EXISTED:
        halt(w, HALT_FORGOTTEN, 0, seq)


@compiled
def on_fill(w: World, said: Any) -> None:
    """A trade of ours: booked, marked, and told to the tracker."""
    s = w.state[0]
    value = said.price_ticks * said.lots * w.state[0].notional_atoms
    s.position_atoms, s.cost, gain = traded(s.position_atoms, s.cost, said.side * said.lots, said.side * value)
    s.realised += gain
    s.fees += said.fee
    s.dirty = True
    mark_and_check(w)
    slot = find(w, said.seq)
    if slot != NONE:
        order = w.orders[slot]
        order.booked += said.lots
        order.acknowledged = True
        apply(w, slot, FILLED if order.booked >= order.lots else TRADED, s.now_ns)


@compiled
def on_report(w: World, requested_ns: int) -> None:
    """The venue's view of the account, which always agrees: fills are told to both in one order."""
    s = w.state[0]
    now = s.now_ns
    s.asked_ns = 0
    s.reported = True
    for at in range(s.venue_orders):
        order = w.orders[w.lists[VENUE_LIST, at]]
        if order.v_open and order.v_acknowledged:
            on_update(w, order.v_name, 0, OPEN, order.v_lots, order.v_filled, now)
    for at in range(s.open_orders):
        order = w.orders[w.lists[OPEN_LIST, at]]
        if not (order.v_open and order.v_acknowledged) and order.sent_ns < requested_ns:
            apply(w, w.lists[OPEN_LIST, at], UNLISTED, now)
    clean = not (s.starting and s.open_orders)
    s.next_ask_ns = now + (w.state[0].interval_ns if clean else w.state[0].retry_ns)
    if clean:
        s.starting = False
    set_pause(w, EVERYTHING, RECONCILING, not clean, now)
    if clean:
        set_pause(w, EVERYTHING, STARTING, False, now)


# ---- samples


@compiled
def sample(w: World, now: int) -> None:
    """A row for the results."""
    s = w.state[0]
    if s.valid:
        s.last_mid_x2 = s.bid_ticks + s.ask_ticks
    bid, ask = standing(w)
    cash = s.realised - s.cost - s.fees + s.funding_atoms
    row = w.samples[s.samples]
    row.time_ns, row.mid_x2, row.position, row.cash = now, s.last_mid_x2, s.position_atoms, cash
    row.bid_ticks, row.ask_ticks, row.limit_lots = bid, ask, limit_lots(w) if s.valid else 0
    s.samples += 1


@compiled
def on_time(w: World, now: int) -> None:
    """`Recorder.on_time`."""
    s = w.state[0]
    if s.begin_ns and now >= s.next_sample_ns and not s.end_ns:
        s.next_sample_ns = now - now % w.state[0].sample_ns + w.state[0].sample_ns
        sample(w, now)


# ---- one entry


@compiled
def handle(w: World, what: int, index: int) -> None:
    """One event to the end: what `Trader.on_event` does, with the commands carried out."""
    s = w.state[0]
    again = False
    if what == MARKET_RECORD:
        again = take_record(w, w.records[index])
    elif what == TIMER:
        again = on_timer(w)
    elif what == SAYING_OF_VENUE:
        again = deliver(w, w.sayings[SAID, index])
    elif what == LAST_SAYING:
        again = batch_ends(w)
    elif what == CHANNEL_OPENS:
        s.begin_ns = s.next_sample_ns = s.now_ns
        open_channel(w)
        again = True
    else:
        shut_down(w)
    if again:
        refresh(w)
    leave_when_clear(w)
    if what == TIMER or (what == MARKET_RECORD and w.records[index].kind == BATCH_END):
        on_time(w, s.now_ns)


@compiled
def take_answers(w: World) -> None:
    """What the venue itself has to say by now."""
    s = w.state[0]
    while s.answers and w.sayings[ANSWERS, 0].due_ns <= s.now_ns:
        if s.said >= w.sayings.shape[1]:
            fail(w, NO_ROOM)
            return
        said = w.sayings[SAID, s.said]
        w.sayings[SAID, s.said] = w.sayings[ANSWERS, 0]
        s.answers -= 1
        for place in range(s.answers):
            w.sayings[ANSWERS, place] = w.sayings[ANSWERS, place + 1]
        if said.kind == SETTLES:
            settle(w, said)
        elif said.kind != SAYS_FUNDING or pay(w, said):
            s.said += 1


@compiled
def settle(w: World, point: Any) -> None:
    """Funding happens, at the mid of this moment; the account will hear of it."""
    s = w.state[0]
    if s.valid:
        s.last_mid_x2 = s.bid_ticks + s.ask_ticks
    place = answer(w, SAYS_FUNDING, point.seq, point.asked_ns, point.due_ns)
    said = w.sayings[ANSWERS, place]
    said.lots, said.filled, said.price_ticks = point.lots, point.filled, s.last_mid_x2


@compiled
def pay(w: World, said: Any) -> bool:
    """`payment_atoms` of the position at the exchange when it was settled. False where nothing is paid."""
    s = w.state[0]
    lots = 0
    for place in range(s.fills):
        if w.fills[place].exchange_ns <= said.asked_ns:
            lots += w.fills[place].side * w.fills[place].lots
    worth, parts = lots * said.price_ticks * s.notional_atoms * said.lots, 2 * said.filled
    amount = -(worth // parts) if worth >= 0 else -worth // parts
    said.fee = amount
    if amount == 0:
        return False
    row = w.funding[s.payments]
    row.receive_ns, row.point, row.lots, row.mark_x2, row.amount = s.now_ns, said.seq, lots, said.price_ticks, amount
    s.payments += 1
    return True


@compiled
def happen(w: World, what: int, index: int) -> int:
    """`what` happens; HEAR is all that matcher and venue have to say, whose count is returned. `index`: whether the matcher has."""
    s = w.state[0]
    count = 0
    if what == HEAR:
        if index:
            take_responses(w)
        take_answers(w)
        count = s.said
        if count == 0:
            return 0
    for turn in range(count + 1):
        if what == HEAR:
            handle(w, SAYING_OF_VENUE if turn < count else LAST_SAYING, turn)
        else:
            handle(w, what, index)
    s.said = 0
    return count
