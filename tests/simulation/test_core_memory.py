"""The core's memory does not grow with the session: everything that hangs on it, counted while thousands of events go by."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mmd.execution.settings import ExecutionSettings
from mmd.inference.bundle import load_bundle
from mmd.inference.predictor import QuotePredictor
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.types.instrument import atoms
from tests.reachable import reachable
from tests.simulation.test_neural_trader_on_engine import START_NS, wide_open

SECOND_NS = 1_000_000_000
ORDERS_KEPT = 40
"""Few, so that the bound is reached soon and what lies behind it is seen."""
LOOK_EVERY_SECONDS = 5
FILLING_SECONDS = 50
WATCHED_SECONDS = 100


def test_what_hangs_on_the_core_stays_as_much_once_its_bounds_are_reached() -> None:
    symbols = ("BTCUSDT", "ETHUSDT")
    bundle = wide_open(load_bundle(Path(__file__).parents[1] / "fixtures" / "tiny_bundle", feature_schema_hash=None))
    engine = MatchingEngine(listed(symbols))
    market = SimulatedMarket(engine, SimulationParameters(), seed=3, start_ns=START_NS)
    engine.open_account("A", {"BTC": atoms("5"), "ETH": atoms("100"), "USDT": atoms("1000000")})
    config = TraderConfig(
        session="t",
        quoting=QuotingSettings(strategy="neural"),
        execution=ExecutionSettings(terminal_orders_kept=ORDERS_KEPT),
    )
    predictors = {symbol: QuotePredictor(bundle) for symbol in symbols}
    trader = Trader(config, engine.instruments, bundle=bundle, predictors=predictors)
    venue = VirtualVenue(engine, market, "A")
    venue.connect(trader)

    looks: list[Counter[str]] = []
    for second in range(FILLING_SECONDS, FILLING_SECONDS + WATCHED_SECONDS + 1, LOOK_EVERY_SECONDS):
        venue.run(START_NS + second * SECOND_NS)
        looks.append(reachable(trader))
    report = trader.report(venue.now_ns)
    assert report.ticks > 15_000
    assert report.orders_sent > 8 * ORDERS_KEPT
    half = len(looks) // 2
    before, after = sum(looks[:half], Counter[str]()), sum(looks[half : 2 * half], Counter[str]())
    grown = {name: (after[name] - before[name]) // half for name in after if after[name] - before[name] > 2_000 * half}
    # What waits for its horizon comes and goes with the market; what is kept for good would grow by far more.
    assert after.total() < 1.03 * before.total(), grown
