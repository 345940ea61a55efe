"""The book against the exchange's own, over a line that drops, repeats and reorders."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.market.book import BookSettings, OrderBook
from mmd.types.market import NO_UPDATE_ID, DepthSnapshot, DepthUpdate, Level, Side, TouchUpdate

LOWEST, HIGHEST = 90, 110


@dataclass
class Exchange:
    """The truth: a dict a side, one update id for each change, and what stood at each id."""

    futures: bool
    bids: dict[int, int] = field(default_factory=lambda: {98: 1, 97: 2})
    asks: dict[int, int] = field(default_factory=lambda: {102: 1, 103: 2})
    update_id: int = 100
    published_id: int = 100
    changed: dict[tuple[Side, int], int] = field(default_factory=dict)
    history: dict[int, tuple[list[Level], list[Level]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history[self.update_id] = self.sides()

    def sides(self) -> tuple[list[Level], list[Level]]:
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())

    def change(self, side: Side, price: int, lots: int) -> None:
        """Set a level. What would cross first eats the other side's levels, each by an update id of its own."""
        own, other = (self.bids, self.asks) if side is Side.BUY else (self.asks, self.bids)
        if lots:
            for met in [p for p in other if (p <= price if side is Side.BUY else p >= price)]:
                self._set(side.opposite, other, met, 0)
        elif price not in own:
            return
        self._set(side, own, price, lots)

    def _set(self, side: Side, levels: dict[int, int], price: int, lots: int) -> None:
        if lots:
            levels[price] = lots
        else:
            levels.pop(price, None)
        self.update_id += 1
        self.changed[side, price] = lots
        self.history[self.update_id] = self.sides()

    def diff(self) -> DepthUpdate | None:
        if self.update_id == self.published_id:
            return None
        bids = tuple((price, lots) for (side, price), lots in self.changed.items() if side is Side.BUY)
        asks = tuple((price, lots) for (side, price), lots in self.changed.items() if side is Side.SELL)
        first, previous = self.published_id + 1, self.published_id if self.futures else NO_UPDATE_ID
        self.changed.clear()
        self.published_id = self.update_id
        return DepthUpdate("X", self.update_id, 0, first, self.update_id, previous, bids, asks)

    def touch(self) -> TouchUpdate:
        bids, asks = self.sides()
        bid, ask = (bids or [(0, 0)])[0], (asks or [(0, 0)])[0]
        return TouchUpdate("X", self.update_id, 0, self.update_id, *bid, *ask)

    def snapshot(self, update_id: int) -> DepthSnapshot:
        bids, asks = self.history[update_id]
        return DepthSnapshot("X", update_id, update_id, tuple(bids), tuple(asks))


def check_sums(book: OrderBook, count: int) -> None:
    """Sums of lots are kept from call to call with the same count; they must never differ from the levels' own."""
    bids, asks = book.levels(Side.BUY, count), book.levels(Side.SELL, count)
    assert book.best_lots(count) == (sum(lots for _, lots in bids), sum(lots for _, lots in asks))


def check(book: OrderBook, exchange: Exchange) -> None:
    check_sums(book, 5)
    if not book.valid:
        assert book.invalid_reason
        return
    bids, asks = exchange.history[book.touch_update_id]
    assert (book.bid_ticks, book.bid_lots) == bids[0]
    assert (book.ask_ticks, book.ask_lots) == asks[0]
    true_bids, true_asks = exchange.history[book.update_id]
    if book.touch_update_id == book.update_id:
        assert book.levels(Side.BUY, 50) == true_bids
        assert book.levels(Side.SELL, 50) == true_asks
    else:
        # The touch is of a newer id; behind it stand the levels of the diff stream's id.
        assert book.levels(Side.BUY, 50) == [bids[0], *(level for level in true_bids if level[0] < bids[0][0])]
        assert book.levels(Side.SELL, 50) == [asks[0], *(level for level in true_asks if level[0] > asks[0][0])]


