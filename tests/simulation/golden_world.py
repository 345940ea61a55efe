"""A seeded world in whole numbers alone: a market, and a venue that answers, refuses, loses and fills, around one trader.

It does not simulate anything well; it drives a trader through as many of its ways as it can, the same on every machine, so that a
session's whole outbound stream can be compared with what an earlier version of the trader sent. Prices are ticks, times ns.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from heapq import heappop, heappush
from random import Random
from typing import Any

from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.market_frames import depth_frame, touch_frame, trade_frame
from mmd.exchanges.binance.signing import HmacSigner
from mmd.mock.instruments import listed
from mmd.trader import Trader
from mmd.types.control import HaltRequest, PersistHalt, PersistLedger, ResumeRequest, Shutdown, Timer
from mmd.types.market import (
    BatchEnd,
    DepthUpdate,
    FeedState,
    FeedStatus,
    MarketTrade,
    Side,
    TouchUpdate,
)
from mmd.types.orders import (
    AmendOrder,
    Balance,
    CancelOrder,
    CancelRejected,
    ClockSync,
    ExternalBalanceChange,
    Fill,
    OrderAccepted,
    OrderBudgetReport,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    ReconciliationFailed,
    ReconciliationReport,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)
from tests.simulation.golden_book import GoldenBook

START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
MS = 1_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
START_ATOMS = 10**12


class _VenueOrder:
    def __init__(self, command: PlaceOrder | ReplaceOrder, number: int) -> None:
        self.name, self.symbol, self.side = command.client_order_id, command.symbol, command.side
        self.price, self.lots, self.filled, self.number = command.price_ticks, command.lots, 0, number
        self.status = OrderStatus.NEW

    def update(self, now: int, name: str = "", replaced: str = "") -> OrderUpdate:
        return OrderUpdate(
            now,
            self.symbol,
            name or self.name,
            self.number,
            self.side,
            self.price,
            self.lots,
            self.filled,
            self.status,
            now,
            replaced,
        )


class GoldenWorld:
    """`run` it; then `digest` is the hash of everything that left, `quotes` of every quote as it was made."""

    def __init__(self, trader: Trader, seed: int, *, hostile: bool) -> None:
        self.trader, self.random, self.hostile = trader, Random(seed), hostile
        instruments = {instrument.symbol: instrument for instrument in listed(SYMBOLS)}
        self.instruments = instruments
        self.now = START_NS
        self._books = {symbol: GoldenBook(instrument, self.random) for symbol, instrument in instruments.items()}
        self._decoder = FrameDecoder(instruments)
        self._encoder = RequestEncoder(instruments, api_key="key", recv_window_ms=2000, signer=HmacSigner("secret"))
        self._orders: dict[str, _VenueOrder] = {}
        self._balances = dict.fromkeys(("BTC", "ETH", "USDT"), START_ATOMS)
        self._trades: list[Fill] = []
        self._queue: list[tuple[int, int, Any]] = []
        self._number = 0
        self._feed_up = True
        self._lag = 0
        self._out = hashlib.sha256()
        self._quoted = hashlib.sha256()
        self._last_quotes: dict[str, Any] = {}
        self.sent: Counter[str] = Counter()
        self.made = 0
        self.exact_quotes: list[Any] = []

    @property
    def digest(self) -> str:
        return self._out.hexdigest()

    @property
    def quotes(self) -> str:
        return self._quoted.hexdigest()

    # ---- the loop

    def run(self, seconds: int) -> None:
        instruments = tuple(self.instruments)
        self._deliver(
            ClockSync(self.now, 0, 0), FeedStatus(self.now, FeedState.CONNECTED, instruments), OrderChannelStatus(self.now, True)
        )
        end, timer, depth, minute = self.now + seconds * SECOND, self.now, self.now, self.now + 20 * SECOND
        while self.now < end:
            self.now += self.random.randrange(200_000, 12 * MS)
            while self._queue and self._queue[0][0] <= self.now:
                _, _, events = heappop(self._queue)
                self._deliver(*events)
            if self.now >= timer:
                timer = self.now + 50 * MS
                self._deliver(Timer(self.now), batch=False)
            if self.now >= depth:
                depth = self.now + 100 * MS
                self._feed(*(book.diff(self.now, self.now - self._stamp_lag()) for book in self._books.values()))
            else:
                self._feed(*self._market())
            if self.hostile and self.now >= minute:
                minute = self.now + 7 * SECOND
                self._mischief()
        self._deliver(Shutdown(self.now, "over"), batch=False)
        for _ in range(400):
            self.now += 10 * MS
            while self._queue and self._queue[0][0] <= self.now:
                self._deliver(*heappop(self._queue)[2])
            self._deliver(Timer(self.now), batch=False)

    def _market(self) -> list[Any]:
        events: list[Any] = []
        for symbol, book in self._books.items():
            draw = self.random.randrange(10)
            if draw < 6:
                book.move(self.random.choice((-12, -5, -2, -1, 0, 0, 1, 2, 5, 12)))
                events.append(book.touch(self.now))
            elif draw < 8:
                buys = self.random.randrange(2)
                price = book.bid + book.spread + 3 if buys else book.bid - 3
                side = Side.BUY if buys else Side.SELL
                self._number += 1
                stamp = self.now - self._stamp_lag()
                events.append(MarketTrade(symbol, self.now, stamp, self._number, price, self.random.randrange(1, 4_000), side))
                self._fill(symbol, side.opposite, price)
        return events

    def _stamp_lag(self) -> int:
        return 3 * MS + self.random.randrange(2 * MS) + self._lag

    def _mischief(self) -> None:
        now, kind = self.now, self.random.randrange(9)
        if kind == 0:
            self._feed_up = False
            self._deliver(FeedStatus(now, FeedState.DISCONNECTED, SYMBOLS, "cut"))
            heappush(self._queue, (now + 800 * MS, self._next(), (FeedStatus(now + 800 * MS, FeedState.CONNECTED, SYMBOLS),)))
        elif kind == 1:
            self._deliver(OrderChannelStatus(now, False, "cut"))
            heappush(self._queue, (now + 500 * MS, self._next(), (OrderChannelStatus(now + 500 * MS, True),)))
        elif kind == 2:
            self._deliver(HaltRequest(now, "a person", "http"), batch=False)
            heappush(self._queue, (now + SECOND, self._next(), (ResumeRequest(now + SECOND, "looked at", "http"),)))
        elif kind == 3:
            self._balances["USDT"] += 5_000
            self._deliver(ExternalBalanceChange(now, "USDT", 5_000))
        elif kind == 4:
            used = self.random.randrange(60)
            self._deliver(OrderBudgetReport(now, 10 * SECOND, 100, used), batch=False)
        elif kind == 5:
            self._lag = 0 if self._lag else 400 * MS
        elif kind == 6:
            # A hole in the diffs.
            book = self._books["BTCUSDT"]
            book.move(3)
            book.diff(now, now)
        elif kind == 7:
            self.now += 6 * SECOND
        elif kind == 8:
            self._deliver(ClockSync(now, self.random.randrange(-5 * MS, 5 * MS), MS), batch=False)

    # ---- to the trader

    def _feed(self, *events: Any) -> None:
        if not self._feed_up or not events:
            return
        decoded = []
        for event in events:
            instrument = self.instruments[event.symbol]
            frame = {TouchUpdate: touch_frame, MarketTrade: trade_frame, DepthUpdate: depth_frame}[type(event)](instrument, event)
            decoded.append(self._decoder.decode(frame, event.receive_ns))
        self._deliver(*decoded)

    def _deliver(self, *events: Any, batch: bool = True) -> None:
        for event in events:
            if isinstance(event, FeedStatus):
                self._feed_up = event.state is FeedState.CONNECTED
            self._take(self.trader.on_event(event))
        if batch:
            self._take(self.trader.on_event(BatchEnd(self.now)))

    def _take(self, commands: Any) -> None:
        self._note_quotes()
        for command in commands:
            kind = type(command)
            self.sent[kind.__name__] += 1
            if kind in (PlaceOrder, ReplaceOrder, CancelOrder, AmendOrder, QueryOrder):
                number = sum(self.sent.values())
                stamp = command.decided_ns // MS
                self._out.update(self._encoder.encode(command, number, stamp) + self._encoder.payload(command, stamp).encode())
            elif kind is PersistHalt:
                self._out.update(repr(command.record).encode())
            elif kind is PersistLedger:
                # When it is written is pinned, not what a checkpoint holds.
                self._out.update(b"checkpoint")
            else:
                self._out.update(repr(command).encode())
            self._answer(command)

    def _note_quotes(self) -> None:
        for symbol, desk in self.trader.desks.items():
            quote = desk.quote
            if quote is self._last_quotes.get(symbol):
                continue
            self._last_quotes[symbol] = quote
            if quote is None:
                self._quoted.update(b"none")
                continue
            self.made += 1
            parts = quote.attribution
            assert_adds_up(quote)
            # Six places: the last bits of a logarithm are the machine's.
            shown = [f"{value:.6f}" for value in parts.as_dict().values()]
            whole = (quote.symbol, quote.decided_ns, quote.bid_ticks, quote.bid_lots, quote.ask_ticks, quote.ask_lots)
            rest = (f"{quote.fair_ticks:.6f}", f"{quote.confidence:.9f}", quote.predicted_direction, quote.source, quote.withheld)
            rest = (*rest, f"{quote.raw.size_share:.6f}", sorted(quote.refused.items()))
            self._quoted.update(repr((whole, rest, shown)).encode())
            self.exact_quotes.append((whole, quote.fair_ticks, quote.confidence, tuple(parts.as_dict().values())))

    # ---- the venue

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _later(self, *events: Any) -> None:
        heappush(self._queue, (self.now + MS, self._next(), events))

    def _answer(self, command: Any) -> None:
        now, luck = self.now + MS, self.random.randrange(100) if self.hostile else 50
        if isinstance(command, RequestDepthSnapshot):
            if self._feed_up:
                self._later(self._books[command.symbol].snapshot(now))
        elif isinstance(command, RequestReconciliation):
            if luck < 5:
                self._later(ReconciliationFailed(now, "no luck"))
            else:
                self._reconcile(command)
        elif isinstance(command, PlaceOrder):
            self._place(command, luck)
        elif isinstance(command, ReplaceOrder):
            old = self._orders.get(command.cancel_client_order_id)
            if old is None or old.status is not OrderStatus.NEW:
                self._later(
                    CancelRejected(now, command.symbol, command.cancel_client_order_id, -2011, "Unknown order sent."),
                    OrderRejected(now, command.symbol, command.client_order_id, -2011, "not attempted"),
                )
            else:
                old.status = OrderStatus.CANCELED
                self._later(old.update(now))
                self._place(command, luck)
        elif isinstance(command, CancelOrder):
            self._cancel(command, luck)
        elif isinstance(command, AmendOrder):
            self._amend(command, luck)
        elif isinstance(command, QueryOrder):
            order = self._orders.get(command.client_order_id)
            late = OrderNotFound(now, command.symbol, command.client_order_id, command.decided_ns // MS)
            self._later(late if order is None else order.update(now))

    def _place(self, command: PlaceOrder | ReplaceOrder, luck: int) -> None:
        now = self.now + MS
        if luck < 2:
            self._later(
                OrderRejected(now, command.symbol, command.client_order_id, -2010, "Order would immediately match and take.")
            )
        elif luck == 2:
            self._later(OutcomeUnknown(now, command.symbol, command.client_order_id, "lost"))
        else:
            order = self._orders[command.client_order_id] = _VenueOrder(command, self._next())
            if luck == 3:
                self._later(OutcomeUnknown(now, command.symbol, command.client_order_id, "lost, but it lives"))
            else:
                self._later(OrderAccepted(now, command.symbol, command.client_order_id, order.number), order.update(now))

    def _cancel(self, command: CancelOrder, luck: int) -> None:
        now = self.now + MS
        order = self._orders.get(command.client_order_id)
        if order is None or order.status is not OrderStatus.NEW or luck < 3:
            self._later(CancelRejected(now, command.symbol, command.client_order_id, -2011, "Unknown order sent."))
            return
        order.status = OrderStatus.CANCELED
        self._later(order.update(now))

    def _amend(self, command: AmendOrder, luck: int) -> None:
        now = self.now + MS
        order = self._orders.get(command.client_order_id)
        if order is None or order.status is not OrderStatus.NEW or command.lots <= order.filled or luck < 10:
            self._later(CancelRejected(now, command.symbol, command.client_order_id, -2038, "amend refused"))
            return
        del self._orders[order.name]
        former, order.name, order.lots = order.name, command.new_client_order_id, command.lots
        self._orders[order.name] = order
        self._later(order.update(now, replaced=former))

    def _fill(self, symbol: str, side: Side, price: int) -> None:
        for order in list(self._orders.values()):
            reached = (order.price - price) * side.sign >= -40
            if order.symbol != symbol or order.side is not side or order.status is not OrderStatus.NEW or not reached:
                continue
            left = order.lots - order.filled
            lots = left if self.random.randrange(2) else max(1, left // 2)
            order.filled += lots
            if order.filled == order.lots:
                order.status = OrderStatus.FILLED
            instrument = self.instruments[symbol]
            notional = order.price * lots * instrument.notional_atoms
            fee = notional // 10_000
            fill = Fill(
                self.now + MS, symbol, self._next(), order.name, order.number, side, order.price, lots, fee, "USDT", True, self.now
            )
            self._balances[instrument.base_asset] += side.sign * lots * instrument.lot_atoms
            self._balances["USDT"] -= side.sign * notional + fee
            self._trades.append(fill)
            self._later(fill, order.update(self.now + MS))

    def _reconcile(self, command: RequestReconciliation) -> None:
        after: Mapping[str, int] = dict(command.after_trade_ids)
        now = self.now + MS
        balances = tuple(Balance(asset, amount, 0) for asset, amount in sorted(self._balances.items()))
        listed_orders = tuple(order.update(now) for order in self._orders.values() if order.status is OrderStatus.NEW)
        trades = tuple(fill for fill in self._trades if fill.trade_id > after.get(fill.symbol, -1))
        self._later(ReconciliationReport(now, self.now, balances, listed_orders, trades))


def assert_adds_up(quote: Any) -> None:
    """The account of a quote is exact: its parts make the prices where it stands."""
    parts = quote.attribution
    fair = parts.mid + parts.microprice + parts.price_head + parts.order_flow + parts.cross_asset
    assert fair == quote.fair_ticks
    reservation = fair + parts.skew
    assert abs(reservation - parts.half_spread - parts.adverse_bid + parts.clamp_bid - quote.bid_ticks) < 1e-6
    assert abs(reservation + parts.half_spread + parts.adverse_ask + parts.clamp_ask - quote.ask_ticks) < 1e-6
