"""The matcher against cases worked out by hand: queue position, partial fills, races, and the library's own faults."""

from __future__ import annotations

import numpy as np
import pytest
from hftbacktest import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, SELL_EVENT, TRADE_EVENT
from hftbacktest.types import event_dtype

from mmd.backtest.errors import BacktestError
from mmd.backtest.matching import Matcher, MatchStatus, OrderLatency, QueueModel
from mmd.types.market import Side

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
ENTRY, RESPONSE = 1_000_000, 2_000_000


def market(*rows: tuple[float, int, int, int, int]) -> np.ndarray:
    """Rows of (second, kind, side, price, quantity); the market goes on for a thousand seconds more."""
    made = [(kind | EXCH_EVENT | side, START + round(at * SECOND), 0, px, qty, 0, 0, 0.0) for at, kind, side, px, qty in rows]
    made.append((DEPTH_EVENT | EXCH_EVENT | BUY_EVENT, START + 1_000 * SECOND, 0, 1, 0, 0, 0, 0.0))
    return np.array(made, dtype=event_dtype)


BOOK = ((0.0, DEPTH_EVENT, SELL_EVENT, 101, 10), (0.0, DEPTH_EVENT, BUY_EVENT, 99, 10))


def sold(at: float, quantity: int, price: int = 99) -> tuple[float, int, int, int, int]:
    return (at, TRADE_EVENT, SELL_EVENT, price, quantity)


def run(matcher: Matcher, number: int, seconds: int = 30) -> list[tuple[float, int, MatchStatus]]:
    """(second, remaining, status) at each response."""
    seen = []
    until = matcher.now_ns + seconds * SECOND
    while matcher.now_ns < until:
        if matcher.advance(until):
            view = matcher.order(0, number)
            seen.append(((matcher.now_ns - START) / SECOND, view.remaining_lots, view.status))
    return seen


def placed(lots: int, *rows: tuple[float, int, int, int, int], price: int = 99) -> Matcher:
    matcher = Matcher([market(*BOOK, *rows)], [OrderLatency(ENTRY, RESPONSE)], "risk-averse")
    matcher.advance(START + SECOND // 2)
    matcher.place(0, 1, Side.BUY, price, lots)
    return matcher


def test_ten_lots_ahead_are_traded_first_then_ours_in_parts() -> None:
    # 10 ahead: 4 and 7 are traded, so 1 is ours; then 2; then the last one of four asked for.
    matcher = placed(4, sold(1, 4), sold(2, 7), sold(3, 2), sold(4, 5))
    assert run(matcher, 1) == [
        (0.503, 4, MatchStatus.NEW),
        (2.002, 3, MatchStatus.PARTIALLY_FILLED),
        (3.002, 1, MatchStatus.PARTIALLY_FILLED),
        (4.002, 0, MatchStatus.FILLED),
    ]


def test_what_was_cancelled_ahead_shortens_the_queue_no_further_than_to_what_is_left() -> None:
    matcher = placed(4, (1, DEPTH_EVENT, BUY_EVENT, 99, 3), sold(2, 3), sold(3, 1))
    assert run(matcher, 1)[1:] == [(3.002, 3, MatchStatus.PARTIALLY_FILLED)]


@pytest.mark.parametrize("lots", [1, 2, 4, 7])
def test_an_order_filled_exactly_is_done_and_later_trades_at_its_price_are_no_error(lots: int) -> None:
    matcher = placed(lots, sold(1, 10), sold(2, lots), sold(3, lots), sold(4, 3))
    assert run(matcher, 1)[1:] == [(2.002, 0, MatchStatus.FILLED)]


def test_a_trade_through_the_price_fills_all_of_it() -> None:
    assert run(placed(9, sold(1, 1, price=98)), 1)[1:] == [(1.002, 0, MatchStatus.FILLED)]


def test_a_post_only_order_that_would_take_is_expired_not_filled() -> None:
    assert run(placed(4, price=101), 1) == [(0.503, 4, MatchStatus.EXPIRED)]


def test_a_cancel_that_comes_too_late_finds_the_order_filled() -> None:
    matcher = placed(4, sold(1, 20))
    matcher.advance(START + 999_500_000)
    matcher.advance(START + 999_500_000)
    matcher.cancel(0, 1)  # there at 1.0005 s, half a millisecond after the trade
    assert run(matcher, 1)[0] == (1.002, 0, MatchStatus.FILLED)
    assert matcher.order(0, 1).status is MatchStatus.FILLED


def test_a_cancel_in_time_leaves_nothing_to_fill() -> None:
    matcher = placed(4, sold(1, 20))
    matcher.advance(START + 998_000_000)
    matcher.advance(START + 998_000_000)
    matcher.cancel(0, 1)
    assert run(matcher, 1) == [(1.001, 4, MatchStatus.CANCELED)]


def test_fewer_lots_keep_the_place_in_the_queue() -> None:
    matcher = placed(6, sold(1, 8), sold(2, 4), sold(3, 9))
    matcher.advance(START + 600_000_000)
    matcher.advance(START + 600_000_000)
    matcher.reduce(0, 1, 99, 3)
    seen = run(matcher, 1)
    assert seen[0][1] == 3
    assert seen[1:] == [(2.002, 1, MatchStatus.PARTIALLY_FILLED), (3.002, 0, MatchStatus.FILLED)]


def test_a_request_is_under_way_until_its_answer_though_what_was_asked_for_is_shown_at_once() -> None:
    matcher = placed(6)
    matcher.advance(START + 600_000_000)
    matcher.advance(START + 600_000_000)
    matcher.reduce(0, 1, 99, 3)
    before = matcher.order(0, 1)
    assert (before.asked_lots, before.busy) == (3, True)
    with pytest.raises(BacktestError, match="refuses to cancel"):
        matcher.cancel(0, 1)
    assert matcher.advance(START + SECOND)
    assert (matcher.order(0, 1).asked_lots, matcher.order(0, 1).busy) == (3, False)
    matcher.cancel(0, 1)


@pytest.mark.parametrize(("model", "remaining"), [("risk-averse", 5), ("probability", 4)])
def test_cancels_at_a_level_shorten_the_queue_as_the_model_says(model: QueueModel, remaining: int) -> None:
    # 25 ahead, 5 come behind, 4 go. Risk-averse: all from behind, 25 stay. Probability: a share of (25/30)³ = 0.579 from ahead,
    # 22.7 stay.
    # Then 24 are traded: 1 before us is left, or we get one of the 1.3 beyond.
    rows = [(0.0, DEPTH_EVENT, BUY_EVENT, 99, 25), (1.0, DEPTH_EVENT, BUY_EVENT, 99, 30), (2.0, DEPTH_EVENT, BUY_EVENT, 99, 26)]
    matcher = Matcher([market(*BOOK, *rows, sold(3, 24))], [OrderLatency(ENTRY, RESPONSE)], model)
    matcher.advance(START + SECOND // 2)
    matcher.place(0, 1, Side.BUY, 99, 5)
    run(matcher, 1)
    assert matcher.order(0, 1).remaining_lots == remaining


def test_the_end_of_the_data_is_told() -> None:
    matcher = placed(1)
    with pytest.raises(BacktestError, match="data has ended"):
        run(matcher, 1, seconds=5_000)