def receive(book: OrderBook, event: DepthUpdate | TouchUpdate) -> None:
    if isinstance(event, TouchUpdate):
        book.on_touch_update(event)
        return
    was_valid, was_synced, before, gaps = book.valid, book.update_id != NO_UPDATE_ID, book.update_id, book.gaps
    changed = book.on_depth_update(event)
    if was_synced and event.first_update_id > before + 1:
        assert not book.valid, "a gap always invalidates"
        assert book.gaps == gaps + 1
        assert book.needs_snapshot
    assert changed or book.valid is was_valid


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from(list(Side)), st.integers(LOWEST, HIGHEST), st.integers(0, 3)),
        st.tuples(st.just("publish diff")),
        st.tuples(st.just("publish touch")),
        st.tuples(st.just("deliver"), st.integers(0, 3)),
        st.tuples(st.just("repeat")),
        st.tuples(st.just("drop"), st.integers(0, 3)),
        st.tuples(st.just("snapshot"), st.integers(0, 6)),
        st.tuples(st.just("disconnect")),
    ),
    max_size=120,
)


def act(action: tuple, exchange: Exchange, book: OrderBook, line: list, delivered: list) -> None:  # type: ignore[type-arg]
    match action:
        case ("change", side, price, lots):
            exchange.change(side, price, lots)
        case ("publish diff",):
            if (diff := exchange.diff()) is not None:
                line.append(diff)
        case ("publish touch",):
            line.append(exchange.touch())
        case ("deliver", place) if line:
            delivered.append(line.pop(min(place, len(line) - 1)))
            receive(book, delivered[-1])
        case ("repeat",) if delivered:
            receive(book, delivered[-1])
        case ("drop", place) if line:
            line.pop(min(place, len(line) - 1))
        case ("snapshot", age):
            book.on_depth_snapshot(exchange.snapshot(max(100, exchange.update_id - age)))
        case ("disconnect",):
            line.clear()
            book.invalidate("feed disconnected")


@given(st.booleans(), ACTIONS)
@settings(max_examples=400, deadline=None)
def test_whenever_valid_the_book_is_the_exchanges_own(futures: bool, actions: list) -> None:  # type: ignore[type-arg]
    exchange = Exchange(futures)
    book = OrderBook("X", BookSettings(max_depth_silence_seconds=1e6))
    line: list[DepthUpdate | TouchUpdate] = []
    delivered: list[DepthUpdate | TouchUpdate] = []
    for action in actions:
        act(action, exchange, book, line, delivered)
        check(book, exchange)
    recovers(exchange, book)
    for count in (0, 1, 3, 50):
        check_sums(book, count)


def recovers(exchange: Exchange, book: OrderBook) -> None:
    """From wherever it is: a diff, a fresh snapshot where one is wanted, and the book is the exchange's."""
    exchange.diff()
    exchange.change(Side.BUY, 95, 1 + exchange.bids.get(95, 0))
    exchange.change(Side.SELL, 108, 1 + exchange.asks.get(108, 0))
    diff = exchange.diff()
    assert diff is not None
    receive(book, diff)
    if book.needs_snapshot:
        assert book.on_depth_snapshot(exchange.snapshot(exchange.update_id))
    assert book.valid
    assert book.update_id == exchange.update_id
    check(book, exchange)


@given(st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 200), st.integers(0, 3)), max_size=200), st.integers(20, 30))
@settings(max_examples=150, deadline=None)
def test_a_bounded_book_is_right_up_to_its_horizon_or_invalid(changes: list[tuple[Side, int, int]], kept: int) -> None:
    exchange = Exchange(futures=False, bids=dict.fromkeys(range(60, 99), 1), asks=dict.fromkeys(range(102, 141), 1))
    book = OrderBook("X", BookSettings(max_levels_per_side=kept, snapshot_cut_off=20))
    book.on_depth_snapshot(exchange.snapshot(100))
    for side, price, lots in changes:
        exchange.change(side, price, lots)
        diff = exchange.diff()
        if diff is None:
            continue
        receive(book, diff)
        if book.needs_snapshot:
            book.on_depth_snapshot(exchange.snapshot(exchange.update_id))
        assert len(book.levels(Side.BUY, 500)) <= kept
        assert len(book.levels(Side.SELL, 500)) <= kept
        check_sums(book, 21)
        if book.valid:
            bids, asks = exchange.sides()
            assert (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots) == (*bids[0], *asks[0])
