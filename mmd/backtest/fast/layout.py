"""What compiled code works on: records of plain numbers, each the namesake of something live, and the codes in them.

Prices in ticks, quantities in lots (positions too: fees are in quote here, so that no position is a part of a lot), money in quote
atoms, times in UTC ns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mmd.execution.order_state import OPEN_STATES, TRANSITIONS, OrderState, OrderTrigger

_STATES, _TRIGGERS = list(OrderState), list(OrderTrigger)
assert set(_STATES[: len(OPEN_STATES)]) == OPEN_STATES
FIRST_TERMINAL = len(OPEN_STATES)
IMPOSSIBLE = -1
TABLE = np.full((len(_STATES), len(_TRIGGERS)), IMPOSSIBLE, np.int64)
"""State after a trigger, by state and trigger: the tracker's own transitions."""
for _state, _row in TRANSITIONS.items():
    for _trigger, _after in _row.items():
        TABLE[_STATES.index(_state), _TRIGGERS.index(_trigger)] = _STATES.index(_after)

PENDING_NEW, LIVE, PENDING_AMEND, PENDING_CANCEL, UNKNOWN, NEVER_EXISTED = (
    _STATES.index(each)
    for each in (
        OrderState.PENDING_NEW, OrderState.LIVE, OrderState.PENDING_AMEND, OrderState.PENDING_CANCEL, OrderState.UNKNOWN,
        OrderState.NEVER_EXISTED,
    )
)  # fmt: skip
(
    SEND_CANCEL, SEND_AMEND, LOSE, ACCEPTED, OPEN, TRADED, AMENDED, UNLISTED, CANCEL_REJECTED, NOT_FOUND, FILLED, CANCELED,
    REJECTED,
) = (
    _TRIGGERS.index(each)
    for each in (
        OrderTrigger.SEND_CANCEL, OrderTrigger.SEND_AMEND, OrderTrigger.LOSE, OrderTrigger.ACCEPTED, OrderTrigger.OPEN,
        OrderTrigger.TRADED, OrderTrigger.AMENDED, OrderTrigger.UNLISTED, OrderTrigger.CANCEL_REJECTED, OrderTrigger.NOT_FOUND,
        OrderTrigger.FILLED, OrderTrigger.CANCELED, OrderTrigger.REJECTED,
    )
)  # fmt: skip

# Events of the venue, as they wait to be delivered.
SAYS_ACCEPTED, SAYS_REJECTED, SAYS_UPDATE, SAYS_FILL, SAYS_CANCEL_REJECTED, SAYS_QUERIED, SAYS_REPORT, SETTLES, SAYS_FUNDING = (
    range(9)
)
# What is asked of the matcher.
DO_PLACE, DO_CANCEL, DO_REDUCE = range(3)
# What is written down of commands.
PLACED, CANCELLED, REPLACED, AMENDED_ORDER = range(4)
COMMANDS = ("PlaceOrder", "CancelOrder", "ReplaceOrder", "AmendOrder")
# Kinds of market records.
BATCH_END, FEED_DOWN, FEED_UP = range(3)
# Strategies.
FIXED, AVELLANEDA_STOIKOV, GLFT, NEURAL = range(4)
# Causes of a pause, as bits; starting up may last.
STARTING, FEED_DISCONNECTED, CHANNEL_DOWN, BOOK_INVALID, DATA_STALE, FEED_LAG, RECONCILING = (1 << n for n in range(7))
EVERYTHING, SYMBOL = range(2)
# Halts.
NO_HALT, HALT_LOSS, HALT_DRAWDOWN, HALT_PAUSE, HALT_PAUSES, HALT_FORGOTTEN = range(6)
# What happens.
MARKET_RECORD, TIMER, HEAR, SAYING_OF_VENUE, LAST_SAYING, CHANNEL_OPENS, SHUT_DOWN = range(7)
# Errors.
FINE, NO_ROOM, BAD_TRANSITION, DATA_ENDED, MATCHER_REFUSES, LOST_ORDER = range(6)
ERRORS = (
    "", "no room is left for another order", "an order was asked for what its state does not allow", "the data has ended",
    "hftbacktest refuses an order", "hftbacktest does not know an order",
)  # fmt: skip
NONE = -1
# What networks do before a step: go on, be warmed from the rows at hand, begin anew.
GOES_ON, WARMS, BEGINS = range(3)
INVENTORY_INPUTS = 5
WAITING_SIZE = 32


