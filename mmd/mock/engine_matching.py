"""How an incoming order becomes trades: reserve its cost, match it, settle both sides, then rest or expire what remains."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from mmd.mock.accounts import Account
from mmd.mock.engine_book import Book
from mmd.mock.engine_events import (
    BACKGROUND,
    EngineEvent,
    ExecutionType,
    NewOrder,
    Order,
    OrderReport,
    OrderType,
    PreventedMatch,
    Refusal,
    TimeInForce,
    TradePrint,
    report,
)
from mmd.mock.engine_filters import DUPLICATE_ORDER, INSUFFICIENT_BALANCE, NO_LIQUIDITY, WOULD_MATCH, check_lots
from mmd.mock.engine_settlement import FeeSchedule, Settlement, TouchedBalances
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import OrderStatus


class Matcher:
    """The state of the exchange, and the one way in which orders enter it."""

    def __init__(self, instruments: Iterable[Instrument], maker_fee: Decimal, taker_fee: Decimal) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.books = {symbol: Book(symbol) for symbol in self.instruments}
        self.accounts: dict[str, Account] = {}
        self.settlement = Settlement(self.accounts, FeeSchedule(maker_fee, taker_fee))
        self.background: dict[int, Order] = {}
        """Resting orders of the background, by order id."""
        self.last_order_id = 0
        self.last_prevented_match_id = 0
        self.admit: Callable[[NewOrder], None] | None = None
        """Asked before an account's order enters; raises a `Refusal` to keep it out."""

    def place(self, new: NewOrder, now_ns: int) -> tuple[Order, list[EngineEvent]]:
        """Place an account's order that has passed the filters. Raises `Refusal` -2010, or LOT_SIZE for a quoteOrderQty."""
        if self.admit is not None:
            self.admit(new)
        book, instrument = self.books[new.symbol], self.instruments[new.symbol]
        index = self.accounts[new.account].index(new.symbol)
        order_id = self.last_order_id + 1
        client_order_id = new.client_order_id or f"order-{order_id}"
        if index.is_live(client_order_id):
            raise Refusal(-2010, DUPLICATE_ORDER)
        if new.order_type is OrderType.LIMIT_MAKER and book.crosses(new.side, new.price_ticks):
            raise Refusal(-2010, WOULD_MATCH)
        lots = new.lots or lots_for_quote(book, instrument, new)
        limit_ticks = None if new.order_type is OrderType.MARKET else new.price_ticks
        order = Order(
            order_id,
            new.account,
            client_order_id,
            new.symbol,
            new.side,
            new.order_type,
            new.time_in_force or TimeInForce.GTC,
            new.price_ticks,
            lots,
            0,
            0,
            OrderStatus.NEW,
            now_ns,
            now_ns,
            new.quote_atoms,
            0,
            new.self_trade_prevention,
        )
        cost_atoms = market_cost(book, instrument, order) if limit_ticks is None else 0
        asset = self.settlement.reserve(order, instrument, cost_atoms)
        self.last_order_id = order_id
        index.open(order)
        touched = TouchedBalances()
        if limit_ticks is not None:
            touched.note(order.account, asset)
        events: list[EngineEvent] = [report(order, ExecutionType.NEW, now_ns)]
        blocked = False
        if order.time_in_force is not TimeInForce.FOK or fillable_lots(book, order, limit_ticks) >= lots:
            blocked = self.match(order, limit_ticks, now_ns, events, touched)
        self._finish(order, blocked, now_ns, events)
        events.extend(touched.events(now_ns))
        return order, events

    def place_background(
        self, symbol: str, side: Side, limit_ticks: int | None, lots: int, now_ns: int
    ) -> tuple[Order, list[EngineEvent]]:
        """Match an order of the background; with a limit, what remains of it rests. Raises `ValueError` for a senseless order."""
        if lots <= 0 or (limit_ticks is not None and limit_ticks <= 0):
            raise ValueError(f"background order of {lots} lots at {limit_ticks} ticks of {symbol}: both must be above zero")
        self.last_order_id += 1
        order = Order(
            self.last_order_id,
            BACKGROUND,
            "",
            symbol,
            side,
            OrderType.MARKET if limit_ticks is None else OrderType.LIMIT,
            TimeInForce.GTC,
            limit_ticks or 0,
            lots,
            0,
            0,
            OrderStatus.NEW,
            now_ns,
            now_ns,
        )
        events: list[EngineEvent] = []
        book = self.books[symbol]
        if limit_ticks is None or book.crosses(side, limit_ticks):
            touched = TouchedBalances()
            self.match(order, limit_ticks, now_ns, events, touched)
            events.extend(touched.events(now_ns))
        if limit_ticks is not None and order.executed_lots < lots:
            book.rest(order)
            self.background[order.order_id] = order
        return order, events

    def match(
        self, order: Order, limit_ticks: int | None, now_ns: int, events: list[EngineEvent], touched: TouchedBalances
    ) -> bool:
        """Trade an incoming order as far as it goes, appending its events. True where its own account's order stopped it."""
        book = self.books[order.symbol]
        fills, blocked = book.match(
            order.side, limit_ticks, order.lots - order.executed_lots, order.account, order.self_trade_prevention
        )
        for resting, price_ticks, lots in fills:
            if lots:
                self._trade(order, resting, price_ticks, lots, now_ns, events, touched)
            else:
                self._expire_maker(resting, order, now_ns, events, touched)
        return blocked

    def _expire_maker(self, resting: Order, taker: Order, now_ns: int, events: list[EngineEvent], touched: TouchedBalances) -> None:
        """End a resting order, which has left the book, so that it does not trade with one of its own account."""
        self.last_prevented_match_id += 1
        taker_lots = taker.remaining_lots
        resting.prevented_lots = resting.remaining_lots
        resting.prevented_match_id = self.last_prevented_match_id
        touched.note(resting.account, self.close(resting, OrderStatus.EXPIRED_IN_MATCH, now_ns))
        prevention = PreventedMatch(
            resting.prevented_match_id, resting.prevented_lots, taker.order_id, taker_lots, resting.price_ticks
        )
        events.append(report(resting, ExecutionType.TRADE_PREVENTION, now_ns, prevention=prevention))

    def _expire_taker(self, order: Order, now_ns: int, events: list[EngineEvent]) -> None:
        """End an incoming order that met one of its own account, the first that now stands (or just stood) against it."""
        self.last_prevented_match_id += 1
        order.prevented_lots = order.remaining_lots
        order.prevented_match_id = self.last_prevented_match_id
        self.close(order, OrderStatus.EXPIRED_IN_MATCH, now_ns)
        counter_id, counter_lots, price_ticks = -1, 0, 0
        for event in reversed(events):
            if isinstance(event, OrderReport) and event.prevention is not None:
                counter_id, counter_lots, price_ticks = event.order_id, event.prevention.prevented_lots, event.price_ticks
                break
        else:
            resting = self.books[order.symbol].first(order.side.opposite)
            if resting is not None:
                counter_id, counter_lots, price_ticks = resting.order_id, resting.remaining_lots, resting.price_ticks
        prevention = PreventedMatch(order.prevented_match_id, order.prevented_lots, counter_id, counter_lots, price_ticks)
        events.append(report(order, ExecutionType.TRADE_PREVENTION, now_ns, prevention=prevention))

    def fill_resting(self, resting: Order, lots: int, now_ns: int) -> list[EngineEvent]:
        """Trade `lots` of one resting order at its price against the background, whatever stands before it in the queue."""
        book = self.books[resting.symbol]
        book.fill(resting, lots)
        self.last_order_id += 1
        taker = Order(
            self.last_order_id, BACKGROUND, "", resting.symbol, resting.side.opposite, OrderType.MARKET, TimeInForce.GTC, 0, lots,
            0, 0, OrderStatus.FILLED, now_ns, now_ns,
        )  # fmt: skip
        events: list[EngineEvent] = []
        touched = TouchedBalances()
        self._trade(taker, resting, resting.price_ticks, lots, now_ns, events, touched)
        events.extend(touched.events(now_ns))
        return events

    def _trade(
        self,
        order: Order,
        resting: Order,
        price_ticks: int,
        lots: int,
        now_ns: int,
        events: list[EngineEvent],
        touched: TouchedBalances,
    ) -> None:
        """Book one fill of an incoming order against a resting one, whose `executed_lots` have grown already."""
        book, instrument = self.books[order.symbol], self.instruments[order.symbol]
        is_buy = order.side is Side.BUY
        order.executed_lots += lots
        trade_id = book.last_trade_id = book.last_trade_id + 1
        book.last_price_ticks = price_ticks
        buyer_id, seller_id = (order.order_id, resting.order_id) if is_buy else (resting.order_id, order.order_id)
        events.append(TradePrint(book.symbol, trade_id, price_ticks, lots, not is_buy, buyer_id, seller_id, now_ns))
        for party in (order, resting):
            if party.account == BACKGROUND:
                continue
            is_maker = party is resting
            trade = self.settlement.settle(party, instrument, price_ticks, lots, trade_id, is_maker, now_ns)
            events.append(report(party, ExecutionType.TRADE, now_ns, trade=trade))
            touched.note(party.account, instrument.base_asset, instrument.quote_asset)
        if resting.executed_lots == resting.lots:
            self._forget_filled(resting)

    def close(self, order: Order, status: OrderStatus, now_ns: int) -> str:
        """End an account's order that is not in the book any more: free what it still locks. Returns the asset of the lock."""
        asset = self.settlement.release(order, self.instruments[order.symbol], order.remaining_lots)
        order.status = status
        order.updated_ns = now_ns
        self.accounts[order.account].index(order.symbol).close(order)
        return asset

    def _finish(self, order: Order, blocked: bool, now_ns: int, events: list[EngineEvent]) -> None:
        if order.executed_lots == order.lots:
            self._forget_filled(order)
        elif blocked:
            self._expire_taker(order, now_ns, events)
        elif order.order_type is OrderType.MARKET or order.time_in_force is not TimeInForce.GTC:
            self.close(order, OrderStatus.EXPIRED, now_ns)
            events.append(report(order, ExecutionType.EXPIRED, now_ns))
        else:
            self.books[order.symbol].rest(order)

    def _forget_filled(self, order: Order) -> None:
        if order.account == BACKGROUND:
            self.background.pop(order.order_id, None)
        else:
            self.accounts[order.account].index(order.symbol).close(order)


