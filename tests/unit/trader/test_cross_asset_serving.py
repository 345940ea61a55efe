"""The cross-asset network in a trader of two symbols: live it sees what it was trained on, and what it says moves quotes."""

from __future__ import annotations

import heapq
from operator import attrgetter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd.daemon.bundles import load_networks
from mmd.inference.bundle import Bundle
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.predictor import QuotePredictor
from mmd.learning.cross_asset_evaluation import serve_cross
from mmd.learning.cross_asset_rows import AssetHistory, cross_rows
from mmd.learning.sessions import record_sessions
from mmd.learning.sources import EventSource, simulated_sources
from mmd.quoting.neural import expected_move
from mmd.quoting.quote import QuoteContext
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.trader.desk import quote_model
from mmd.trader.references import CrossAssetSeat, ReferenceBoard
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.types.market import FeedState, FeedStatus

WITH_CROSS_ASSET = Path("models/quote-v2")
WITHOUT = Path("models/quote-v1")
SECONDS = 40.0
SYMBOLS = ("BTCUSDT", "ETHUSDT")
Networks = tuple[Bundle, dict[str, QuotePredictor]]


@pytest.fixture(scope="module")
def sources() -> list[EventSource]:
    return simulated_sources(1, SECONDS, SYMBOLS)


@pytest.fixture(scope="module")
def events(sources: list[EventSource]) -> list[msgspec.Struct]:
    return list(heapq.merge(*(source.events() for source in sources), key=attrgetter("receive_ns")))


def networks(symbols: tuple[str, ...] = SYMBOLS) -> Networks:
    return load_networks(WITH_CROSS_ASSET, symbols, "auto")


def make_trader(sources: list[EventSource], loaded: Networks, watched: tuple[str, ...] = ()) -> Trader:
    config = TraderConfig(session="t", reference_symbols=watched)
    instruments = {source.instrument.symbol: source.instrument for source in sources}
    return Trader(config, instruments, bundle=loaded[0], predictors=loaded[1])


def seat_of(trader: Trader, symbol: str) -> CrossAssetSeat:
    found = [seat for seat in trader.desks[symbol].perception.seats if isinstance(seat, CrossAssetSeat)]
    assert len(found) == 1
    return found[0]


def test_live_rows_and_answers_are_those_of_training(sources: list[EventSource], events: list[msgspec.Struct]) -> None:
    loaded = networks()
    trader = make_trader(sources, loaded)
    for event in events:
        trader.on_event(event)
    horizon = loaded[0].card.horizon_seconds
    histories = [
        AssetHistory(each.series, each.instrument.symbol, record_sessions(each, horizon, min_rows=1), each.group)
        for each in sources
    ]
    for own, other in (histories, histories[::-1]):
        (session,) = own.sessions
        rows = cross_rows(own, session, [other], 0, session.rows)
        seat = seat_of(trader, own.symbol)
        live = np.array(seat.recent, dtype=np.float32)
        np.testing.assert_allclose(live, rows[-len(live) :, :2], rtol=1e-5, atol=1e-5)
        assert (live[:, 1] != 0.0).any()
        card, files = loaded[0].card.cross_asset, loaded[0].cross_asset_files
        assert card is not None
        assert seat.predictor.steps == session.rows
        said = trader.desks[own.symbol].perception.prediction
        assert said.cross_refusal == ""
        assert said.cross_move == pytest.approx(serve_cross(CrossAssetPredictor(card, files), rows)[-1], abs=0.02)


def test_a_watched_symbol_is_looked_at_and_a_lost_one_is_not(sources: list[EventSource], events: list[msgspec.Struct]) -> None:
    trader = make_trader(sources, networks(("BTCUSDT",)), watched=("ETHUSDT",))
    half = len(events) * 3 // 4
    for event in events[:half]:
        trader.on_event(event)
    said = trader.desks["BTCUSDT"].perception.prediction
    assert said.cross_refusal == ""
    trader.on_event(FeedStatus(trader.now_ns, FeedState.DISCONNECTED, ("ETHUSDT",), "test"))
    for event in events[half:]:
        if event.symbol == "BTCUSDT":  # type: ignore[attr-defined]
            trader.on_event(event)
    assert said.cross_refusal == "no_reference"
    assert said.usable or said.refusal != "no_reference", "the quote network has nothing to do with it"
    refused = seat_of(trader, "BTCUSDT").refusals()["cross_asset"]
    assert sum(refused.values()) > 50


