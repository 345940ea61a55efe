"""What says stop, compiled: pauses, the loss budget, the order rate and the halt, after `mmd.risk`."""

from __future__ import annotations

from math import sqrt

from mmd.backtest.fast.compiling import compiled
from mmd.backtest.fast.layout import (
    EVERYTHING,
    HALT_DRAWDOWN,
    HALT_LOSS,
    HALT_PAUSE,
    HALT_PAUSES,
    HOUR_COUNTS,
    HOURS,
    HOURS_SIZE,
    NO_HALT,
    NONE,
    RECENT,
    STARTING,
    STARTS,
    SYMBOL,
    World,
)

DAY_NS = 86_400_000_000_000
HOUR_NS = 3_600_000_000_000
SHORT_WINDOW_NS = 10_000_000_000
HOURS_KEPT = 24


@compiled
def set_pause(w: World, scope: int, cause: int, active: bool, now: int) -> None:
    """`PauseBoard.set`, for everything or for the symbol."""
    s = w.state[0]
    mask = s.mask_every if scope == EVERYTHING else s.mask_symbol
    if ((mask & cause) != 0) == active:
        return
    if scope == EVERYTHING:
        s.mask_every = mask ^ cause
    else:
        s.mask_symbol = mask ^ cause
        if not s.symbol_known:
            s.symbol_known = True
            s.since_symbol = s.since_every
    every = (s.mask_every & ~STARTING) != 0
    if not every:
        s.since_every = NONE
    elif s.since_every == NONE:
        s.since_every = now
        begin_pause(w, EVERYTHING, now)
    if s.symbol_known:
        if not every and (s.mask_symbol & ~STARTING) == 0:
            s.since_symbol = NONE
        elif s.since_symbol == NONE:
            s.since_symbol = now
            begin_pause(w, SYMBOL, now)


@compiled
def begin_pause(w: World, scope: int, now: int) -> None:
    """Remember when a pause began, of the newest so many."""
    s = w.state[0]
    size = s.max_pauses_per_hour + 1
    if scope == EVERYTHING:
        if s.starts_every_count < size:
            w.rings[STARTS + scope, s.starts_every_count] = now
            s.starts_every_count += 1
        else:
            w.rings[STARTS + scope, s.starts_every_begin] = now
            s.starts_every_begin = (s.starts_every_begin + 1) % size
    elif s.starts_symbol_count < size:
        w.rings[STARTS + scope, s.starts_symbol_count] = now
        s.starts_symbol_count += 1
    else:
        w.rings[STARTS + scope, s.starts_symbol_begin] = now
        s.starts_symbol_begin = (s.starts_symbol_begin + 1) % size


@compiled
def paused(w: World) -> bool:
    """Whether no quote may stand."""
    return w.state[0].mask_every != 0 or w.state[0].mask_symbol != 0


@compiled
def breached(w: World, now: int) -> tuple[int, int, int]:
    """The halt that a pause has become, its scope and for how long it lasted; NO_HALT for none."""
    s = w.state[0]
    size = s.max_pauses_per_hour + 1
    for scope in range(2):
        if scope == SYMBOL and not s.symbol_known:
            continue
        since = s.since_every if scope == EVERYTHING else s.since_symbol
        if since != NONE and now - since > s.max_pause_ns:
            return HALT_PAUSE, scope, now - since
        count = s.starts_every_count if scope == EVERYTHING else s.starts_symbol_count
        begin = s.starts_every_begin if scope == EVERYTHING else s.starts_symbol_begin
        if count > s.max_pauses_per_hour and now - w.rings[STARTS + scope, begin % size] < HOUR_NS:
            return HALT_PAUSES, scope, 0
    return NO_HALT, 0, 0


@compiled
def sigma_ticks(w: World, horizon_seconds: float) -> float:
    """Trailing mid volatility over a horizon."""
    return max(0.5 * sqrt(w.state[0].variance * horizon_seconds), w.state[0].sigma_floor_ticks)


