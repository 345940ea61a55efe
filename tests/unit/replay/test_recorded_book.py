"""The book of a recording with a hole in it: nothing from before the hole is shown after it, and a later snapshot mends it."""

from __future__ import annotations

from mmd.mock.replay.book import RecordedBook
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level, TouchUpdate

SECOND = 1_000_000_000


def diff(first: int, final: int, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = ()) -> DepthUpdate:
    return DepthUpdate("BTCUSDT", final * SECOND, 0, first, final, NO_UPDATE_ID, bids, asks)


def snapshot(last: int, bids: tuple[Level, ...], asks: tuple[Level, ...]) -> DepthSnapshot:
    return DepthSnapshot("BTCUSDT", last * SECOND, last, bids, asks)


def begun() -> RecordedBook:
    book = RecordedBook("BTCUSDT")
    book.seed([snapshot(10, ((100, 5), (99, 6)), ((101, 7),)), diff(11, 12)])
    assert book.on_depth_update(diff(11, 12, bids=((98, 1),)))
    assert book.depth(10) == (12, [(100, 5), (99, 6), (98, 1)], [(101, 7)])
    return book


def test_after_a_hole_only_what_was_seen_since_stands() -> None:
    book = begun()
    assert book.on_depth_update(diff(50, 51, bids=((90, 2),), asks=((91, 3),)))
    assert book.breaks == 1
    assert book.depth(10) == (51, [(90, 2)], [(91, 3)])
    book.on_touch_update(TouchUpdate("BTCUSDT", 0, 0, 52, 89, 4, 91, 3))
    book.on_depth_update(diff(52, 53))
    assert book.depth(10) == (53, [(90, 2), (89, 4)], [(91, 3)])


def test_a_snapshot_recorded_after_the_hole_mends_the_book_with_the_diffs_since() -> None:
    book = begun()
    book.on_depth_update(diff(50, 51, bids=((90, 2),)))
    book.on_depth_update(diff(52, 53, bids=((90, 0), (88, 9))))
    assert not book.on_depth_snapshot(snapshot(40, ((1, 1),), ())), "older than what was seen since the hole"
    assert book.on_depth_snapshot(snapshot(51, ((90, 2), (87, 1)), ((91, 3),)))
    assert book.depth(10) == (53, [(88, 9), (87, 1)], [(91, 3)])
    assert book.on_depth_update(diff(54, 54, asks=((91, 0), (92, 4))))
    assert book.depth(10) == (54, [(88, 9), (87, 1)], [(92, 4)])
    assert book.breaks == 1


def test_a_snapshot_of_a_whole_recording_changes_nothing() -> None:
    book = begun()
    assert not book.on_depth_snapshot(snapshot(12, ((1, 1),), ()))
    assert book.depth(1)[1] == [(100, 5)]
