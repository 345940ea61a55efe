"""The simulated market behaves like the recorded ones in what matters to a market maker, and holds for hours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, OrderType, TimeInForce
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.types.market import Side
from tests.simulation.market_recording import (
    SECOND_NS,
    START_NS,
    Recorder,
    autocorrelation,
    imbalance_correlation,
    returns_bps,
    simulated,
)
from tests.simulation.touch_quoter import quoted

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SEEDS = (21, 22)
SECONDS = 400
END_NS = START_NS + SECONDS * SECOND_NS


@pytest.fixture(scope="module")
def recorders() -> list[Recorder]:
    return [simulated(seed, SECONDS)[0] for seed in SEEDS]


# ---- the same seed is the same market


def test_same_seed_same_events_however_time_is_advanced() -> None:
    once, _ = simulated(5, 20)
    again, _ = simulated(5, 20, chunk_seconds=0.037)
    other, _ = simulated(6, 20)
    assert once.digest == again.digest
    assert once.digest != other.digest


def test_same_seed_same_events_in_another_process() -> None:
    root = Path(__file__).parents[2]
    command = "from tests.simulation.market_recording import simulated; print(simulated(5, 5)[0].digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "99", "PYTHONPATH": str(root)}
    elsewhere = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True)
    assert elsewhere.stdout.strip() == simulated(5, 5)[0].digest


def test_time_does_not_go_back() -> None:
    _, market = simulated(5, 1)
    with pytest.raises(ValueError, match="cannot go back"):
        market.advance(START_NS, lambda *_: None)


# ---- like the recordings (2024-07-18: correlation 0.30 to 0.36, 1 s volatility 0.5 bps, 7.5 aggressive orders a second)


def test_imbalance_predicts_the_next_second(recorders: list[Recorder]) -> None:
    for recorder in recorders:
        for symbol in SYMBOLS:
            assert 0.1 < imbalance_correlation(recorder.recordings[symbol], END_NS) < 0.4, symbol


def test_the_two_symbols_move_together(recorders: list[Recorder]) -> None:
    for recorder in recorders:
        first, second = (returns_bps(recorder.recordings[symbol], END_NS) for symbol in SYMBOLS)
        assert 0.3 < np.corrcoef(first, second)[0, 1] < 0.95


def test_volatility_and_trades_cluster(recorders: list[Recorder]) -> None:
    absolute, signs = [], []
    for recorder in recorders:
        for symbol in SYMBOLS:
            absolute.append(autocorrelation(np.abs(returns_bps(recorder.recordings[symbol], END_NS))))
            signs.append(autocorrelation(np.array([float(sign) for _, sign, _ in recorder.recordings[symbol].aggressors])))
    assert np.mean(absolute) > 0.03
    assert min(signs) > 0.05


def test_rates_spread_and_volatility_are_in_the_neighbourhood(recorders: list[Recorder]) -> None:
    for recorder in recorders:
        for symbol, most_ticks in (("BTCUSDT", 90), ("ETHUSDT", 8)):
            recording = recorder.recordings[symbol]
            spread = recording.sampled(SECOND_NS // 10, START_NS, END_NS)["spread"]
            assert 1 < np.median(spread) <= most_ticks
            assert 3 < len(recording.aggressors) / SECONDS < 30
            assert 8 < len(recording.touches) / SECONDS < 120
            assert 0.12 < returns_bps(recording, END_NS).std() < 0.9


def test_wide_spreads_close_again(recorders: list[Recorder]) -> None:
    for recorder in recorders:
        for symbol in SYMBOLS:
            spread = recorder.recordings[symbol].sampled(SECOND_NS // 10, START_NS, END_NS)["spread"]
            wide = np.flatnonzero(spread[:-20] > 2.5 * np.median(spread))
            assert len(wide) > 0
            assert np.mean(spread[wide + 20] < spread[wide]) > 0.8


# ---- it holds


def hold(seed: int, seconds: int) -> None:
    """Run with the checks that must hold at every second; the recorder's crossed-book check is made at every operation."""
    parameters = SimulationParameters()
    engine = MatchingEngine(listed(SYMBOLS))
    market = SimulatedMarket(engine, parameters, seed=seed, start_ns=START_NS)
    deviations: dict[str, list[float]] = {symbol: [] for symbol in SYMBOLS}

    def sink(_time_ns: int, symbol: str, _events: Sequence[EngineEvent]) -> None:
        _, bid, _, ask, _ = engine.touch(symbol)
        assert 0 < bid < ask

    for _ in range(seconds):
        market.advance(market.now_ns + SECOND_NS, sink)
        for symbol in SYMBOLS:
            _, bids, asks = engine.depth(symbol, 1000)
            assert min(len(bids), len(asks)) >= 15
            assert market.resting_orders(symbol) < 600
            assert engine.take_depth_changes(symbol) is not None
            efficient = market.efficient_price_ticks(symbol)
            deviations[symbol].append(abs((bids[0][0] + asks[0][0]) / 2 - efficient) / efficient * 1e4)
    for symbol in SYMBOLS:
        assert np.median(deviations[symbol]) < 0.3, "the price follows the efficient price"
        assert np.quantile(deviations[symbol], 0.99) < 3.0
        assert max(np.convolve(deviations[symbol], np.ones(10) / 10, "valid")) < 5.0


