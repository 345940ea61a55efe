"""Quotes and orders of one symbol, compiled: the quote, its difference to what is live, the checks, and the halt."""

from __future__ import annotations

from mmd.backtest.fast.compiling import compiled
from mmd.backtest.fast.formulas import (
    avellaneda_stoikov_terms,
    check_order,
    fixed_terms,
    glft_terms,
    order_fault,
    outward_prices,
    price_tolerances,
    quote_sizes,
    standing_fault,
    tradable,
)
from mmd.backtest.fast.layout import (
    AMENDED_ORDER,
    AVELLANEDA_STOIKOV,
    BAD_TRANSITION,
    BOOK_INVALID,
    CANCELLED,
    FIXED,
    GLFT,
    LIVE,
    NEURAL,
    NO_HALT,
    NONE,
    OPEN_LIST,
    PLACED,
    REPLACED,
    SEND_AMEND,
    SYMBOL,
    World,
)
from mmd.backtest.fast.networks import fallback_terms, network_fresh, network_terms, tell_inventory
from mmd.backtest.fast.safeguards import (
    budget_left,
    mark,
    paused,
    pressure,
    rate_allows,
    record_order,
    set_pause,
    sigma_ticks,
    unrealised,
)
from mmd.backtest.fast.tracking import add_sent, apply, at_risk, begin_cancel, fail, remaining
from mmd.backtest.fast.venue import venue_amend, venue_cancel, venue_place
from mmd.execution.quote_diff import FAULTS, MISSING, TOO_LARGE, TOO_PASSIVE, TOO_SMALL
from mmd.trader.order_desk import PACING

LARGE = FAULTS.index(TOO_LARGE)
PASSIVE, SMALL = FAULTS.index(TOO_PASSIVE), FAULTS.index(TOO_SMALL)
IMPROVEMENT_SHARE, SMALL_SHARE, MISSING_SHARE = PACING[TOO_PASSIVE], PACING[TOO_SMALL], PACING[MISSING]


@compiled
def note(w: World, kind: int, side: int, price_ticks: int, lots: int, seq: int) -> None:
    """Write a command down, for whoever compares."""
    s = w.state[0]
    if w.state[0].logging:
        line = w.log[s.log]
        line.time_ns, line.kind, line.side, line.price_ticks, line.lots, line.seq = s.now_ns, kind, side, price_ticks, lots, seq
        s.log += 1


# ---- orders


@compiled
def cancel(w: World, slot: int) -> None:
    """Cancel one order."""
    order = w.orders[slot]
    begin_cancel(w, slot)
    note(w, CANCELLED, order.side, order.price_ticks, 0, order.seq)
    venue_cancel(w, slot, order.seq, NONE)


@compiled
def withdraw(w: World) -> None:
    """Cancel everything that is not being cancelled."""
    s = w.state[0]
    s.has_quote = False
    if s.channel_up:
        for place in range(s.open_orders):
            slot = w.lists[OPEN_LIST, place]
            if not w.orders[slot].wants_cancel:
                cancel(w, slot)


@compiled
def fill_view(w: World) -> None:
    """`OrderDesk._fill_view`."""
    s = w.state[0]
    s.mode_allows = not s.leaving
    s.other_exposure_atoms = 0
    s.data_age_ns = s.now_ns - s.book_ns
    # A lag that is not known is too long.
    s.feed_lag_ns = s.lag_ns if s.lag_ns >= 0 else s.max_feed_lag_ns + 1


@compiled
def allowed(w: World, side: int, price_ticks: int, lots: int) -> bool:
    """`OrderDesk._allowed`: the live checks, on our orders as they stand by now."""
    s = w.state[0]
    s.buy_at_risk_lots, s.sell_at_risk_lots = at_risk(w, 1), at_risk(w, -1)
    best_bid = best_ask = 0
    for place in range(s.open_orders):
        order = w.orders[w.lists[OPEN_LIST, place]]
        if order.side > 0:
            best_bid = max(best_bid, order.price_ticks)
        elif best_ask == 0 or order.price_ticks < best_ask:
            best_ask = order.price_ticks
    s.own_best_bid_ticks, s.own_best_ask_ticks = best_bid, best_ask
    if check_order(s, s, s, side > 0, price_ticks, lots):
        return False
    return rate_allows(w, s.now_ns) and standing_fault(s, s, side > 0, price_ticks) == 0


@compiled
def place(w: World, side: int, price_ticks: int, lots: int) -> None:
    """A new order, if the checks allow it."""
    if allowed(w, side, price_ticks, lots):
        record_order(w, w.state[0].now_ns)
        slot = add_sent(w, side, price_ticks, lots)
        note(w, PLACED, side, price_ticks, lots, w.orders[slot].seq)
        venue_place(w, slot)


