from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, OrderType, TimeInForce, TradePrint
from mmd.mock.instruments import INSTRUMENTS
from mmd.mock.simulation.desk import Desk
from mmd.mock.simulation.efficient_price import EfficientPrices
from mmd.mock.simulation.parameters import SimulationParameters
from mmd.types.market import Side

NOW_NS = 1_700_000_000_000_000_000


class Listener:
    def __init__(self) -> None:
        self.fills: list[tuple[Side, int]] = []

    def filled(self, side: Side, lots: int) -> None:
        self.fills.append((side, lots))


class Market:
    def __init__(self) -> None:
        self.engine = MatchingEngine(INSTRUMENTS.values())
        self.engine.open_account("somebody", {"USDT": 10**15, "BTC": 10**12})
        self.heard: list[Sequence[EngineEvent]] = []
        parameters = SimulationParameters()
        prices = EfficientPrices(parameters, INSTRUMENTS, np.random.SeedSequence(1), NOW_NS)
        self.desk = Desk(self.engine, parameters.symbols[0], 0, prices, lambda _time, _symbol, events: self.heard.append(events))


@pytest.fixture
def market() -> Market:
    return Market()


def test_an_empty_book_shows_a_step_about_the_efficient_price_without_lots(market: Market) -> None:
    bid, bid_lots, ask, ask_lots = market.desk.touch(NOW_NS)
    assert (bid_lots, ask_lots, ask - bid) == (0, 0, market.desk.step_ticks)
    assert bid == pytest.approx(6_000_000, rel=1e-3)


def test_an_owner_hears_of_fills_and_its_order_shrinks(market: Market) -> None:
    owner = Listener()
    order = market.desk.rest(Side.SELL, 6_000_100, 50, NOW_NS, owner)
    assert order is not None
    assert market.desk.take(Side.BUY, 6_000_100, 20, NOW_NS) == 20
    assert (owner.fills, order.lots, market.desk.resting_count) == ([(Side.SELL, 20)], 30, 1)
    assert market.desk.take(Side.BUY, 6_000_100, 100, NOW_NS) == 30
    assert (order.lots, market.desk.resting_count) == (0, 0)
    assert [type(events[0]) for events in market.heard if events] == [TradePrint, TradePrint]
    assert market.engine.touch("BTCUSDT")[1:] == (0, 0, 0, 0)


def test_what_a_take_leaves_does_not_rest(market: Market) -> None:
    market.desk.rest(Side.BUY, 5_999_900, 10, NOW_NS, None)
    assert market.desk.take(Side.SELL, 5_999_900, 25, NOW_NS) == 10
    assert market.engine.depth("BTCUSDT", 5)[1:] == ([], [])


def test_a_fill_by_an_account_is_noticed_at_the_cancel(market: Market) -> None:
    owner = Listener()
    order = market.desk.rest(Side.SELL, 6_000_100, 50, NOW_NS, owner)
    assert order is not None
    new = NewOrder("somebody", "BTCUSDT", Side.BUY, OrderType.LIMIT, TimeInForce.IOC, 6_000_100, 50)
    market.engine.place(new, NOW_NS)
    assert not market.desk.pull(order, NOW_NS)
    assert owner.fills == [(Side.SELL, 50)]
    assert (order.lots, market.desk.resting_count) == (0, 0)
    assert not market.desk.pull(order, NOW_NS)
