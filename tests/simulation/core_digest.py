"""What books, features and quotes make of drawn markets, to the last bit; run as a module it prints one digest a seed."""

from __future__ import annotations

import hashlib
import sys
from random import Random
from typing import Any

from mmd import CORE
from mmd.market.book import OrderBook
from mmd.market.feature_stream import FeatureStream
from mmd.mock.instruments import listed
from mmd.quoting.avellaneda_stoikov import AvellanedaStoikovQuoter
from mmd.quoting.fixed import FixedSpreadQuoter
from mmd.quoting.glft import GlftQuoter
from mmd.quoting.neural import NeuralQuoter
from mmd.quoting.prediction import Prediction, QuoteModel
from mmd.quoting.quote import QuoteContext, clamp
from mmd.quoting.settings import QuotingSettings
from mmd.types.market import MarketTrade, Side, TouchUpdate
from tests.simulation.golden_book import GoldenBook

SEEDS = 12
STEPS = 1_500
START_NS = 1_700_000_000_000_000_000
MODEL = QuoteModel(0.4, 0.7, 0.3, 6.0, 0.5, 2.0, 0.25, 1_000_000_000, order_flow_weight=0.2, adverse_slope=0.8, risk_sizes=True)


def digest(seed: int) -> str:
    """Of everything that one drawn market leads to."""
    random, found = Random(seed), hashlib.sha256()
    instrument = listed(("BTCUSDT",))[0]
    market, book, stream = GoldenBook(instrument, random), OrderBook(instrument.symbol), FeatureStream()
    settings = QuotingSettings(pull=seed % 2 == 0)
    quoters: list[Any] = [kind(settings, instrument) for kind in (FixedSpreadQuoter, AvellanedaStoikovQuoter, GlftQuoter)]
    quoters.append(NeuralQuoter(settings, instrument, MODEL))
    now = START_NS
    for number in range(STEPS):
        now += random.randrange(1, 100_000_000)
        stepped = False
        for event in _events(random, market, now):
            if isinstance(event, MarketTrade):
                stepped |= book.valid and stream.on_trade(event, book)
            elif isinstance(event, TouchUpdate):
                stepped |= book.on_touch_update(event) and stream.on_book(book, now)
            else:
                stepped |= book.on_depth_update(event) and stream.on_book(book, now)
        if book.needs_snapshot:
            book.on_depth_snapshot(market.snapshot(now))
        if number % 400 == 399:
            # A hole in the diffs.
            market.move(1)
            market.diff(now, now)
        state: list[Any] = [book.valid, book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots, book.best_lots(5), stepped]
        state += [value.hex() for value in stream.features.values]
        if book.valid:
            state += _quotes(random, stream, book, quoters, now)
        found.update(repr(state).encode())
    return found.hexdigest()


def _events(random: Random, market: GoldenBook, now: int) -> list[Any]:
    draw, stamp = random.random(), now - random.randrange(5_000_000)
    if draw < 0.25:
        price = market.bid if draw < 0.12 else market.bid + market.spread
        side = Side.SELL if draw < 0.12 else Side.BUY
        return [MarketTrade(market.instrument.symbol, now, stamp, market.update_id, price, random.randrange(1, 4_000), side)]
    market.move(random.choice((-12, -5, -1, 0, 0, 0, 1, 5, 12)))
    return [market.touch(now)] if draw < 0.6 else [market.diff(now, stamp)]


def _quotes(random: Random, stream: FeatureStream, book: OrderBook, quoters: list[Any], now: int) -> list[Any]:
    context = QuoteContext(
        bid_ticks=book.bid_ticks,
        bid_lots=book.bid_lots,
        ask_ticks=book.ask_ticks,
        ask_lots=book.ask_lots,
        inventory=random.uniform(-1.0, 1.0),
        budget_left=random.uniform(0.0, 1.0),
        buy_room_lots=random.randrange(0, 5_000),
        sell_room_lots=random.randrange(0, 5_000),
        sigma_ticks=stream.features.sigma_ticks(1.0),
        skew_sigma_ticks=stream.features.sigma_ticks(2.0),
    )
    said = Prediction(
        price_change=random.gauss(0.0, 1.0),
        optimal_spread=random.random(),
        position_signal=random.uniform(-1.0, 1.0),
        p_up=random.random(),
        order_flow_refusal="",
        p_adverse_bid=random.random(),
        p_adverse_ask=random.random(),
        adverse_refusal="",
        risk=random.random(),
        risk_refusal="",
    )
    instrument = listed(("BTCUSDT",))[0]
    shown: list[Any] = []
    for quoter in quoters:
        raw = quoter.quote(context, said) if isinstance(quoter, NeuralQuoter) else quoter.quote(context)
        quote = clamp(raw, context, instrument, now)
        numbers = [value.hex() for value in quote.attribution.as_dict().values()]
        prices = (quote.bid_ticks, quote.bid_lots, quote.ask_ticks, quote.ask_lots)
        shown.append((prices, quote.withheld, raw.confidence.hex(), numbers))
    return shown


if __name__ == "__main__":
    sys.stdout.write(f"{CORE.name}\n")
    for number in range(SEEDS):
        sys.stdout.write(f"{digest(number)}\n")