def test_it_holds_for_minutes() -> None:
    hold(31, 300)


@pytest.mark.long
def test_it_holds_for_two_hours() -> None:
    hold(32, 7200)


def test_the_book_refills_after_an_account_has_swept_it() -> None:
    engine = MatchingEngine(listed(SYMBOLS))
    engine.open_account("whale", {"USDT": 10**19, "BTC": 10**15})
    market = SimulatedMarket(engine, SimulationParameters(), seed=41, start_ns=START_NS)
    market.advance(START_NS + 5 * SECOND_NS, lambda *_: None)
    for side in (Side.SELL, Side.BUY):
        _, bids, asks = engine.depth("BTCUSDT", 1000)
        everything = sum(lots for _, lots in (bids if side is Side.SELL else asks))
        order = NewOrder("whale", "BTCUSDT", side, OrderType.MARKET, None, 0, everything)
        engine.place(order, market.now_ns)
        assert 0 in engine.touch("BTCUSDT")[1:]
        market.advance(market.now_ns + 10 * SECOND_NS, lambda *_: None)
        _, bids, asks = engine.depth("BTCUSDT", 1000)
        assert min(len(bids), len(asks)) >= 20
        assert abs((bids[0][0] + asks[0][0]) / 2 / market.efficient_price_ticks("BTCUSDT") - 1) < 3e-4


def test_an_order_far_from_the_price_is_picked_off() -> None:
    engine = MatchingEngine(listed(SYMBOLS))
    engine.open_account("foolish", {"USDT": 10**15})
    market = SimulatedMarket(engine, SimulationParameters(), seed=42, start_ns=START_NS)
    market.advance(START_NS + 5 * SECOND_NS, lambda *_: None)
    ask = engine.touch("BTCUSDT")[3]
    # Whatever stands below the bid is bought first, then the rest of the order waits well above the price.
    _, _, asks = engine.depth("BTCUSDT", 15)
    lots = sum(lots for _, lots in asks) + 1000
    new = NewOrder("foolish", "BTCUSDT", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, asks[-1][0], lots)
    order, _ = engine.place(new, market.now_ns)
    assert engine.touch("BTCUSDT")[1] == asks[-1][0] > ask
    market.advance(market.now_ns + 5 * SECOND_NS, lambda *_: None)
    assert order.remaining_lots == 0


# ---- what it is to make a market here


def test_a_quoter_at_the_touch_is_filled_and_picked_off_and_leaning_helps() -> None:
    markouts: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for leans in (False, True):
        quoters, market = quoted(51, SECONDS, lean=0.5 if leans else None)
        for symbol, quoter in quoters.items():
            assert len(quoter.fills) / SECONDS * 60 > 5, f"{symbol}: fills a minute"
            markouts[leans].append(quoter.markouts_bps(SECOND_NS, market.now_ns))
            if not leans:
                assert markouts[leans][-1].mean() < 0, f"{symbol}: the passive quoter is not adversely selected"
    passive, leaning = (np.concatenate(markouts[leans]) for leans in (False, True))
    assert leaning.mean() > passive.mean()