def test_an_interruption_and_a_swap_warm_it_from_the_rows_that_were_kept(
    sources: list[EventSource], events: list[msgspec.Struct]
) -> None:
    trader = make_trader(sources, networks())
    half = len(events) * 3 // 4
    for event in events[:half]:
        trader.on_event(event)
    seat, said = seat_of(trader, "BTCUSDT"), trader.desks["BTCUSDT"].perception.prediction
    kept = list(seat.recent)
    assert len(kept) == seat.predictor.card.steps
    bundle, predictors = networks()
    trader.on_event(SwapNetworks(trader.now_ns, bundle, predictors))
    fresh = seat_of(trader, "BTCUSDT")
    assert fresh is not seat
    assert (fresh.predictor.steps, list(fresh.recent)) == (len(kept), kept)
    assert said.cross_refusal == "networks swapped"
    fresh.reset()
    assert (fresh.predictor.steps, len(fresh.recent)) == (0, 0)


@pytest.mark.parametrize("served", [WITH_CROSS_ASSET, WITHOUT])
def test_in_shadow_it_sees_what_it_would_in_service(sources: list[EventSource], events: list[msgspec.Struct], served: Path) -> None:
    """Also where the networks in service look at nobody; what waits for the timer was looked at when it happened."""
    reference = make_trader(sources, networks())
    trader = make_trader(sources, load_networks(served, SYMBOLS, "auto"))
    for number, event in enumerate(events):
        if number == len(events) // 4:
            trader.on_event(ChallengeNetworks(trader.now_ns, *networks()))
        for each in (reference, trader):
            each.on_event(event)
    desk = trader.desks["BTCUSDT"]
    challenger = desk.challenger
    assert challenger is not None
    assert len(challenger._waiting) > 100, "the other symbol moved on while these waited"
    desk.run_challenger(trader.now_ns)
    (shadow,) = (seat for seat in challenger.seats if isinstance(seat, CrossAssetSeat))
    # Fading sums of moves began later where nobody looked before.
    np.testing.assert_allclose(np.array(shadow.recent), np.array(seat_of(reference, "BTCUSDT").recent), atol=2e-3)
    assert challenger.prediction.cross_refusal == ""
    in_service = reference.desks["BTCUSDT"].perception.prediction.cross_move
    assert challenger.prediction.cross_move == pytest.approx(in_service, abs=0.05), "a state that began later"
    trader.on_event(ChallengeNetworks(trader.now_ns, None, {}))
    assert (desk.perception.feed is None) == (served == WITHOUT)


def test_one_symbol_alone_has_no_cross_asset_network(sources: list[EventSource]) -> None:
    trader = make_trader(sources[:1], networks(("BTCUSDT",)))
    desk = trader.desks["BTCUSDT"]
    assert not any(isinstance(seat, CrossAssetSeat) for seat in desk.perception.seats)
    assert desk.perception.feed is None
    assert desk.perception.prediction.cross_refusal == "absent"


def test_its_part_of_the_expected_move_is_its_own() -> None:
    bundle, _ = networks(())
    model = msgspec.structs.replace(
        quote_model(bundle, QuotingSettings()), cross_asset_weight=0.5, cross_base_scale=0.8, cross_max_shift=3.0, max_shift=3.0
    )
    context = QuoteContext(bid_ticks=100, bid_lots=3, ask_ticks=102, ask_lots=1, sigma_ticks=2.0)
    without = expected_move(context, model, 0.4, 0.1, None)
    joined = expected_move(context, model, 0.4, 0.1, 0.6)
    assert without[3] == 0.0
    assert joined[3] == pytest.approx(0.5 * 0.6 * 2.0)
    assert joined[:3] == pytest.approx([0.8 * part for part in without[:3]])
    tight = expected_move(context, msgspec.structs.replace(model, cross_max_shift=0.1), 0.4, 0.1, 0.6)
    assert abs(sum(tight)) == pytest.approx(0.1 * 2.0)


def test_symbols_to_look_at_can_be_chosen() -> None:
    board = ReferenceBoard(("A", "B", "C", "D"), ("D", "B"))
    assert board.references("A", 3) == (board.feeds["D"], board.feeds["B"])
    assert board.references("D", 3) == (board.feeds["B"],)
    every = ReferenceBoard(("A", "B", "C", "D"))
    assert every.references("C", 2) == (every.feeds["A"], every.feeds["B"])
    with pytest.raises(ValueError, match="neither quoted nor watched"):
        ReferenceBoard(("A", "B"), ("X",))
