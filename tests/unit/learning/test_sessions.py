"""Rows of the data set are the live rows, know the past only, and never reach across a gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmd.learning.data import parse_data
from mmd.learning.sessions import Session, SessionRecorder, record_sessions
from mmd.learning.sources import MarketEvent, simulated_events, simulated_sources
from mmd.market.book import OrderBook
from mmd.market.feature_settings import FeatureSettings
from mmd.market.features import MarketFeatures
from mmd.market.ring import FeatureRing
from mmd.market.steps import StepBuilder
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def events() -> list[MarketEvent]:
    return list(simulated_events(5, 60.0, "ETHUSDT"))


def recorded(events: list[MarketEvent]) -> list[Session]:
    recorder = SessionRecorder("made", "ETHUSDT", 1.0, min_rows=1)
    sessions = [recorder.on_event(event) for event in events] + [recorder.finish()]
    return [session for session in sessions if session is not None]


def live_rows(events: list[MarketEvent]) -> list[list[float]]:
    """What a trader's ring is given: book, step builder, features and ring put together by hand."""
    settings = FeatureSettings()
    book, steps, features = OrderBook("ETHUSDT"), StepBuilder(settings), MarketFeatures(settings)
    ring = FeatureRing(settings.ring_steps, len(MarketFeatures.NAMES))
    rows = []
    for event in events:
        if isinstance(event, MarketTrade):
            due = book.valid and steps.on_trade(event)
        else:
            if isinstance(event, DepthSnapshot):
                book.on_depth_snapshot(event)
            elif isinstance(event, DepthUpdate):
                book.on_depth_update(event)
            elif isinstance(event, TouchUpdate):
                book.on_touch_update(event)
            due = book.valid and steps.on_touch(book, event.receive_ns)
        if not due:
            continue
        row = features.update(
            event.receive_ns,
            book.bid_ticks,
            book.bid_lots,
            book.ask_ticks,
            book.ask_lots,
            sum(lots for _, lots in book.levels(Side.BUY, 5)),
            sum(lots for _, lots in book.levels(Side.SELL, 5)),
            steps.buy_lots,
            steps.sell_lots,
            steps.trade_count,
            steps.traded_ticks_lots,
        )
        ring.push(row)
        if features.warm:
            rows.append(ring.window()[-1].tolist())
    return rows


def test_rows_of_the_data_set_are_the_rows_of_the_live_ring_to_the_bit(events: list[MarketEvent]) -> None:
    (session,) = recorded(events)
    expected = np.array(live_rows(events), dtype=np.float32)
    assert session.rows > 500
    assert np.array_equal(session.market, expected)


def test_rows_know_nothing_of_what_comes_after_them(events: list[MarketEvent]) -> None:
    (whole,) = recorded(events)
    cut = len(events) * 3 // 4
    (known,) = recorded(events[:cut])
    assert known.rows < whole.rows
    for name in ("market", "receive_ns", "bid_ticks", "ask_lots", "sigma_ticks"):
        assert np.array_equal(getattr(whole, name)[: known.rows], getattr(known, name)), name


def test_a_silence_parts_sessions_and_features_begin_anew(events: list[MarketEvent]) -> None:
    cut = len(events) // 2
    gap_ns = 6 * SECOND_NS
    later: list[MarketEvent] = [shifted(event, gap_ns) for event in events[cut:]]
    first, second = recorded(events[:cut] + later)
    (alone,) = recorded(events[:cut])
    assert np.array_equal(first.market, alone.market)
    assert second.receive_ns[0] - first.receive_ns[-1] > gap_ns
    assert second.receive_ns[0] - later[0].receive_ns >= 15 * SECOND_NS, "features must be warm again"


def test_a_hole_in_the_diffs_parts_sessions(events: list[MarketEvent]) -> None:
    diffs = [index for index, event in enumerate(events) if isinstance(event, DepthUpdate)]
    dropped = diffs[len(diffs) // 2]
    sessions = recorded([event for index, event in enumerate(events) if index != dropped])
    assert len(sessions) == 1
    assert sessions[0].receive_ns[-1] <= events[diffs[len(diffs) // 2 + 1]].receive_ns, "without a snapshot nothing follows"


def test_trades_belong_to_the_row_before_them(events: list[MarketEvent]) -> None:
    (session,) = recorded(events)
    trades = [event for event in events if isinstance(event, MarketTrade)][-len(session.trade_row) :]
    assert [trade.price_ticks for trade in trades] == session.trade_price_ticks.tolist()
    assert all(
        session.receive_ns[row] <= trade.receive_ns for row, trade in zip(session.trade_row, trades, strict=True) if row >= 0
    )
    inside = session.trade_row >= 0
    bought = session.trade_sign[inside] > 0
    price, row = session.trade_price_ticks[inside], session.trade_row[inside]
    at_touch = np.where(bought, price >= session.ask_ticks[row], price <= session.bid_ticks[row])
    assert at_touch.mean() > 0.9


def test_a_recording_gives_one_session_over_both_of_its_files(market_data_folder: Path) -> None:
    source = next(each for each in parse_data(str(market_data_folder / "binance_raw")) if each.series == "usdm BTCUSDT 202407")
    (session,) = record_sessions(source, 1.0)
    assert session.rows > 50_000
    assert session.seconds > 400
    assert np.isfinite(session.market).all()
    assert (np.diff(session.receive_ns) >= 0).all()
    assert (session.bid_ticks < session.ask_ticks).all()
    assert (session.sigma_ticks >= 0.5).all()


def test_simulated_sources_share_seed_and_time_but_not_rows() -> None:
    bitcoin, ether = simulated_sources(1, 30.0)
    (one,), (other,) = record_sessions(bitcoin, 1.0), record_sessions(ether, 1.0)
    assert one.series != other.series
    assert abs(int(one.receive_ns[-1]) - int(other.receive_ns[-1])) < SECOND_NS
    assert one.bid_ticks[0] != other.bid_ticks[0]


def shifted(event: MarketEvent, by_ns: int) -> MarketEvent:
    """The same event, received later."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**(fields | {"receive_ns": event.receive_ns + by_ns}))
