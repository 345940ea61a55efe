"""The six rules of a correct local book, and the `pu` rule of futures."""

from __future__ import annotations

import pytest

from mmd.market.book import BookSettings, OrderBook
from mmd.market.book_sync import SnapshotWait
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level, Side, TouchUpdate

BIDS: list[Level] = [(100, 1), (99, 2)]
ASKS: list[Level] = [(101, 4), (102, 5)]
SECOND_NS = 1_000_000_000


def snapshot(update_id: int, bids: list[Level] = BIDS, asks: list[Level] = ASKS) -> DepthSnapshot:
    return DepthSnapshot("BTCUSDT", 1, update_id, tuple(bids), tuple(asks))


def spot(first: int, final: int, *bids: Level) -> DepthUpdate:
    return DepthUpdate("BTCUSDT", 1, 1, first, final, NO_UPDATE_ID, bids, ())


def futures(first: int, final: int, previous: int, *bids: Level) -> DepthUpdate:
    return DepthUpdate("BTCUSDT", 1, 1, first, final, previous, bids, ())


def best_bid(book: OrderBook) -> Level:
    return book.levels(Side.BUY, 1)[0]


def test_a_snapshot_older_than_the_first_buffered_diff_is_refused_and_another_wanted() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_update(spot(50, 55, (100, 9)))
    assert not book.on_depth_snapshot(snapshot(48))
    assert (book.valid, book.needs_snapshot, book.snapshots_refused) == (False, True, 1)
    assert book.on_depth_snapshot(snapshot(49))
    assert best_bid(book) == (100, 9)


def test_buffered_diffs_up_to_the_snapshot_are_dropped_and_the_rest_applied() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_update(spot(50, 55, (100, 9)))
    book.on_depth_update(spot(56, 60, (100, 8)))
    book.on_depth_update(spot(61, 65, (100, 7)))
    assert book.on_depth_snapshot(snapshot(58))
    assert book.update_id == 65
    assert best_bid(book) == (100, 7)
    late = OrderBook("BTCUSDT")
    late.on_depth_update(spot(50, 55, (100, 9)))
    assert late.on_depth_snapshot(snapshot(70))
    assert (late.update_id, best_bid(late)) == (70, (100, 1))


def test_an_older_diff_is_ignored_and_an_overlapping_one_applied() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(snapshot(70))
    assert not book.on_depth_update(spot(60, 70, (100, 9)))
    assert (best_bid(book), book.ignored) == ((100, 1), 1)
    assert book.on_depth_update(spot(65, 72, (100, 3)))
    assert book.on_depth_update(spot(73, 73, (100, 0)))
    assert best_bid(book) == (99, 2)


def test_a_gap_invalidates_discards_and_starts_again_without_ghosts() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(snapshot(70, bids=[(100, 1), (99, 2), (98, 3)]))
    assert book.on_depth_update(spot(72, 73, (97, 1)))
    assert (book.valid, book.gaps, book.needs_snapshot) == (False, 1, True)
    assert "gap" in book.invalid_reason
    assert book.levels(Side.BUY, 9) == []
    assert book.on_depth_snapshot(snapshot(72, bids=[(98, 5)]))
    assert book.levels(Side.BUY, 9) == [(98, 5), (97, 1)]
    assert book.resyncs == 1


def test_a_snapshot_is_never_merged_into_a_living_book() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(snapshot(70))
    assert not book.on_depth_snapshot(snapshot(80, bids=[(98, 5)]))
    assert (book.update_id, best_bid(book), book.ignored) == (70, (100, 1), 1)


def test_a_gap_among_the_buffered_diffs_counts_and_drops_what_is_before_it() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_update(spot(50, 55))
    book.on_depth_update(spot(57, 60, (100, 6)))
    book.on_depth_update(spot(52, 56))
    assert (book.gaps, book.valid) == (1, False)
    assert not book.on_depth_snapshot(snapshot(55))
    assert book.on_depth_snapshot(snapshot(56))
    assert best_bid(book) == (100, 6)


def test_no_snapshot_is_wanted_before_the_first_diff() -> None:
    book = OrderBook("BTCUSDT")
    book.on_touch_update(TouchUpdate("BTCUSDT", 1, 0, 5, 100, 1, 101, 1))
    assert not book.needs_snapshot
    book.on_depth_update(spot(50, 55))
    assert book.needs_snapshot


