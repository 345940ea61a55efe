"""A venue on virtual time on which everything may go wrong, the adapter's market data on it, and the truth about its books.

The frames are the server's own (`Venue`, `MarketStreams`), the faults too (`FaultBoard`, `FrameLine`); the client is the adapter's
`MarketData` with its decoder, and the books are `OrderBook`s. What is written anew here is only what sockets and the event loop do
elsewhere: carrying frames, ending connections, waiting.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

import msgspec

from mmd.exchanges.adapter import AdapterCounters, Event
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.market_data import STREAMS, MarketData
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.market.book import BookSettings, OrderBook
from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, OrderType, Refusal, TimeInForce
from mmd.mock.faults import Fault, FaultBoard, FrameLine, Scenario, Timeline
from mmd.mock.faults.kinds import Cut, Restart, ServerShutdown
from mmd.mock.faults.random_faults import RandomFaults
from mmd.mock.faults.request_plan import plan_request
from mmd.mock.instruments import listed
from mmd.mock.server.config import MockConfig
from mmd.mock.server.market import market_from_config
from mmd.mock.server.market_events import shutdown_frame
from mmd.mock.server.state_store import StateStore
from mmd.mock.server.venue import Venue
from mmd.types.instrument import atoms
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedState, FeedStatus, Level, Side, TouchUpdate

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
STEP_NS = 5_000_000
LATENCY_NS = 2_000_000
REST_LATENCY_NS = 20_000_000
OVERLAP_NS = SECOND_NS
IDLE_NS = 10 * SECOND_NS
TRUTH_KEPT = 200_000
BOOKS_KEPT = 4_000
SNAPSHOT_LEVELS = 20
"""Fewer than the book has: so what lies beyond is unknown until it changes."""
WHOLE_BOOK = 1_000
STALE_SNAPSHOTS = 0.3
ORDER_EVERY_NS = SECOND_NS // 2
ACCOUNT = "K1"

Truth = tuple[int, int]
"""Life of the exchange (it may restart without its ids) and update id."""


class Chronicle:
    """What the exchange's own books were, by life and update id: every touch, and the whole book at each beat and snapshot."""

    def __init__(self) -> None:
        self.life = 0
        self.touches: dict[str, OrderedDict[Truth, tuple[int, int, int, int]]] = {}
        self.books: dict[str, OrderedDict[Truth, tuple[dict[int, int], dict[int, int]]]] = {}

    def note_touch(self, engine: MatchingEngine, symbol: str) -> None:
        update_id, *touch = engine.touch(symbol)
        kept = self.touches.setdefault(symbol, OrderedDict())
        kept[self.life, update_id] = tuple(touch)  # type: ignore[assignment]
        if len(kept) > TRUTH_KEPT:
            kept.popitem(last=False)

    def note_book(self, engine: MatchingEngine, symbol: str) -> None:
        update_id, bids, asks = engine.depth(symbol, 1_000_000)
        kept = self.books.setdefault(symbol, OrderedDict())
        kept[self.life, update_id] = dict(bids), dict(asks)
        if len(kept) > BOOKS_KEPT:
            kept.popitem(last=False)
        self.note_touch(engine, symbol)