def _record(integers: str, floats: str = "", flags: str = "") -> np.dtype[Any]:
    fields = [(name, np.int64) for name in integers.split()] + [(name, np.float64) for name in floats.split()]
    return np.dtype([*fields, *[(name, np.bool_) for name in flags.split()]], align=True)


MARKET = _record(
    "receive_ns book_ns bid_ticks bid_lots ask_ticks ask_lots feed_lag_ns kind events first_step steps",
    "variance reach_ticks",
    "valid dirty warm refused",
)
"""The market as it stands after one batch of events, or at a change of the feed. `refused`: what networks said at the last step is
void, for the book was interrupted since."""

STEP = _record("receive_ns bid_ticks bid_lots ask_ticks ask_lots before", "variance", "interrupted")
"""One step: the touch and the variance that it left. `before`: what networks do before it, GOES_ON and the like;
`interrupted`: the book was invalid since the step before it."""

PREDICTION = _record("", "price_change optimal_spread position_signal outside p_up p_adverse_bid p_adverse_ask risk",
               "refused no_order_flow no_adverse no_risk")  # fmt: skip
"""What the networks say at a step to one who holds nothing. `outside`: what the market row adds to the out-of-range score;
`refused`: the quote network, whatever the inventory; `no_…`: the gate's word about the networks beside it."""

WAITING = _record("made_ns", "mid predicted")
"""A predicted move whose horizon has not passed."""

ORDER = _record(
    "seq amend_seq former_seq side price_ticks lots sent_ns request_ns changed_ns ordered_ns state filled booked amend_lots "
    "queries next_query_ns cancels next_cancel_ns not_founds amend_not_founds v_number v_name v_lots v_filled "
    "v_remaining v_replaced_by "
    "v_amend_to v_amend_seq seen_status seen_exchange_ns",
    "seen_left seen_asked",
    "acknowledged wants_cancel amend_refused v_open v_acknowledged v_cancel_wanted v_amending v_waiting v_waiting_cancel",
)
"""`TrackedOrder`, the venue's own view of it (`v_…`), and the newest word of the matcher (`seen_…`)."""

SAYING = _record("kind seq status lots filled former_seq fee price_ticks side due_ns asked_ns")
"""What the venue says, and what it will say when it is due."""

REQUEST = _record("kind number side price_ticks", "quantity")