@compiled
def replace(w: World, slot: int, price_ticks: int, lots: int) -> None:
    """Another order in the place of this one; what may not be replaced is cancelled."""
    order = w.orders[slot]
    if allowed(w, order.side, price_ticks, lots):
        record_order(w, w.state[0].now_ns)
        new = add_sent(w, order.side, price_ticks, lots)
        begin_cancel(w, slot)
        note(w, REPLACED, order.side, price_ticks, lots, w.orders[new].seq)
        venue_cancel(w, slot, order.seq, new)
    else:
        cancel(w, slot)


@compiled
def amend(w: World, slot: int, lots: int) -> None:
    """Fewer lots, in the same place of the queue."""
    s, order = w.state[0], w.orders[slot]
    s.sequence += 1
    if not 0 < lots < order.lots:
        fail(w, BAD_TRANSITION)
        return
    apply(w, slot, SEND_AMEND, s.now_ns)
    order.request_ns = order.ordered_ns = s.now_ns
    order.amend_seq, order.amend_lots = s.sequence, lots
    note(w, AMENDED_ORDER, order.side, order.price_ticks, lots, order.seq)
    venue_amend(w, slot, order.seq, s.sequence, lots)


@compiled
def plan_side(
    w: World, cancels_alone: bool, side: int, price_ticks: int, lots: int, passive: float, aggressive: float, use: float
) -> bool:
    """One side of `quote_diff.plan`. Told twice: first for cancels alone, then for the rest, whose order rate is `use`d so far.

    True where there was something to do.
    """
    s = w.state[0]
    count = 0
    only = NONE
    for at in range(s.open_orders):
        slot = w.lists[OPEN_LIST, at]
        if w.orders[slot].side == side:
            count += 1
            only = slot
    if count == 0:
        if lots > 0 and not cancels_alone and use < MISSING_SHARE:
            place(w, side, price_ticks, lots)
        return lots > 0
    if lots <= 0:
        return plan_withheld(w, cancels_alone, side)
    order = w.orders[only]
    if count == 1 and order.state == LIVE and not order.wants_cancel:
        left = remaining(order)
        old_enough = order.sent_ns <= s.now_ns - s.minimum_quote_life_ns
        excess = (order.price_ticks - price_ticks) * side
        fault = order_fault(excess, old_enough, left, lots, passive, aggressive, s.size_tolerance)
        if fault and not cancels_alone:
            if fault == LARGE and not order.amend_refused:
                amend(w, only, order.lots - left + lots)
            elif (fault != PASSIVE or use < IMPROVEMENT_SHARE) and (fault != SMALL or use < SMALL_SHARE):
                replace(w, only, price_ticks, lots)
        return fault != 0
    return plan_unsettled(w, cancels_alone, side, price_ticks, passive, aggressive)


@compiled
def plan_withheld(w: World, cancels_alone: bool, side: int) -> bool:
    """Whatever stands on a side that should be empty is cancelled."""
    any_ = False
    for at in range(w.state[0].open_orders):
        slot = w.lists[OPEN_LIST, at]
        if w.orders[slot].side == side and not w.orders[slot].wants_cancel:
            any_ = True
            if cancels_alone:
                cancel(w, slot)
    return any_


@compiled
def plan_unsettled(w: World, cancels_alone: bool, side: int, price_ticks: int, passive: float, aggressive: float) -> bool:
    """Something is in flight or surplus: cancel only."""
    s = w.state[0]
    nearest = NONE
    for at in range(s.open_orders):
        slot = w.lists[OPEN_LIST, at]
        order = w.orders[slot]
        if order.side == side and order.state == LIVE and not order.wants_cancel:
            distance = abs(order.price_ticks - price_ticks)
            if nearest == NONE or distance < abs(w.orders[nearest].price_ticks - price_ticks):
                nearest = slot
    any_ = False
    for at in range(s.open_orders):
        slot = w.lists[OPEN_LIST, at]
        order = w.orders[slot]
        if order.side != side or order.wants_cancel:
            continue
        tolerated = aggressive if order.state == LIVE else max(aggressive, passive)
        if (order.price_ticks - price_ticks) * side > tolerated or (order.state == LIVE and slot != nearest):
            any_ = True
            if cancels_alone:
                cancel(w, slot)
    return any_


@compiled
def apply_quote(w: World, bid_ticks: int, bid_lots: int, ask_ticks: int, ask_lots: int) -> None:
    """Bring live orders towards the quote: cancels first, then the rest as far as checks and the order rate allow."""
    passive, aggressive = price_tolerances(bid_ticks, ask_ticks, w.state[0])
    use, work = 0.0, 0
    for turn in range(4):
        # Cancels of both sides first. One call of what follows, since each would be compiled for itself.
        cancels_alone, side = turn < 2, 1 - 2 * (turn % 2)
        if turn == 2:
            if work == 0:
                return
            fill_view(w)
            use = pressure(w, w.state[0].now_ns)
        price_ticks, lots = (bid_ticks, bid_lots) if side > 0 else (ask_ticks, ask_lots)
        if plan_side(w, cancels_alone, side, price_ticks, lots, passive, aggressive, use):
            work += 1