class ChronicledVenue(Venue):
    """The server's venue, telling a chronicle what its engine's books are after each operation and at each beat."""

    chronicle: Chronicle

    def publish(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        self.chronicle.note_touch(self.engine, symbol)
        super().publish(time_ns, symbol, events)

    def _beat(self, time_ns: int) -> None:
        for symbol in self.texts:
            self.chronicle.note_book(self.engine, symbol)
        super()._beat(time_ns)


class SimulatedLink:
    """One websocket: the server's end (`send`, `combined`) and the client's (`given_up`, `fail`, `leave`)."""

    combined = True

    def __init__(self, world: FaultyMarket, number: int) -> None:
        self.number = number
        self.life = world.chronicle.life
        self.line = FrameLine(world.board, "market", number)
        self.opened_ns = self.last_ns = world.now_ns
        self.given_up = False
        self.is_open = True
        self.leaving = False
        self._world = world

    def send(self, frame: bytes) -> None:
        if not self.is_open:
            return
        for due_ns, each in self.line.pass_on(frame, self._world.now_ns):
            self._world.at(due_ns + LATENCY_NS, lambda each=each: self._world.arrive(self, each))

    def fail(self, reason: str) -> None:
        self.given_up = True
        self._world.later(0, lambda: self._world.lost(self, reason))

    def leave(self, reason: str) -> None:
        if not self.leaving:
            self.leaving = True
            self._world.later(0, lambda: self._world.renew(self))


class FaultyMarket:
    """Exchange, faults and client. `run` lets time pass; after every event its book is compared with the truth.

    A fault begins every `every` s in the mean. `whole`: snapshots are of the whole book and fresh.
    """

    def __init__(
        self, seed: int, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), *, every: float = 2.0, whole: bool = False
    ) -> None:
        self._snapshot_levels = WHOLE_BOOK if whole else SNAPSHOT_LEVELS
        self._stale_snapshots = 0.0 if whole else STALE_SNAPSHOTS
        self.now_ns = START_NS
        self.board = FaultBoard(seed)
        self.board.on_act(self._act)
        self.chronicle = Chronicle()
        self.symbols = symbols
        self.scenario = Scenario(seed, "wall", (), RandomFaults(every=every, longest=5.0, start=1.0))
        self.timeline = Timeline(self.scenario, self.board, START_NS)
        self.switched_on = 0
        self.valid_ns = dict.fromkeys(symbols, 0)
        self.touches_compared = self.books_compared = 0
        self.snapshot_failures = 0
        self._random = Random(seed)
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._number = self._link_number = 0
        self._is_down = False
        self._next_order_ns = START_NS
        self._order: str = ""
        self._venue = self._opened(None, seed)
        self._links: list[SimulatedLink] = []
        self._snapshot_pending: set[str] = set()
        instruments = listed(symbols)
        self.books = {symbol: OrderBook(symbol, BookSettings(snapshot_cut_off=self._snapshot_levels)) for symbol in symbols}
        self._newest = dict.fromkeys(symbols, (-1, -1))
        self._compared_ids = dict.fromkeys(symbols, -1)
        self.failures: list[tuple[BaseException, str]] = []
        self.outlet = EventOutlet(lambda error, where: self.failures.append((error, where)))
        self.outlet.open(self._on_event)
        self.counters = AdapterCounters()
        self._decoder = FrameDecoder(instruments)
        surroundings = Surroundings(
            lambda: self.now_ns, self.outlet, Complaints(lambda: self.now_ns), self.counters, Tasks(self.outlet._on_failure)
        )
        self._backoff = Backoff(self._random, first=0.25, cap=4.0, reset_after=60.0)
        self._client = MarketData(BinanceSettings(), symbols, self._decoder, surroundings, self._backoff)
        self.later(0, self._connect)

    # ---- time

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until_ns = self.now_ns + round(seconds * SECOND_NS)
        while self.now_ns < until_ns:
            step_end = self.now_ns + STEP_NS
            while self._queue and self._queue[0][0] <= step_end:
                due_ns, _, act = heappop(self._queue)
                self.now_ns = max(self.now_ns, due_ns)
                act()
            self.now_ns = step_end
            self.switched_on += len(self.timeline.advance(step_end))
            if not self._is_down:
                self._venue.fill_due()
                while self._venue.step():
                    pass
                self._trade()
            for symbol, book in self.books.items():
                self.valid_ns[symbol] += STEP_NS * book.valid
            if self._links and step_end - self._links[-1].last_ns > IDLE_NS:
                self._links[-1].fail("no message")
                self._links[-1].last_ns = step_end
        assert not self.failures, self.failures

    def at(self, due_ns: int, act: Callable[[], None]) -> None:
        self._number += 1
        heappush(self._queue, (due_ns, self._number, act))

    def later(self, delay_ns: int, act: Callable[[], None]) -> None:
        self.at(self.now_ns + delay_ns, act)

    # ---- the exchange

    def _opened(self, saved: bytes | None, seed: int) -> ChronicledVenue:
        config = MockConfig(symbols=self.symbols, seed=seed)
        if saved is None:
            engine = MatchingEngine(listed(self.symbols))
            engine.open_account(ACCOUNT, {asset: atoms("1000000") for asset in ("USDT", "BTC", "ETH")})
        else:
            engine = MatchingEngine.restore(saved, listed(self.symbols))
        # The chronicle must be there before the market fills its opening book.
        ChronicledVenue.chronicle = self.chronicle
        venue = ChronicledVenue(config, engine, lambda: self.now_ns, StateStore(None, 1.0), market_from_config, self.board)
        for symbol in self.symbols:
            self.chronicle.note_book(engine, symbol)
        return venue

    def _act(self, fault: Fault, now_ns: int) -> None:
        if isinstance(fault, Cut):
            for link in list(self._links):
                self._cut(link, f"closed by the venue: {fault.code}")
        elif isinstance(fault, ServerShutdown):
            told = list(self._links)
            for link in told:
                link.send(b'{"stream":"!serverShutdown","data":%b}' % shutdown_frame(now_ns // 1_000_000))
            self.later(round(fault.grace_seconds * SECOND_NS), lambda: [self._cut(link, "shut down") for link in told])
        elif isinstance(fault, Restart) and not self._is_down:
            self._is_down = True
            saved = self._venue.engine.snapshot() if fault.keep_state else None
            for link in list(self._links):
                self._cut(link, "the venue is down")
            self.later(round(fault.down_seconds * SECOND_NS), lambda: self._come_back(saved))

    def _come_back(self, saved: bytes | None) -> None:
        self.chronicle.life += 1
        self._order = ""
        self._venue = self._opened(saved, self.scenario.seed + self.chronicle.life)
        self._is_down = False

    def _trade(self) -> None:
        """An account that places and cancels near the touch, so that faults of orders move the book as well."""
        if self.now_ns < self._next_order_ns:
            return
        self._next_order_ns = self.now_ns + ORDER_EVERY_NS
        symbol, engine = self.symbols[0], self._venue.engine
        plan = plan_request(self.board, "order_entry", 0, "order.place", changes_orders=True, now_ns=self.now_ns)
        _, bid_ticks, _, _, _ = engine.touch(symbol)
        if plan.refusal is not None or not bid_ticks:
            return
        now_ns = self._venue.catch_up()
        try:
            if self._order:
                name, self._order = self._order, ""
                _, events = engine.cancel(ACCOUNT, symbol, now_ns, client_order_id=name)
            else:
                name = f"order-{self.now_ns}"
                price = bid_ticks - self._random.randrange(0, 50)
                lots = self._random.randint(1_000, 20_000)
                kind, force = OrderType.LIMIT, TimeInForce.GTC
                _, events = engine.place(
                    NewOrder(ACCOUNT, symbol, Side.BUY, kind, force, price, lots, client_order_id=name), now_ns
                )
                self._order = name
        except Refusal:
            return
        self._venue.publish(now_ns, symbol, events)

    # ---- the line

    def _connect(self, old: SimulatedLink | None = None) -> None:
        """Open a websocket, now or, if the venue does not let us in, after a wait; `old` is the one it succeeds."""
        frozen_ns = self.board.frozen_until_ns("rest", 0, self.now_ns)
        if self._is_down or self.board.refused_connection("market", self.now_ns):
            self.counters.connect_failures += 1
            self.later(round(self._backoff.next_delay() * SECOND_NS), lambda: self._connect(old))
            return
        if frozen_ns > self.now_ns:
            self.at(frozen_ns, lambda: self._connect(old))
            return
        if old is not None and not old.is_open:
            old = None
            if self._links:
                return
        self._link_number += 1
        link = SimulatedLink(self, self._link_number)
        self._links.append(link)
        self._client._links.add(link)  # type: ignore[arg-type]
        for symbol in self.symbols:
            for stream in STREAMS:
                self._venue.streams.subscribe(link, f"{symbol.lower()}@{stream}")  # type: ignore[arg-type]
        if old is None:
            self._client.on_up()
        else:
            self.later(OVERLAP_NS, lambda: self._retire(old))

    def arrive(self, link: SimulatedLink, frame: bytes) -> None:
        """A frame has come to the client's end, unless the venue is frozen: then it comes when it thaws."""
        frozen_ns = self.board.frozen_until_ns("market", link.number, self.now_ns)
        if frozen_ns > self.now_ns:
            self.at(frozen_ns, lambda: self.arrive(link, frame))
            return
        if not link.is_open:
            return
        link.last_ns = self.now_ns
        self._client.receive(link, frame)  # type: ignore[arg-type]
        self._client.read_ended()

    def _cut(self, link: SimulatedLink, reason: str) -> None:
        """The venue ends the connection; what was under way on it is lost."""
        if link.is_open:
            self._unsubscribe(link)
            self.later(LATENCY_NS, lambda: self.lost(link, reason))

    def _unsubscribe(self, link: SimulatedLink) -> None:
        link.is_open = False
        for symbol in self.symbols:
            for stream in STREAMS:
                self._venue.streams.unsubscribe(link, f"{symbol.lower()}@{stream}")  # type: ignore[arg-type]

    def lost(self, link: SimulatedLink, reason: str) -> None:
        """A connection is gone; if it was the only one, the channel is down and tries again."""
        if link not in self._links:
            return
        if link.is_open:
            self._unsubscribe(link)
        self._links.remove(link)
        self._client._links.discard(link)  # type: ignore[arg-type]
        self.board.forget_connection(link.number)
        if self._links:
            return
        self.counters.reconnects += 1
        self._backoff.record_uptime((self.now_ns - link.opened_ns) / SECOND_NS)
        self._client.on_down(reason)
        self.later(round(self._backoff.next_delay() * SECOND_NS), self._connect)

    def renew(self, old: SimulatedLink) -> None:
        """The successor first, then the old one goes."""
        if old in self._links and old is self._links[-1]:
            self._connect(old)

    def _retire(self, old: SimulatedLink) -> None:
        old.given_up = True
        self.lost(old, "renewed")

    # ---- the books

    def _on_event(self, event: Event) -> None:
        if isinstance(event, FeedStatus):
            self._newest = dict.fromkeys(self.symbols, (-1, -1))
            for book in self.books.values():
                book.invalidate(f"feed {event.state.value}")
            if event.state is FeedState.CONNECTED:
                self._snapshot_pending.clear()
        elif isinstance(event, TouchUpdate | DepthUpdate | DepthSnapshot):
            book = self.books[event.symbol]
            if isinstance(event, TouchUpdate):
                book.on_touch_update(event)
            elif isinstance(event, DepthUpdate):
                book.on_depth_update(event)
            else:
                book.on_depth_snapshot(event)
            if not book.valid and book.needs_snapshot:
                self._newest[event.symbol] = (-1, -1)
            self.compare(book)
            if book.needs_snapshot and book.snapshot_due(event.receive_ns):
                book.snapshot_requested(event.receive_ns)
                self._ask_for_snapshot(event.symbol)

    def _ask_for_snapshot(self, symbol: str) -> None:
        if symbol not in self._snapshot_pending:
            self._snapshot_pending.add(symbol)
            self.later(REST_LATENCY_NS // 2, lambda: self._answer_snapshot(symbol))

    def _answer_snapshot(self, symbol: str) -> None:
        if symbol not in self._snapshot_pending:
            return
        frozen_ns = self.board.frozen_until_ns("rest", 0, self.now_ns)
        if frozen_ns > self.now_ns:
            self.at(frozen_ns, lambda: self._answer_snapshot(symbol))
            return
        plan = plan_request(self.board, "rest", 0, "depth", changes_orders=False, now_ns=self.now_ns)
        failed = plan.refusal or plan.error
        if failed is not None or self._is_down:
            self.snapshot_failures += 1
            wait = failed.retry_seconds if failed is not None and failed.retry_seconds else self._backoff.next_delay()
            self.later(round(wait * SECOND_NS), lambda: self._answer_snapshot(symbol))
            return
        update_id, bids, asks = self._snapshot(symbol)
        body = msgspec.json.encode(self._venue.texts[symbol].depth_reply(update_id, bids, asks))
        life = self.chronicle.life

        def deliver() -> None:
            # A restart breaks the REST connection too.
            if life == self.chronicle.life and symbol in self._snapshot_pending and not self._is_down:
                self._snapshot_pending.discard(symbol)
                self.outlet.batch([self._decoder.decode_snapshot(symbol, body, self.now_ns)], self.now_ns)

        self.later(REST_LATENCY_NS // 2, deliver)

    def _snapshot(self, symbol: str) -> tuple[int, list[Level], list[Level]]:
        """What REST answers: the book as it is, or, as from a cache, as it was up to two seconds ago."""
        self.chronicle.note_book(self._venue.engine, symbol)
        if self._random.random() >= self._stale_snapshots:
            return self._venue.depth(symbol, self._snapshot_levels)
        newest = list(self.chronicle.books[symbol].items())[-20:]
        (_, update_id), (bids, asks) = self._random.choice([each for each in newest if each[0][0] == self.chronicle.life])
        return update_id, sorted(bids.items(), reverse=True)[: self._snapshot_levels], sorted(asks.items())[: self._snapshot_levels]

    def compare(self, book: OrderBook) -> None:
        """Whenever the book claims to be valid it is the exchange's own: the touch, and every level that it claims to know."""
        if not book.valid:
            return
        symbol, life = book.symbol, self.chronicle.life
        newest = self._newest[symbol]
        assert book.touch_update_id >= book.update_id >= newest[1], f"{symbol}: back in time"
        assert book.touch_update_id >= newest[0], f"{symbol}: the touch goes back in time"
        self._newest[symbol] = book.touch_update_id, book.update_id
        touch = (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots)
        truth = self.chronicle.touches[symbol].get((life, book.touch_update_id))
        assert touch == truth, f"touch of {symbol} at {book.touch_update_id}: {touch}, at the exchange {truth}"
        self.touches_compared += 1
        if book.update_id != self._compared_ids[symbol]:
            self._compared_ids[symbol] = book.update_id
            self.books_compared += 1
            true_bids, true_asks = self.chronicle.books[symbol][life, book.update_id]
            compare_side(book, Side.BUY, true_bids)
            compare_side(book, Side.SELL, true_asks)


def compare_side(book: OrderBook, side: Side, truth: dict[int, int]) -> None:
    """Prices and quantities of all levels the book claims to know; up to its horizon it must know every one."""
    own: Any = book._bids if side is Side.BUY else book._asks
    at = f"{book.symbol} {side.name} at update {book.update_id}"
    for price, lots in own.lots_at.items():
        assert truth.get(price) == lots, f"{at}: {lots} lots at {price}, at the exchange {truth.get(price)}"
    known = {price: lots for price, lots in truth.items() if price * own.sign >= own.horizon}
    missing = known.keys() - own.lots_at.keys()
    assert not missing, f"{at}: levels {sorted(missing)} are missing"
    best = sorted(known.items(), key=lambda level: -level[0] * own.sign)
    ticks, lots = (book.bid_ticks, book.bid_lots) if side is Side.BUY else (book.ask_ticks, book.ask_lots)
    behind: list[Level] = [level for level in best if level[0] * own.sign < ticks * own.sign]
    count = min(10, len(behind))
    assert book.levels(side, count + 1) == [(ticks, lots), *behind[:count]], f"{at}: visible levels"
