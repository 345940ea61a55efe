"""What one asset shows at the moment of another's step: the past alone, faded by age, neutral when stale; live as in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmd.learning.cross_asset_rows import AssetHistory, cross_rows, references_of, with_reference
from mmd.learning.sessions import Session
from mmd.market.feature_table import MARKET_NAMES
from mmd.market.reference import ASSET_NAMES, NEUTRAL, STALE_NS, AssetFeed
from tests.unit.learning.made_sessions import SECOND_NS, START_NS, drawn_session

FLAT = [0.0] * len(MARKET_NAMES)


def test_a_move_fades_by_halves() -> None:
    feed = AssetFeed()
    feed.on_row(START_NS, FLAT, 200, 2.0)
    feed.on_row(START_NS + SECOND_NS, FLAT, 208, 2.0)
    fast, slow, *_, freshness = feed.before(START_NS + 3 * SECOND_NS)
    # The mid rose by 4 ticks, 2 sigma; 2 s later the slow sum and the freshness are halved, the fast one ten times.
    assert slow == pytest.approx(1.0)
    assert fast == pytest.approx(2.0 * 0.5**10)
    assert freshness == pytest.approx(0.5)


def test_features_come_by_name() -> None:
    feed = AssetFeed()
    feed.on_row(START_NS, [float(place) for place in range(len(MARKET_NAMES))], 200, 2.0)
    shown = dict(zip(ASSET_NAMES, feed.own(), strict=True))
    assert shown["trend"] == MARKET_NAMES.index("trend")
    assert shown["relative_spread"] == MARKET_NAMES.index("relative_spread")
    assert shown["freshness"] == 1.0


def test_a_row_of_the_same_moment_is_not_the_past() -> None:
    feed = AssetFeed()
    feed.on_row(START_NS, FLAT, 200, 2.0)
    assert feed.before(START_NS) == NEUTRAL
    feed.on_row(START_NS + SECOND_NS, FLAT, 300, 2.0)
    feed.on_row(START_NS + SECOND_NS, FLAT, 400, 2.0)
    assert feed.before(START_NS + SECOND_NS)[1] == 0.0
    assert feed.before(START_NS + SECOND_NS + 1)[1] == pytest.approx(10.0), "100 ticks are 50 sigma, clipped"


def test_stale_and_lost_assets_are_neutral() -> None:
    feed = AssetFeed()
    assert feed.before(START_NS) == NEUTRAL
    feed.on_row(START_NS, [1.0] * len(MARKET_NAMES), 200, 2.0)
    assert feed.before(START_NS + STALE_NS) != NEUTRAL
    assert feed.before(START_NS + STALE_NS + 1) == NEUTRAL
    feed.reset()
    assert feed.before(START_NS + 1) == NEUTRAL


def jittered(seed: int, series: str, coarse_ns: int) -> Session:
    """Rows at random moments, many of one stamp where stamps are coarse, with a hole of eight seconds."""
    rng = np.random.default_rng(seed)
    session = drawn_session(1_200, seed, series)
    times = START_NS + np.cumsum(rng.integers(0, SECOND_NS // 20, session.rows))
    times[700:] += 8 * SECOND_NS
    return replace(session, receive_ns=times // coarse_ns * coarse_ns, sigma_ticks=rng.uniform(2, 9, session.rows))


@pytest.mark.parametrize("coarse_ns", [1, 10_000_000])
def test_rows_of_training_are_those_of_the_live_feeds(coarse_ns: int) -> None:
    sessions = [jittered(seed, f"series {seed}", coarse_ns) for seed in (1, 2, 3)]
    histories = [AssetHistory(each.series, each.series, [each], "together") for each in sessions]
    references = references_of(histories[0], histories)
    found = cross_rows(histories[0], sessions[0], references, 0, sessions[0].rows)
    feeds = [AssetFeed() for _ in sessions]
    # References come after the primary within one stamp, the worst order for them; the rule makes it no matter.
    order = sorted((int(time), asset, row) for asset, each in enumerate(sessions) for row, time in enumerate(each.receive_ns))
    expected = np.zeros_like(found)
    for time, asset, row in order:
        session = sessions[asset]
        mid_x2 = int(session.bid_ticks[row] + session.ask_ticks[row])
        feeds[asset].on_row(time, session.market[row].tolist(), mid_x2, float(session.sigma_ticks[row]))
        if asset == 0:
            expected[row, 0] = feeds[0].own()
            for slot in (1, 2):
                expected[row, slot] = feeds[slot].before(time)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert not found[:, 3].any(), "there are but two references"
    assert 0.5 < with_reference(found).mean() <= 1.0


def test_rows_know_nothing_of_what_comes_after_them() -> None:
    sessions = [jittered(seed, f"series {seed}", 1) for seed in (1, 2)]
    cut = 500
    moment = int(sessions[0].receive_ns[cut])

    def rows(others: Session) -> np.ndarray:  # type: ignore[type-arg]
        first, second = AssetHistory("a", "a", [sessions[0]], "g"), AssetHistory("b", "b", [others], "g")
        return cross_rows(first, sessions[0], [second], 0, sessions[0].rows)

    later = sessions[1].receive_ns >= moment
    changed = replace(
        sessions[1],
        bid_ticks=np.where(later, sessions[1].bid_ticks + 500, sessions[1].bid_ticks),
        market=np.where(later[:, None], np.float32(9.0), sessions[1].market),
    )
    before, after = rows(sessions[1]), rows(changed)
    np.testing.assert_array_equal(before[: cut + 1], after[: cut + 1])
    assert (before[cut + 50 :] != after[cut + 50 :]).any()


def test_only_what_was_received_together_is_a_reference() -> None:
    here = drawn_session(100, 1, "here")
    away = replace(here, receive_ns=here.receive_ns + 3_600 * SECOND_NS)
    primary = AssetHistory("here", "A", [here], "g")
    others = [
        AssetHistory("same symbol", "A", [here], "g"),
        AssetHistory("other time", "B", [away], "g"),
        AssetHistory("other group", "B", [here], "h"),
        AssetHistory("good", "B", [here], "g"),
    ]
    assert [each.series for each in references_of(primary, [primary, *others])] == ["good"]