STATE = _record(
    # time and progress
    "now_ns matcher_ns record next_timer_ns last_ns error events_seen "
    # the market as the trader knows it now
    "book_ns bid_ticks bid_lots ask_ticks ask_lots lag_ns "
    # the trader
    "halt halt_ns halt_value halt_scope halt_realised halt_unrealised halt_loss_used halt_drawdown day day_start last_pnl peak "
    "asked_ns next_ask_ns rate_now_ns rate_slid_ns recent_begin recent_count hours_begin hours_count day_count sequence "
    "mask_every mask_symbol since_every since_symbol starts_every_begin starts_every_count starts_symbol_begin starts_symbol_count "
    # its desk
    "cost realised fees funding_atoms payments timer_ns book_was_valid last_mid_x2 buy_room_lots sell_room_lots "
    # `RiskView`
    "position_atoms buy_at_risk_lots sell_at_risk_lots other_exposure_atoms loss_used_atoms drawdown_atoms open_orders data_age_ns "
    "feed_lag_ns own_best_bid_ticks own_best_ask_ticks "
    # the venue
    "number placed sent refused answers said requests venue_orders fills slots "
    # the recorder
    "begin_ns end_ns next_sample_ns samples log quote_bid_ticks quote_ask_ticks "
    # `QuotingSettings`, `ExecutionSettings`
    "strategy price_tolerance_ticks aggressive_tolerance_ticks acknowledgement_timeout_ns receive_window_ms query_backoff_ms "
    "max_query_backoff_ms not_found_confirmations minimum_quote_life_ns "
    # `Instrument` and what the checks know of one; a lot counts as one atom
    "min_lots max_lots min_price_ticks max_price_ticks min_notional_atoms notional_atoms lot_atoms position_bound "
    # `Bounds` of the checks, and the limits of the rest
    "collar max_order_atoms max_gross_atoms max_loss_atoms max_drawdown_atoms max_open_orders max_data_age_ns max_feed_lag_ns "
    "position_cap_atoms day_shift_ns max_orders_per_10s max_orders_per_day max_pause_ns max_pauses_per_hour "
    # the run
    "max_timer_silence_ns trade_from_ns sample_ns round_trip_ns interval_ns retry_ns timeout_ns "
    # the networks: where they stand, the inventory they were told, and the running regression
    "step made_ns inventory_sign inventory_since_ns next_prediction_ns waiting_begin waiting_count "
    "max_prediction_age_ns horizon_ns spacing_ns loss_limit_atoms exposure_limit_atoms atoms_per_lot",
    "variance reach_ticks inventory budget_left size_share skew_sigma_ticks sigma_ticks "
    "quote_mid quote_micro quote_head quote_skew quote_half_spread quote_fair "
    "min_half_spread_ticks order_notional min_size_fraction skew_factor max_skew_half_spreads risk_aversion fixed_fraction "
    "stoikov_sigmas glft_sigmas glft_skew_sigmas skew_horizon_seconds horizon_seconds sigma_floor_ticks fallback_widening "
    "price_tolerance_half_spreads aggressive_tolerance_half_spreads size_tolerance maker_fee "
    "quote_order_flow quote_adverse_bid quote_adverse_ask quote_position_head quote_spread_head "
    "price_change optimal_spread position_signal rescale product square rows decay max_outside log_range "
    # `QuoteModel`
    "microprice_weight price_head_weight order_flow_weight spread_min pull_threshold max_shift max_target adverse_median "
    "adverse_slope adverse_pull risk_median spread_weight half_spread_reach half_spread_sigmas network_half_spread_factor",
    "halted mode_allows leaving exited channel_up starting symbol_known valid warm dirty has_quote logging reported "
    "network_usable evaluated stale void inventory_is_zero pull risk_sizes risk_absent",
)
"""Everything of which there is one, under the names that the live path's functions read: to them this record is the context of a
quote, the settings, the instrument, the view of the checks and their bounds, all in one. Few arguments compile and run faster."""

FILL = _record(
    "receive_ns exchange_ns seq order side price_ticks lots fee mid_x2 quote_bid_ticks quote_ask_ticks",
    "quote_mid quote_micro quote_head quote_skew quote_half_spread quote_fair "
    "quote_order_flow quote_adverse_bid quote_adverse_ask quote_position_head quote_spread_head",
    "has_quote",
)

FUNDING = _record("receive_ns point lots mark_x2 amount")
"""A payment; `point` is its place in the list of settlements."""

SAMPLE = _record("time_ns mid_x2 position cash bid_ticks ask_ticks limit_lots")
LOG = _record("time_ns kind side price_ticks lots seq")


class World(NamedTuple):
    """All of one run."""

    state: Any
    """One record."""
    orders: Any
    lists: Any
    """[2, slots]: slots of orders that can still trade, and of those that the venue holds, oldest first each."""
    sayings: Any
    """[2, …]: what the venue says now, and what it will say when it is due."""
    requests: Any
    rings: Any
    """[5, …]: see RECENT and the others."""
    fills: Any
    funding: Any
    samples: Any
    log: Any
    records: Any
    """The market (`MARKET`), from the feed's connection on."""
    steps: Any
    predictions: Any
    """What the networks say, by step; one empty record where there are none."""
    waiting: Any
    inventory: Any
    """[INVENTORY_INPUTS] float32: what the quote network was told last."""
    ranges: Any
    """[3 x INVENTORY_INPUTS]: low, high and width of each in the training."""
    trunk: Any
    layers: Any
    weights: Any
    scratch: Any
    """Of `dense.Dense`, and the trunk's rows one after the other."""


# Rows of World.lists, World.sayings and World.rings.
OPEN_LIST, VENUE_LIST = range(2)
SAID, ANSWERS = range(2)
RECENT, HOURS, HOUR_COUNTS, STARTS = range(4)
HOURS_SIZE = 32
