"""What a symbol's networks say in a compiled run, after `Perception`, `SymbolDesk` and `NeuralQuoter`.

What the market alone decides was worked out before (`network_pass`). The quote network is asked only where its word is needed: for
a quote, and where the running regression takes a prediction; its word is that of the last step, with the inventory that it had been
told by then.
"""

from __future__ import annotations

from typing import Any

from mmd.backtest.fast.compiling import compiled
from mmd.backtest.fast.dense import heads
from mmd.backtest.fast.formulas import (
    avellaneda_stoikov_terms,
    distance_outside,
    expected_move,
    half_spread_terms,
    inventory_row,
    learned,
    side_terms,
    size_left,
    skew_terms,
    widening,
)
from mmd.backtest.fast.layout import INVENTORY_INPUTS, NEURAL, NONE, WAITING_SIZE, World
from mmd.backtest.fast.safeguards import sigma_ticks, unrealised
from mmd.market.inventory import NS_PER_SECOND


@compiled
def take_steps(w: World, record: Any) -> None:
    """The steps of a batch, one after the other, each with the touch that it left."""
    s = w.state[0]
    if s.strategy != NEURAL:
        return
    for number in range(record.first_step, record.first_step + record.steps):
        step = w.steps[number]
        s.step, s.made_ns, s.evaluated, s.stale = number, step.receive_ns, False, False
        if step.interrupted:
            s.waiting_count = 0
        s.network_usable = not w.predictions[number].refused and outside(w, w.predictions[number].outside) <= s.max_outside
        if s.network_usable and regression_due(w):
            s.bid_ticks, s.bid_lots, s.ask_ticks, s.ask_lots = step.bid_ticks, step.bid_lots, step.ask_ticks, step.ask_lots
            s.variance = step.variance
            s.sigma_ticks = sigma_ticks(w, s.horizon_seconds)
            micro, head, flow, cross = move(w)
            observe(w, 0.5 * (s.bid_ticks + s.ask_ticks), micro + head + flow + cross)
    s.void = record.refused


@compiled
def outside(w: World, score: float) -> float:
    """`gate.score_on`: the score with what the inventory row adds."""
    for place in range(INVENTORY_INPUTS):
        value, low, high = float(w.inventory[place]), w.ranges[place], w.ranges[INVENTORY_INPUTS + place]
        if not low <= value <= high:
            score += distance_outside(value, low, high, w.ranges[2 * INVENTORY_INPUTS + place])
    return score


@compiled
def evaluate(w: World) -> None:
    """The quote network's word at the last step."""
    s = w.state[0]
    if s.evaluated or s.step == NONE:
        return
    s.evaluated = True
    if s.inventory_is_zero:
        said = w.predictions[s.step]
        s.price_change, s.optimal_spread, s.position_signal = said.price_change, said.optimal_spread, said.position_signal
    else:
        width = w.layers[1]
        row = w.trunk[s.step * width : (s.step + 1) * width]
        s.price_change, s.optimal_spread, s.position_signal = heads(w.layers, w.weights, w.scratch, row, w.inventory)


@compiled
def move(w: World) -> tuple[float, float, float, float]:
    """`NeuralQuoter.expected_move`."""
    s = w.state[0]
    evaluate(w)
    said = w.predictions[s.step]
    silent = s.void or s.stale or said.no_order_flow
    return expected_move(s, s, s.price_change, 0.0 if silent else 2.0 * said.p_up - 1.0, None)


# ---- the running regression, after `OnlineRescale`


@compiled
def regression_due(w: World) -> bool:
    """`OnlineRescale.idle`, the other way round."""
    s = w.state[0]
    if s.made_ns >= s.next_prediction_ns:
        return True
    return s.waiting_count > 0 and s.made_ns - w.waiting[s.waiting_begin].made_ns >= s.horizon_ns


@compiled
def observe(w: World, mid: float, predicted: float) -> None:
    """Predictions whose horizon has passed are judged by this mid, and this one is taken where it is time."""
    s = w.state[0]
    now = s.made_ns
    while s.waiting_count and now - w.waiting[s.waiting_begin].made_ns >= s.horizon_ns:
        then = w.waiting[s.waiting_begin]
        s.waiting_begin = (s.waiting_begin + 1) % WAITING_SIZE
        s.waiting_count -= 1
        s.product, s.square, s.rows, s.rescale = learned(
            s.product, s.square, s.rows, s.rescale, s.decay, then.predicted, mid - then.mid
        )
    if now >= s.next_prediction_ns:
        s.next_prediction_ns = now + s.spacing_ns
        then = w.waiting[(s.waiting_begin + s.waiting_count) % WAITING_SIZE]
        then.made_ns, then.mid, then.predicted = now, mid, predicted
        s.waiting_count += 1


