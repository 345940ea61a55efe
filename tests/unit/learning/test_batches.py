"""How rows are walked: once each, state zeroed where a segment begins, and mirrored as markets are."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from mmd.learning.batches import INVENTORY_SIGNS, MARKET_SIGNS, Walk, WalkSizes, series_weights, standing_weights
from mmd.learning.labels import LabelSettings
from mmd.learning.sessions import record_sessions
from mmd.learning.sources import EventSource, MarketEvent, simulated_events
from mmd.market.feature_table import MARKET_NAMES
from mmd.mock.instruments import INSTRUMENTS
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, TouchUpdate
from tests.unit.learning.made_sessions import drawn_session, whole

LABELS = LabelSettings(settle_seconds=0.0)
SIZES = WalkSizes(lanes=3, chunk_steps=50, segment_steps=200, warm_steps=20)
PARTS = [whole(drawn_session(rows, seed, f"series {seed}"), LABELS) for seed, rows in enumerate((700, 330))]


def numbered() -> list:  # type: ignore[type-arg]
    """Parts whose rows bear their number in the first column, above 0."""
    for place, part in enumerate(PARTS):
        part.session.market[:, 0] = 10_000 * (place + 1) + np.arange(part.rows)
    return PARTS


def test_every_row_is_walked_once_in_order_and_segments_begin_from_zero() -> None:
    walk = Walk(numbered(), LABELS, SIZES, seed=1, shuffle=False)
    chunks = list(walk)
    assert len(chunks) == len(walk)
    seen = np.concatenate([np.concatenate([chunk.market[lane, :, 0] for chunk in chunks]) for lane in range(3)])
    seen = seen[seen > 0]
    # The last 30 rows of the first part and of the second are shorter than a chunk and are left out; none is here.
    assert sorted(seen.tolist()) == [*range(10_000, 10_700), *range(20_000, 20_330)]
    for lane in range(3):
        before = 0.0
        for chunk in chunks:
            rows = chunk.market[lane, :, 0]
            rows = rows[rows > 0]
            if len(rows) == 0:
                assert not chunk.weights[lane].any()
                continue
            assert (np.diff(rows) == 1).all()
            # Where the state is kept, the rows go on from the chunk before; where not, a segment begins.
            assert chunk.keep[lane, 0] == (rows[0] == before + 1 and (rows[0] - 10_000) % 200 != 0)
            before = rows[-1]


def test_the_first_rows_of_a_segment_warm_the_state_and_weigh_nothing() -> None:
    begun = gone_on = 0
    for chunk in Walk(numbered(), LABELS, SIZES, seed=1, shuffle=True):
        for lane in range(3):
            if not chunk.market[lane].any():
                assert not chunk.weights[lane].any()
            elif chunk.keep[lane, 0] == 0:
                begun += 1
                assert not chunk.weights[lane, :20].any()
                assert chunk.weights[lane, 20:, 0].any()
            else:
                gone_on += bool(chunk.weights[lane, :20, 0].any())
    assert begun >= 6
    assert gone_on > 10


def test_the_same_seed_walks_the_same_way() -> None:
    def text(seed: int) -> bytes:
        return b"".join(
            chunk.market.tobytes() + chunk.inventory.tobytes() for chunk in Walk(PARTS, LABELS, SIZES, seed=seed, shuffle=True)
        )

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_a_mirrored_segment_has_its_signs_turned_and_its_spreads_kept() -> None:
    plain = {}
    for chunk in Walk(numbered(), LABELS, SIZES, seed=1, shuffle=False):
        for lane in range(3):
            for step in range(50):
                plain[abs(chunk.market[lane, step, 0])] = chunk.market[lane, step], chunk.targets[lane, step]
    mirrored = 0
    for chunk in Walk(numbered(), LABELS, SIZES, seed=1, shuffle=True):
        for market, targets in zip(chunk.market.reshape(-1, len(MARKET_NAMES)), chunk.targets.reshape(-1, 3), strict=True):
            if market[0] >= 0:
                continue
            mirrored += 1
            market_then, targets_then = plain[abs(market[0])]
            assert np.array_equal(market, market_then * MARKET_SIGNS)
            assert targets[0] == -targets_then[0]
            assert targets[1] == targets_then[1]
    assert mirrored > 200


def test_features_of_a_mirrored_market_are_the_mirrored_features() -> None:
    events = list(simulated_events(2, 30.0, "ETHUSDT"))
    (session,) = record_sessions(source(events), 1.0)
    (other,) = record_sessions(source([mirrored(event) for event in events]), 1.0)
    assert session.rows == other.rows
    assert other.market == pytest.approx(session.market * MARKET_SIGNS, abs=2e-3)
    assert INVENTORY_SIGNS.tolist() == [-1, 1, 1, 1, 1]


def test_a_row_weighs_more_the_longer_it_stands() -> None:
    weights = standing_weights(np.array([0, 0, 100, 1_000, 1_200], dtype=np.int64) * 1_000_000)
    assert weights.mean() == pytest.approx(1.0)
    # They stand for 0, 100, 900 and 200 (both counted as 100) and 0 ms.
    assert weights == pytest.approx((0.02 + np.array([0, 10, 10, 10, 0]) / 6) / 1.02)
    assert standing_weights(np.array([5], dtype=np.int64)) == pytest.approx([0.02 / 1.02])


def test_scarce_series_weigh_more() -> None:
    weights = series_weights(PARTS)
    assert weights["series 1"] / weights["series 0"] == pytest.approx((700 / 330) ** 0.3)
    assert (700 * weights["series 0"] + 330 * weights["series 1"]) / 1_030 == pytest.approx(1.0)


def test_sizes_and_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match="warm_steps <= chunk_steps"):
        WalkSizes(chunk_steps=10, warm_steps=60)
    with pytest.raises(ValueError, match="no part is as long"):
        Walk([whole(drawn_session(30), LABELS)], LABELS, SIZES, seed=0, shuffle=False)


def source(events: list[MarketEvent]) -> EventSource:
    return EventSource("made", INSTRUMENTS["ETHUSDT"], "made", lambda: iter(events))


def mirrored(event: MarketEvent) -> MarketEvent:
    """Buyers and sellers change places around twice the first price."""
    around = 2 * 340_000
    if isinstance(event, MarketTrade):
        return msgspec.structs.replace(event, price_ticks=around - event.price_ticks, aggressor=event.aggressor.opposite)
    if isinstance(event, TouchUpdate):
        return msgspec.structs.replace(
            event,
            bid_ticks=around - event.ask_ticks,
            bid_lots=event.ask_lots,
            ask_ticks=around - event.bid_ticks,
            ask_lots=event.bid_lots,
        )
    assert isinstance(event, DepthUpdate | DepthSnapshot)
    bids = tuple((around - price, lots) for price, lots in event.asks)
    asks = tuple((around - price, lots) for price, lots in event.bids)
    return msgspec.structs.replace(event, bids=bids, asks=asks)