def fillable_lots(book: Book, order: Order, limit_ticks: int | None) -> int:
    """Lots that an order would trade now, at most all of it."""
    available = 0
    for _, lots in book.reachable(order.side, limit_ticks, order.account, order.self_trade_prevention):
        available += lots
        if available >= order.lots:
            return order.lots
    return available


def market_cost(book: Book, instrument: Instrument, order: Order) -> int:
    """Quote atoms that the fills of a market order would amount to now."""
    remaining, cost = order.lots, 0
    for price_ticks, lots in book.reachable(order.side, None, order.account, order.self_trade_prevention):
        traded = min(lots, remaining)
        cost += price_ticks * traded
        remaining -= traded
        if not remaining:
            break
    return cost * instrument.notional_atoms


def lots_for_quote(book: Book, instrument: Instrument, new: NewOrder) -> int:
    """Lots that a market order's quoteOrderQty buys or sells now, never for more than that amount.

    Where the book ends first, the rest of the amount counts at the last price met, so that the order ends unfilled: expired.
    Raises `Refusal`: -2010 where there is nothing to trade with, LOT_SIZE where the amount makes no tradable quantity.
    """
    remaining_atoms, total, unit_atoms = new.quote_atoms, 0, 0
    for price_ticks, lots in book.reachable(new.side, None, new.account, new.self_trade_prevention):
        unit_atoms = price_ticks * instrument.notional_atoms
        traded = min(lots, remaining_atoms // unit_atoms)
        total += traded
        remaining_atoms -= traded * unit_atoms
        if traded < lots:
            break
    if not unit_atoms:
        raise Refusal(-2010, NO_LIQUIDITY)
    total += remaining_atoms // unit_atoms
    check_lots(instrument, total)
    return total


def rejection(new: NewOrder, refusal: Refusal, now_ns: int) -> OrderReport:
    """The report of an order that was refused after the cancel of its cancelReplace; it has no order id (-1)."""
    reasons = {INSUFFICIENT_BALANCE: "INSUFFICIENT_BALANCES", WOULD_MATCH: "WOULD_MATCH_IMMEDIATELY"}
    return OrderReport(
        new.account,
        new.symbol,
        ExecutionType.REJECTED,
        -1,
        new.client_order_id,
        "",
        new.side,
        new.order_type,
        new.time_in_force or TimeInForce.GTC,
        new.price_ticks,
        new.lots,
        0,
        0,
        new.quote_atoms,
        OrderStatus.REJECTED,
        now_ns,
        None,
        now_ns,
        reasons.get(refusal.message, "NONE"),
        new.self_trade_prevention,
    )