@compiled
def unrealised(w: World) -> int:
    """At the worse touch."""
    s = w.state[0]
    if s.position_atoms == 0:
        return 0
    mark = s.bid_ticks if s.position_atoms > 0 else s.ask_ticks
    return s.position_atoms * mark * w.state[0].notional_atoms - s.cost


@compiled
def mark(w: World) -> int:
    """`Safeguards.mark`: the halt that the PnL calls for, or NO_HALT."""
    s = w.state[0]
    day = (s.now_ns - s.day_shift_ns) // DAY_NS
    if day > s.day:
        if s.day != NONE:
            s.day_start = s.last_pnl
        s.day = day
        s.loss_used_atoms = max(0, s.day_start - s.last_pnl)
    if s.valid:
        s.last_pnl = s.realised + unrealised(w) - s.fees + s.funding_atoms
        if s.last_pnl > s.peak:
            s.peak = s.last_pnl
        s.loss_used_atoms = max(0, s.day_start - s.last_pnl)
        s.drawdown_atoms = max(0, s.peak - s.last_pnl)
    if s.halted:
        return NO_HALT
    if s.loss_used_atoms >= s.max_loss_atoms:
        return HALT_LOSS
    return HALT_DRAWDOWN if s.drawdown_atoms >= s.max_drawdown_atoms else NO_HALT


@compiled
def budget_left(w: World) -> float:
    """Unused share of the daily loss budget."""
    return max(0.0, 1.0 - w.state[0].loss_used_atoms / w.state[0].max_loss_atoms)


@compiled
def slide(w: World, now: int) -> None:
    """`OrderRateBudget._slide`."""
    s = w.state[0]
    if now <= s.rate_slid_ns:
        return
    s.rate_now_ns = max(s.rate_now_ns, now)
    s.rate_slid_ns = s.rate_now_ns
    oldest, size = s.rate_now_ns - SHORT_WINDOW_NS, s.max_orders_per_10s
    while s.recent_count and w.rings[RECENT, s.recent_begin] <= oldest:
        s.recent_begin = (s.recent_begin + 1) % size
        s.recent_count -= 1
    first_hour = s.rate_now_ns // HOUR_NS - HOURS_KEPT
    while s.hours_count and w.rings[HOURS, s.hours_begin] < first_hour:
        s.day_count -= w.rings[HOUR_COUNTS, s.hours_begin]
        s.hours_begin = (s.hours_begin + 1) % HOURS_SIZE
        s.hours_count -= 1


@compiled
def rate_allows(w: World, now: int) -> bool:
    """Whether one more order stays within the counts."""
    slide(w, now)
    s = w.state[0]
    return s.recent_count + 1 <= s.max_orders_per_10s and s.day_count + 1 <= s.max_orders_per_day


@compiled
def pressure(w: World, now: int) -> float:
    """Largest share of a count in use."""
    slide(w, now)
    s = w.state[0]
    return max(s.recent_count / s.max_orders_per_10s, s.day_count / s.max_orders_per_day)


@compiled
def record_order(w: World, now: int) -> None:
    """An order is about to be written."""
    slide(w, now)
    s = w.state[0]
    size = s.max_orders_per_10s
    hour, last = s.rate_now_ns // HOUR_NS, (s.hours_begin + s.hours_count - 1) % HOURS_SIZE
    if not s.hours_count or w.rings[HOURS, last] != hour:
        last = (s.hours_begin + s.hours_count) % HOURS_SIZE
        w.rings[HOURS, last], w.rings[HOUR_COUNTS, last] = hour, 0
        s.hours_count += 1
    w.rings[HOUR_COUNTS, last] += 1
    s.day_count += 1
    if s.recent_count == size:
        s.recent_begin = (s.recent_begin + 1) % size
        s.recent_count -= 1
    w.rings[RECENT, (s.recent_begin + s.recent_count) % size] = s.rate_now_ns
    s.recent_count += 1
