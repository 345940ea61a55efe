"""One book from two streams: what the touch shows, hides and leaves alone."""

from __future__ import annotations

from mmd.market.book import BookSettings, OrderBook
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level, Side, TouchUpdate

SECOND_NS = 1_000_000_000


def snapshot(update_id: int, bids: list[Level], asks: list[Level], receive_ns: int = 1) -> DepthSnapshot:
    return DepthSnapshot("BTCUSDT", receive_ns, update_id, tuple(bids), tuple(asks))


def diff(first: int, final: int, bids: list[Level] = [], asks: list[Level] = [], receive_ns: int = 1) -> DepthUpdate:  # noqa: B006
    return DepthUpdate("BTCUSDT", receive_ns, receive_ns + 5, first, final, NO_UPDATE_ID, tuple(bids), tuple(asks))


def touch(update_id: int, bid: Level, ask: Level, receive_ns: int = 1, exchange_ns: int = 0) -> TouchUpdate:
    return TouchUpdate("BTCUSDT", receive_ns, exchange_ns, update_id, *bid, *ask)


def synced(settings: BookSettings | None = None) -> OrderBook:
    book = OrderBook("BTCUSDT", settings)
    assert book.on_depth_snapshot(snapshot(10, [(100, 1), (99, 2), (98, 3)], [(101, 4), (102, 5), (103, 6)]))
    return book


def shown(book: OrderBook) -> tuple[int, int, int, int]:
    return book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots


def test_before_the_first_snapshot_the_book_is_invalid() -> None:
    book = OrderBook("BTCUSDT")
    assert not book.valid
    assert book.invalid_reason == "no snapshot yet"
    assert not book.on_touch_update(touch(5, (100, 1), (101, 1)))
    assert not book.valid
    assert book.levels(Side.BUY, 5) == []


def test_a_newer_touch_overrides_and_hides_the_levels_better_than_it() -> None:
    book = synced()
    assert book.on_touch_update(touch(12, (98, 7), (102, 8)))
    assert shown(book) == (98, 7, 102, 8)
    assert book.levels(Side.BUY, 5) == [(98, 7)]
    assert book.levels(Side.SELL, 5) == [(102, 8), (103, 6)]
    assert (book.update_id, book.touch_update_id) == (10, 12)


def test_hidden_levels_are_not_deleted() -> None:
    book = synced()
    book.on_touch_update(touch(12, (98, 7), (102, 8)))
    # The diff stream reaches 12 without a word on 100 and 99: at that id they stand.
    assert book.on_depth_update(diff(11, 12, bids=[(97, 1)]))
    assert shown(book) == (100, 1, 101, 4)
    assert book.levels(Side.BUY, 4) == [(100, 1), (99, 2), (98, 3), (97, 1)]


def test_the_override_stands_until_the_diff_stream_reaches_its_update_id() -> None:
    book = synced()
    book.on_touch_update(touch(14, (99, 7), (101, 8)))
    assert not book.on_depth_update(diff(11, 13, bids=[(100, 0)], asks=[(104, 9)]))
    assert shown(book) == (99, 7, 101, 8)
    assert book.levels(Side.SELL, 9) == [(101, 8), (102, 5), (103, 6), (104, 9)]
    assert book.on_depth_update(diff(14, 14, bids=[(99, 7)], asks=[(101, 9)]))
    assert shown(book) == (99, 7, 101, 9)
    assert book.touch_update_id == 14


def test_a_touch_that_improves_is_shown_before_the_diff_knows_it() -> None:
    book = synced()
    # Bid jumps through what the diff stream still shows as ask levels: no cross, those are hidden.
    assert book.on_touch_update(touch(20, (102, 1), (103, 1)))
    assert book.valid
    assert book.levels(Side.SELL, 3) == [(103, 1)]
    assert book.levels(Side.BUY, 3) == [(102, 1), (100, 1), (99, 2)]


def test_an_older_or_equal_touch_is_ignored() -> None:
    book = synced()
    assert not book.on_touch_update(touch(10, (90, 1), (91, 1)))
    book.on_touch_update(touch(15, (100, 9), (101, 9)))
    assert not book.on_touch_update(touch(14, (90, 1), (91, 1)))
    assert not book.on_touch_update(touch(15, (90, 1), (91, 1)))
    assert shown(book) == (100, 9, 101, 9)
    assert book.ignored == 3


def test_an_unchanged_touch_is_no_change_but_refreshes_the_age() -> None:
    book = synced()
    assert not book.on_touch_update(touch(11, (100, 1), (101, 4), receive_ns=77, exchange_ns=70))
    assert (book.receive_ns, book.exchange_ns) == (77, 70)
    # Spot's bookTicker bears no stamp: the last known one stays.
    book.on_touch_update(touch(12, (100, 2), (101, 4), receive_ns=78))
    assert (book.receive_ns, book.exchange_ns) == (78, 70)


def test_a_touch_that_came_before_the_snapshot_is_used_when_it_is_newer() -> None:
    book = OrderBook("BTCUSDT")
    book.on_touch_update(touch(12, (99, 7), (101, 8)))
    book.on_touch_update(touch(11, (1, 1), (2, 1)))
    assert book.on_depth_snapshot(snapshot(10, [(100, 1)], [(101, 4)]))
    assert shown(book) == (99, 7, 101, 8)
    stale = OrderBook("BTCUSDT")
    stale.on_touch_update(touch(9, (99, 7), (101, 8)))
    stale.on_depth_snapshot(snapshot(10, [(100, 1)], [(101, 4)]))
    assert shown(stale) == (100, 1, 101, 4)


