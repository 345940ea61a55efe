"""Shadow ticks: their market is a sane one, they go the whole way, and nothing of the real session notices them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.benchmark.frames import SYMBOL, Frames, simulated_frames
from mmd.benchmark.session import HotSession
from mmd.daemon.bundles import load_networks
from mmd.daemon.rehearsal import RehearsedSession
from mmd.daemon.shadow_market import ShadowMarket
from mmd.daemon.shadow_tick import Shadow
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.rehearsal import BinanceWireRehearsal
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.market.book import OrderBook
from mmd.mock.instruments import listed
from mmd.quoting.settings import QuotingSettings
from mmd.types.market import DepthUpdate, MarketTrade, TouchUpdate
from tests.reachable import reachable

START_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def frames() -> Frames:
    return simulated_frames(25.0)


@pytest.fixture
def networks() -> tuple[Bundle, dict[str, QuotePredictor]]:
    return load_networks(Path("models/quote-v1"), (SYMBOL,), "auto")


def hot_session(frames: Frames, networks: tuple[Bundle, dict[str, QuotePredictor]]) -> HotSession:
    bundle, predictors = networks
    return HotSession(frames.snapshot, {SYMBOL: frames.instrument}, bundle, predictors)


@given(mid=st.integers(min_value=100, max_value=20_000_000), count=st.integers(min_value=1, max_value=300))
def test_the_book_stays_valid_and_shows_what_the_market_means(mid: int, count: int) -> None:
    instrument = listed((SYMBOL,))[0]
    market = ShadowMarket(instrument, mid, START_NS)
    book = OrderBook(SYMBOL)
    assert book.on_depth_snapshot(market.snapshot())
    assert book.valid
    for _ in range(count):
        event = market.next_event()
        if isinstance(event, TouchUpdate):
            book.on_touch_update(event)
            assert (book.bid_ticks, book.ask_ticks) == (event.bid_ticks, event.ask_ticks)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        assert book.valid, book.invalid_reason
        assert 0 < book.bid_ticks < book.ask_ticks
    assert book.gaps == 0


def test_frames_decode_to_the_events_they_were_made_of() -> None:
    instrument = listed((SYMBOL,))[0]
    market, wire = ShadowMarket(instrument, 6_000_000, START_NS), BinanceWireRehearsal({SYMBOL: instrument}, recv_window_ms=1500)
    seen = set()
    for _ in range(100):
        event = market.next_event()
        decoded = FrameDecoder({SYMBOL: instrument}).decode(wire.frame(event), event.receive_ns)
        if isinstance(event, TouchUpdate):
            # Spot's bookTicker names no time.
            assert decoded == msgspec.structs.replace(event, exchange_ns=0)
        else:
            assert decoded == event
        seen.add(type(event))
    assert seen == {TouchUpdate, MarketTrade, DepthUpdate}


def test_a_warm_rehearsal_answers_with_orders_and_uses_the_network(
    frames: Frames, networks: tuple[Bundle, dict[str, QuotePredictor]]
) -> None:
    real = hot_session(frames, networks)
    shadow = make_shadow(real, networks)
    for _ in range(400):
        shadow.tick()
    desk = shadow.session.trader.desks[SYMBOL]
    requests, steps = shadow.session.requests, desk.steps
    for _ in range(400):
        shadow.tick()
    assert shadow.session.requests - requests > 400
    gate = desk.perception.gate
    assert gate is not None
    assert gate.passed > 0.9 * steps, gate.refusals


def test_real_predictions_and_orders_do_not_depend_on_shadow_ticks(frames: Frames) -> None:
    outcomes = []
    for shadowed in (False, True):
        networks = load_networks(Path("models/quote-v1"), (SYMBOL,), "auto")
        real = hot_session(frames, networks)
        shadow = make_shadow(real, networks) if shadowed else None
        sent: list[bytes] = []
        said = []
        for receive_ns, frame in frames.frames:
            real.tick(receive_ns, frame, sent.append)
            if shadow is not None:
                shadow.tick()
            real.settle(receive_ns)
            prediction = real.trader.desks[SYMBOL].perception.prediction
            said.append((prediction.price_change, prediction.optimal_spread, prediction.position_signal, prediction.usable))
        outcomes.append((sent, said))
    assert outcomes[0][0], "the session sent no order at all: this would prove nothing"
    assert repr(outcomes[0]) == repr(outcomes[1])


def test_a_long_rehearsal_keeps_no_more_than_a_short_one(
    frames: Frames, networks: tuple[Bundle, dict[str, QuotePredictor]]
) -> None:
    shadow = make_shadow(hot_session(frames, networks), networks)
    for _ in range(500):
        shadow.tick()
    short = reachable(shadow)
    for _ in range(1000):
        shadow.tick()
    longer = reachable(shadow)
    assert longer.total() < 1.01 * short.total(), longer - short
    tracker = shadow.session.trader.tracker
    assert len(tracker.all_open()) <= 4
    assert shadow.session.requests > 1000
    assert len(tracker.every_order()) <= 110
    assert shadow.session.trader.report(START_NS).open_orders is not None


def make_shadow(real: RehearsedSession, networks: tuple[Bundle, dict[str, QuotePredictor]]) -> Shadow:
    bundle, predictors = networks
    desk = real.trader.desks[SYMBOL]
    wire = BinanceWireRehearsal({SYMBOL: desk.instrument}, recv_window_ms=1500)
    return Shadow(desk, wire, QuotingSettings(strategy="neural"), bundle, predictors[SYMBOL], START_NS)
