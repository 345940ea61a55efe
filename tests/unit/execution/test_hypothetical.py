"""Quotes that were never sent: filled strictly beyond, once, and marked like real fills."""

from __future__ import annotations

import pytest

from mmd.execution.hypothetical import HypotheticalQuotes
from mmd.types.market import Side

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def standing(bid: int = 100, ask: int = 110) -> HypotheticalQuotes:
    quotes = HypotheticalQuotes("BTCUSDT")
    quotes.on_mid(START, 210)
    quotes.stand(bid, ask)
    return quotes


@pytest.mark.parametrize(
    ("price", "aggressor", "fills"),
    [(100, Side.SELL, 0), (99, Side.SELL, 1), (99, Side.BUY, 0), (110, Side.BUY, 0), (111, Side.BUY, 1), (111, Side.SELL, 0)],
)
def test_only_a_trade_strictly_beyond_and_against_it_fills(price: int, aggressor: Side, fills: int) -> None:
    quotes = standing()
    quotes.on_trade(START, price, aggressor)
    assert quotes.fills == fills


def test_a_quote_fills_once_while_it_stands_and_a_side_of_0_never() -> None:
    quotes = standing(bid=0)
    for _ in range(3):
        quotes.on_trade(START, 1, Side.SELL)
        quotes.on_trade(START, 120, Side.BUY)
    assert (quotes.fills, quotes.quotes) == (1, 1)
    quotes.stand(100, 110)
    quotes.on_trade(START, 120, Side.BUY)
    assert (quotes.fills, quotes.quotes) == (2, 3)


def test_markouts_are_in_bps_of_the_fill_positive_for_the_maker() -> None:
    quotes = standing()
    quotes.on_trade(START, 99, Side.SELL)
    quotes.on_mid(START + SECOND, 204)
    quotes.on_mid(START + 11 * SECOND, 196)
    markouts = quotes.markouts_bps()
    assert markouts["0s"] == pytest.approx(5 / 100 * 1e4)
    assert markouts["1s"] == pytest.approx(2 / 100 * 1e4)
    assert "60s" not in markouts


def test_an_interruption_takes_the_quotes_away_and_measures_nothing_over_it() -> None:
    quotes = standing()
    quotes.on_trade(START, 99, Side.SELL)
    quotes.interrupt(START + SECOND // 100)
    quotes.on_trade(START + SECOND, 1, Side.SELL)
    quotes.on_mid(START + 2 * SECOND, 204)
    assert quotes.fills == 1
    assert set(quotes.markouts_bps()) == {"0s"}