# ---- quotes


@compiled
def limit_lots(w: World) -> int:
    """`Safeguards.position_limit_lots`."""
    s = w.state[0]
    mid = max(1, (s.bid_ticks + s.ask_ticks) // 2)
    return max(1, s.position_cap_atoms // (mid * s.notional_atoms))


@compiled
def look(w: World) -> None:
    """`SymbolDesk.make_quote`, up to the quoter: the context of this moment."""
    s = w.state[0]
    s.skew_sigma_ticks = sigma_ticks(w, w.state[0].skew_horizon_seconds)
    limit = limit_lots(w)
    share = s.position_atoms / limit
    s.inventory = -1.0 if share < -1.0 else 1.0 if share > 1.0 else share
    s.budget_left = budget_left(w)
    s.buy_room_lots = max(0, limit - s.position_atoms)
    s.sell_room_lots = max(0, limit + s.position_atoms)
    if s.strategy == NEURAL:
        tell_inventory(w, limit)


@compiled
def quote(w: World) -> None:
    """A fresh quote for a valid book, and the orders that it calls for."""
    s = w.state[0]
    look(w)
    if s.strategy == FIXED:
        half_spread, skew = fixed_terms(s, s, s.fixed_fraction)
    elif not s.warm:
        withdraw(w)
        return
    elif s.strategy == AVELLANEDA_STOIKOV:
        half_spread, skew = avellaneda_stoikov_terms(s, s, s.stoikov_sigmas, 1.0)
    elif s.strategy == GLFT:
        half_spread, skew = glft_terms(s, s, s, s.glft_sigmas, s.glft_skew_sigmas)
    elif network_fresh(w):
        micro, head, flow, skew, half_spread, adverse_bid, adverse_ask, pull_bid, pull_ask = network_terms(w)
        s.quote_micro, s.quote_head, s.quote_order_flow = micro, head, flow
        show(w, skew, half_spread, adverse_bid, adverse_ask, pull_bid, pull_ask)
        return
    else:
        half_spread, skew, wider_bid, wider_ask = fallback_terms(w)
        s.quote_micro = s.quote_head = s.quote_order_flow = 0.0
        show(w, skew, half_spread, wider_bid, wider_ask, False, False)
        return
    show(w, skew, half_spread, 0.0, 0.0, False, False)


@compiled
def show(w: World, skew: float, half_spread: float, adverse_bid: float, adverse_ask: float, pull_bid: bool, pull_ask: bool) -> None:
    """The clamps, and the orders."""
    s = w.state[0]
    bid_lots, ask_lots = quote_sizes(s, s, s)
    mid = 0.5 * (s.bid_ticks + s.ask_ticks)
    fair = mid + s.quote_micro + s.quote_head + s.quote_order_flow
    bid_ticks, ask_ticks = outward_prices(fair, skew, half_spread, adverse_bid, adverse_ask, s.bid_ticks, s.ask_ticks)
    if pull_bid:
        bid_lots = 0
    if pull_ask:
        ask_lots = 0
    if not tradable(s, bid_ticks, bid_lots):
        bid_lots = 0
    if not tradable(s, ask_ticks, ask_lots):
        ask_lots = 0
    s.has_quote, s.quote_bid_ticks, s.quote_ask_ticks, s.quote_mid, s.quote_fair = True, bid_ticks, ask_ticks, mid, fair
    s.quote_skew, s.quote_half_spread, s.quote_adverse_bid, s.quote_adverse_ask = skew, half_spread, adverse_bid, adverse_ask
    apply_quote(w, bid_ticks, bid_lots, ask_ticks, ask_lots)


@compiled
def blocked(w: World) -> bool:
    """Whether nothing may stand."""
    s = w.state[0]
    return s.leaving or s.halted or paused(w)


@compiled
def refresh(w: World) -> None:
    """`Trader.refresh`."""
    s = w.state[0]
    s.dirty = False
    valid = 1 if s.valid else 0
    if valid != s.book_was_valid:
        s.book_was_valid = valid
        set_pause(w, SYMBOL, BOOK_INVALID, valid == 0, s.now_ns)
    if blocked(w):
        withdraw(w)
    else:
        quote(w)


@compiled
def halt(w: World, code: int, scope: int, value: int) -> None:
    """Latch, and cancel everything. A second halt keeps the first one's record."""
    s = w.state[0]
    if not s.halted:
        s.halted, s.halt, s.halt_ns, s.halt_scope, s.halt_value = True, code, s.now_ns, scope, value
        s.halt_loss_used, s.halt_drawdown = s.loss_used_atoms, s.drawdown_atoms
        s.halt_realised, s.halt_unrealised = s.realised - s.fees + s.funding_atoms, unrealised(w) if w.state[0].valid else 0
    withdraw(w)


@compiled
def mark_and_check(w: World) -> None:
    """Mark the position, and halt where that breaks a limit."""
    code = mark(w)
    if code != NO_HALT:
        halt(w, code, 0, 0)