# ---- quotes


@compiled
def tell_inventory(w: World, limit_lots: int) -> None:
    """`SymbolDesk._tell_inventory`: the inventory inputs of the steps to come."""
    s = w.state[0]
    if s.position_atoms == 0 and s.inventory_is_zero:
        return
    # The last step's word is about the inventory before.
    evaluate(w)
    position = s.position_atoms
    sign = 1 if position > 0 else -1 if position < 0 else 0
    if sign != s.inventory_sign:
        s.inventory_sign, s.inventory_since_ns = sign, s.now_ns
    mid = 0.5 * (s.bid_ticks + s.ask_ticks)
    entry = s.cost / (position * s.notional_atoms) if position else 0.0
    unit = s.notional_atoms / s.atoms_per_lot
    row = inventory_row(
        position,
        limit_lots,
        (s.now_ns - s.inventory_since_ns) / NS_PER_SECOND,
        mid - entry,
        s.skew_sigma_ticks,
        unrealised(w),
        s.loss_limit_atoms,
        int(abs(position) * s.atoms_per_lot * mid * unit),
        s.exposure_limit_atoms,
    )
    w.inventory[0], w.inventory[1], w.inventory[2], w.inventory[3], w.inventory[4] = row
    s.inventory_is_zero = row[0] == 0.0 and row[1] == 0.0 and row[2] == 0.0 and row[3] == 0.0 and row[4] == 0.0


@compiled
def network_fresh(w: World) -> bool:
    """`Perception.fresh`: whether the quote network's word may be used; where it is too old the others' may not, either."""
    s = w.state[0]
    if s.now_ns - s.made_ns <= s.max_prediction_age_ns:
        return s.network_usable and not s.void
    s.stale = True
    s.network_usable = False
    return False


@compiled
def hear_risk(w: World) -> None:
    """`prediction.size_share`."""
    s = w.state[0]
    said = w.predictions[max(s.step, 0)]
    if not s.risk_sizes or s.risk_absent:
        s.size_share = 1.0
    else:
        s.size_share = size_left(s.risk_median if s.void or s.stale or said.no_risk else said.risk)


@compiled
def network_terms(w: World) -> tuple[float, float, float, float, float, float, float, bool, bool]:
    """`NeuralQuoter.quote` before sizes and clamps: microprice, price head, order flow, skew, half-spread, both sides'
    P(adverse) in ticks, and whether each side is pulled."""
    s = w.state[0]
    s.sigma_ticks = sigma_ticks(w, s.horizon_seconds)
    hear_risk(w)
    micro, head, flow, cross = move(w)
    micro, head, flow, cross = micro * s.rescale, head * s.rescale, flow * s.rescale, cross * s.rescale
    half_spread, s.quote_spread_head = half_spread_terms(s, s, s, s.log_range, s.optimal_spread)
    said = w.predictions[s.step]
    heard = not (s.void or s.stale or said.no_adverse)
    total = micro + head + flow + cross
    adverse_bid, adverse_ask, pull_bid, pull_ask = side_terms(
        s, s, total, half_spread, heard, said.p_adverse_bid, said.p_adverse_ask
    )
    skew, of_head = skew_terms(s, s, s, half_spread, s.position_signal)
    s.quote_position_head = of_head
    return micro, head, flow, skew, half_spread, adverse_bid, adverse_ask, pull_bid, pull_ask


@compiled
def fallback_terms(w: World) -> tuple[float, float, float, float]:
    """`NeuralQuoter.fallback`: half-spread, skew, and both sides' P(adverse) in ticks."""
    s = w.state[0]
    hear_risk(w)
    half_spread, skew = avellaneda_stoikov_terms(s, s, s.stoikov_sigmas, s.fallback_widening)
    adverse_bid = adverse_ask = 0.0
    said = w.predictions[max(s.step, 0)]
    if s.adverse_slope and not (s.void or s.stale or said.no_adverse):
        adverse_bid = max(0.0, widening(s, said.p_adverse_bid, half_spread, half_spread))
        adverse_ask = max(0.0, widening(s, said.p_adverse_ask, half_spread, half_spread))
    s.quote_position_head = s.quote_spread_head = 0.0
    return half_spread, skew, adverse_bid, adverse_ask