def test_a_disconnect_discards_everything_even_ids_that_ran_ahead() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(snapshot(70))
    book.on_touch_update(TouchUpdate("BTCUSDT", 1, 0, 90, 100, 1, 101, 1))
    book.invalidate("feed disconnected")
    assert (book.valid, book.invalid_reason, book.needs_snapshot) == (False, "feed disconnected", False)
    # The venue began anew with small ids: nothing of the old stream stands in the way.
    book.on_depth_update(spot(3, 4))
    assert book.on_depth_snapshot(snapshot(4, bids=[(60, 1)], asks=[(61, 1)]))
    assert (book.bid_ticks, book.ask_ticks, book.gaps, book.resyncs) == (60, 61, 0, 1)


def test_the_last_touch_stays_readable_while_invalid_for_valuing_only() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(snapshot(70))
    book.invalidate("feed disconnected")
    assert (book.bid_ticks, book.ask_ticks, book.valid) == (100, 101, False)


@pytest.mark.parametrize(
    ("first", "final", "previous", "fits"),
    [
        (65, 75, 60, True),  # U <= id <= u
        (70, 75, 60, True),
        (72, 75, 70, True),  # pu == id
        (72, 75, 69, False),
        (72, 75, 71, False),
        (71, 75, 60, False),
    ],
)
def test_the_first_futures_diff_after_a_snapshot(first: int, final: int, previous: int, fits: bool) -> None:
    live = OrderBook("BTCUSDT")
    live.on_depth_snapshot(snapshot(70))
    live.on_depth_update(futures(first, final, previous, (100, 9)))
    assert live.valid is fits
    buffered = OrderBook("BTCUSDT")
    buffered.on_depth_update(futures(first, final, previous, (100, 9)))
    assert buffered.on_depth_snapshot(snapshot(70)) is fits


def test_a_futures_diff_that_ends_at_the_snapshot_leads_to_the_next_one() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_update(futures(60, 70, 55))
    book.on_depth_update(futures(73, 75, 70, (100, 9)))
    assert book.on_depth_snapshot(snapshot(70))
    assert best_bid(book) == (100, 9)


def test_later_futures_diffs_are_held_to_pu_alone() -> None:
    book = OrderBook("BTCUSDT")
    book.on_depth_snapshot(snapshot(70))
    book.on_depth_update(futures(65, 75, 60))
    # U says nothing: ids between belong to other symbols.
    book.on_depth_update(futures(90, 95, 75, (100, 9)))
    assert best_bid(book) == (100, 9)
    # Once chained, an overlap is a gap too.
    assert book.on_depth_update(futures(94, 99, 94))
    assert (book.valid, book.gaps) == (False, 1)


def test_the_buffer_is_bounded_and_what_falls_out_is_counted() -> None:
    book = OrderBook("BTCUSDT", BookSettings(max_buffered_updates=3))
    for update_id in range(50, 60):
        book.on_depth_update(spot(update_id, update_id))
    assert book.overflowed_updates == 7
    assert not book.on_depth_snapshot(snapshot(52))
    assert book.on_depth_snapshot(snapshot(56))
    assert book.update_id == 59


def test_snapshots_are_asked_for_at_once_and_then_with_back_off() -> None:
    book = OrderBook("BTCUSDT")
    assert not book.snapshot_due(0)
    book.on_depth_update(spot(50, 55))
    asked = []
    for second in range(60):
        now_ns = second * SECOND_NS + 1
        if book.snapshot_due(now_ns):
            book.snapshot_requested(now_ns)
            asked.append(second)
    assert asked == [0, 1, 3, 7, 15, 31, 47]
    book.on_depth_snapshot(snapshot(56))
    assert not book.snapshot_due(200 * SECOND_NS)


def test_a_book_that_gaps_again_and_again_backs_off_and_a_quiet_minute_forgives() -> None:
    wait = SnapshotWait(10)
    wait.add(spot(1, 1))
    wait.requested(SECOND_NS)
    assert wait.take_after(1) == []
    wait.add(spot(5, 5))
    assert not wait.due(SECOND_NS + 5)
    assert wait.due(2 * SECOND_NS)
    wait.requested(2 * SECOND_NS)
    assert not wait.due(3 * SECOND_NS)
    wait.requested(90 * SECOND_NS)
    assert wait.due(91 * SECOND_NS)


def test_a_disconnect_also_forgets_a_touch_that_waited_for_the_snapshot() -> None:
    book = OrderBook("BTCUSDT")
    book.on_touch_update(TouchUpdate("BTCUSDT", 1, 0, 900, 50, 1, 51, 1))
    book.invalidate("feed disconnected")
    book.on_depth_update(spot(3, 4))
    assert book.on_depth_snapshot(snapshot(4))
    assert (book.bid_ticks, book.ask_ticks) == (100, 101)
