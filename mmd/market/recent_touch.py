"""The features of what has just happened at the touch: the second dozen of a row, over tenths of a second to seconds.

What they are stands in feature_table.py. Sums fade with receive time, hence one exponential for each half-life and step in time.
"""

from __future__ import annotations

from collections.abc import Generator
from math import asinh, exp, hypot, log, sqrt
from typing import Final

from mmd.market.feature_settings import FeatureSettings
from mmd.market.volatility import NOTHING, Usual

RecentStep = tuple[float, int, int, float, int, int, int, int, int, int, int, int, int]
"""Of one step: seconds since the one before; change of the mid (half-ticks); order flow (lots); imbalance of the touch; bid ticks
and lots, ask ticks and lots; mid (half-ticks); spread (ticks); lots traded, bought less sold; twice the sum of ticks x lots."""
STRETCH_SECONDS: Final = 0.04
"""A move counts in half-spreads, but a spread counts as no narrower than the mid's volatility over so long."""
TRADE_SHARE: Final = 0.3
"""Weight of the newest trade in the average price of trades."""


def recent_rows(settings: FeatureSettings, usual: Usual) -> Generator[list[float], RecentStep, None]:
    """Is sent steps and yields the values of `RECENT_NAMES`, each within the limit. Mid and volatilities are in half-ticks and
    spreads in ticks, so that a spread is a half-spread. A quantity of 0 says nothing of its side.
    """
    limit = settings.limit
    first, second, third = (-log(2.0) / seconds for seconds in settings.recent_half_lives_seconds)
    moves_first = moves_second = flows_first = flows_second = 0.0
    signed_second = imbalances_second = imbalances_third = 0.0
    # Prices count from the first mid, so that what is averaged has the digits to spare.
    last_price = average_price = 0.0
    traded = False
    step = yield []
    _, _, _, last_imbalance, last_bid_ticks, most_bid_lots, last_ask_ticks, most_ask_lots, origin, *_ = step
    while True:
        (
            seconds, change, flow, imbalance, bid_ticks, bid_lots, ask_ticks, ask_lots, mid, spread,
            volume, signed, twice_ticks_lots,
        ) = step  # fmt: skip
        if seconds > 0.0:
            kept = exp(seconds * first)
            moves_first *= kept
            flows_first *= kept
            kept = exp(seconds * second)
            moves_second *= kept
            flows_second *= kept
            signed_second *= kept
            imbalances_second *= kept
            imbalances_third *= exp(seconds * third)
        if change:
            moves_first += change
            moves_second += change
        if flow:
            flows_first += flow
            flows_second += flow
        if imbalance != last_imbalance:
            imbalances_second += imbalance - last_imbalance
            imbalances_third += imbalance - last_imbalance
            last_imbalance = imbalance
        if bid_ticks != last_bid_ticks or bid_lots > most_bid_lots:
            last_bid_ticks, most_bid_lots = bid_ticks, bid_lots
        if ask_ticks != last_ask_ticks or ask_lots > most_ask_lots:
            last_ask_ticks, most_ask_lots = ask_ticks, ask_lots
        if volume:
            signed_second += signed
            last_price = (twice_ticks_lots - origin * volume) / volume
            average_price = average_price + TRADE_SHARE * (last_price - average_price) if traded else last_price
            traded = True

        mid -= origin
        usual_spread = usual.spread_ticks
        unit = sqrt(spread * spread + STRETCH_SECONDS * usual.variance + usual.sigma_floor_squared)
        per_move = 1.0 / unit if unit > NOTHING else 0.0
        lots = usual.touch_lots
        per_lots = 1.0 / lots if lots > NOTHING else 0.0
        thin = bid_lots if bid_lots < ask_lots else ask_lots
        trade_offset = average_offset = thinness = 0.0
        if traded:
            trade_offset = (last_price - mid) * per_move
            average_offset = (average_price - mid) * per_move
        if thin and per_lots:
            thinness = log(thin * per_lots)
        signed_flow = asinh(signed_second * per_lots) if signed_second else 0.0
        flow_first, flow_second = asinh(flows_first * per_lots), asinh(flows_second * per_lots)
        move_first, move_second = moves_first * per_move, moves_second * per_move
        row = [
            signed_flow,
            trade_offset,
            average_offset,
            imbalances_second,
            imbalances_third,
            flow_first,
            flow_second,
            move_first,
            move_second,
            thinness,
            (spread - usual_spread) / (spread + usual_spread) if spread or usual_spread else 0.0,
            (bid_lots / most_bid_lots if most_bid_lots else 0.0) - (ask_lots / most_ask_lots if most_ask_lots else 0.0),
        ]
        # Cheaper than comparisons; the others are within [-2, 2].
        if hypot(signed_flow, trade_offset, average_offset, flow_first, flow_second, move_first, move_second, thinness) > limit:
            row = [limit if value > limit else -limit if value < -limit else value for value in row]
        step = yield row