def test_a_crossed_touch_invalidates() -> None:
    book = synced()
    assert book.on_touch_update(touch(11, (101, 1), (101, 1)))
    assert not book.valid
    assert "crossed" in book.invalid_reason
    assert book.levels(Side.BUY, 5) == []
    book.on_depth_update(diff(11, 12))
    assert book.needs_snapshot


def test_a_book_crossed_by_its_diffs_invalidates_and_wants_a_snapshot() -> None:
    book = synced()
    assert book.on_depth_update(diff(11, 11, bids=[(101, 1)]))
    assert not book.valid
    assert "crossed" in book.invalid_reason
    assert book.needs_snapshot
    # A snapshot from before the crossing diff would bring back what was wrong.
    assert not book.on_depth_snapshot(snapshot(9, [(100, 1)], [(101, 1)]))
    assert book.on_depth_snapshot(snapshot(11, [(101, 1)], [(102, 1)]))
    assert book.resyncs == 1


def test_a_side_without_levels_is_invalid_until_it_has_some_and_needs_no_resync() -> None:
    book = synced()
    assert book.on_touch_update(touch(11, (0, 0), (101, 4)))
    assert (book.valid, book.invalid_reason, book.needs_snapshot) == (False, "no bids", False)
    assert book.levels(Side.BUY, 3) == []
    assert book.on_touch_update(touch(12, (99, 1), (101, 4)))
    assert book.valid
    assert book.on_depth_update(diff(11, 12, asks=[(101, 0), (102, 0), (103, 0)]))
    assert (book.valid, book.invalid_reason) == (False, "no asks")
    assert book.on_depth_update(diff(13, 13, asks=[(105, 2)]))
    assert book.valid


def test_a_dead_diff_stream_under_a_living_touch_invalidates() -> None:
    book = synced(BookSettings(max_depth_silence_seconds=10))
    book.on_touch_update(touch(11, (100, 2), (101, 4), receive_ns=100 * SECOND_NS))
    assert book.on_touch_update(touch(12, (100, 3), (101, 4), receive_ns=110 * SECOND_NS))
    assert book.on_touch_update(touch(13, (100, 4), (101, 4), receive_ns=111 * SECOND_NS))
    assert not book.valid
    assert "max_depth_silence_seconds" in book.invalid_reason


def test_a_diff_behind_the_touch_keeps_the_diff_stream_alive() -> None:
    book = synced(BookSettings(max_depth_silence_seconds=10))
    book.on_touch_update(touch(90, (100, 2), (101, 4), receive_ns=100 * SECOND_NS))
    book.on_depth_update(diff(11, 11, receive_ns=109 * SECOND_NS))
    book.on_touch_update(touch(91, (100, 3), (101, 4), receive_ns=118 * SECOND_NS))
    assert book.valid


def test_levels_are_bounded_and_the_farthest_are_dropped_and_counted() -> None:
    book = OrderBook("BTCUSDT", BookSettings(max_levels_per_side=20))
    book.on_depth_snapshot(snapshot(1, [(1000 - n, 1) for n in range(20)], [(1001 + n, 1) for n in range(20)]))
    book.on_depth_update(diff(2, 2, bids=[(900, 5), (901, 5)]))
    assert book.dropped_levels == 2
    assert len(book.levels(Side.BUY, 50)) == 20
    assert book.levels(Side.BUY, 50)[-1] == (981, 1)


def test_when_the_market_leaves_the_known_levels_the_book_is_built_anew() -> None:
    book = OrderBook("BTCUSDT", BookSettings(snapshot_cut_off=3))
    book.on_depth_snapshot(snapshot(1, [(100, 1), (99, 1), (98, 1)], [(101, 1), (102, 1)]))
    assert not book.on_depth_update(diff(2, 2, bids=[(90, 1)]))
    assert book.valid
    assert book.on_depth_update(diff(3, 3, bids=[(100, 0), (99, 0), (98, 0)]))
    assert not book.valid
    assert "known levels" in book.invalid_reason
    assert book.needs_snapshot


def test_levels_counts() -> None:
    book = synced()
    assert book.levels(Side.SELL, 2) == [(101, 4), (102, 5)]
    assert book.levels(Side.SELL, 0) == []
    assert len(book.levels(Side.SELL, 20)) == 3


def test_a_touch_that_the_diffs_never_reach_is_found_wrong() -> None:
    """An id damaged upwards would else hold the touch, and hide the true ones, for ever."""
    book = synced()
    book.on_touch_update(touch(10**12, (98, 7), (102, 8), SECOND_NS))
    update_id, second = book.update_id, 1
    while book.valid:
        second += 1
        update_id += 1
        assert second < 20, "it must be noticed"
        book.on_touch_update(touch(update_id, (97, 1), (102, 1), second * SECOND_NS))
        book.on_depth_update(diff(update_id, update_id, [(90, second)], [], second * SECOND_NS))
    assert 10 < second < 15
    assert "was not reached" in book.invalid_reason
    assert book.needs_snapshot


def test_a_book_whose_id_ran_away_is_found_wrong() -> None:
    book = synced()
    book.on_depth_update(diff(11, 10**12, receive_ns=SECOND_NS))
    assert book.valid
    for second in range(2, 13):
        book.on_depth_update(diff(10 + second, 10 + second, receive_ns=second * SECOND_NS))
    assert not book.valid
    assert "nothing came that is newer" in book.invalid_reason


def test_repeats_beside_newer_events_are_only_ignored() -> None:
    book = synced()
    for second in range(1, 60):
        update = diff(10 + second, 10 + second, receive_ns=second * SECOND_NS)
        book.on_depth_update(update)
        book.on_depth_update(update)
    assert book.valid
    assert book.ignored == 59
