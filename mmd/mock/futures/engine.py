"""The matching engine with margin accounts instead of balances: modification of resting orders, marks, and funding."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from mmd.mock.engine import EngineEvent, ExecutionType, MatchingEngine, NewOrder, Order, OrderType, Refusal
from mmd.mock.engine_events import report
from mmd.mock.engine_filters import check_filters
from mmd.mock.engine_settlement import FeeSchedule, TouchedBalances
from mmd.mock.futures.margin import MarginPosition, MarginSettlement
from mmd.types.instrument import Instrument
from mmd.types.orders import OrderStatus

MAX_MODIFICATIONS = 10_000
AMENDMENT = "AMENDMENT"
"""Binance's `x` of a modified order."""


class FundingSettled(msgspec.Struct, frozen=True, gc=False):
    """A position paid (amount below zero) or received funding."""

    account: str
    symbol: str
    funding_id: int
    amount_atoms: int
    asset: str
    time_ns: int


class FuturesEngine(MatchingEngine):
    """See `MatchingEngine`; `balances` are wallets, and positions are beside them. The mark is the mid of the book."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        maker_fee: Decimal,
        taker_fee: Decimal,
        leverage: int,
        history_limit: int = 10_000,
    ) -> None:
        super().__init__(instruments, maker_fee=maker_fee, taker_fee=taker_fee, history_limit=history_limit)
        fees = FeeSchedule(maker_fee, taker_fee)
        self.margin = MarginSettlement(self._accounts, self.instruments, fees, leverage, self.mark_ticks)
        self._matcher.settlement = self.margin
        self._funding_id = 0

    def mark_ticks(self, symbol: str) -> int:
        """The mid of the book, else the last price, in ticks; 0 where there is neither."""
        _, bid, _, ask, _ = self.touch(symbol)
        return (bid + ask) // 2 if bid and ask else self.last_price_ticks(symbol)

    def position(self, account: str, symbol: str) -> MarginPosition:
        """The account's position."""
        return self.margin.position(account, symbol)

    def modify(
        self,
        account: str,
        symbol: str,
        now_ns: int,
        *,
        order_id: int | None,
        client_order_id: str | None,
        price_ticks: int,
        lots: int,
    ) -> tuple[Order, list[EngineEvent]]:
        """Give an open order another price and total quantity; it queues anew.

        A quantity that is filled already cancels it, and so does a price at which a post-only order would take. Raises `Refusal`:
        -2013 unknown, -5027 nothing to change, -5026 too often, -2019 margin, -1013 of a filter; the order then stands as it was.
        """
        try:
            order = self._live_order(account, symbol, order_id, client_order_id, -2013)
        except Refusal as refusal:
            raise Refusal(-2013, "Order does not exist.") from refusal
        if (price_ticks, lots) == (order.price_ticks, order.lots):
            raise Refusal(-5027, "No need to modify the order.")
        if order.amends >= MAX_MODIFICATIONS:
            raise Refusal(-5026, "Exceed maximum modify order limit.")
        book = self._books[symbol]
        would_take = order.order_type is OrderType.LIMIT_MAKER and book.crosses(order.side, price_ticks)
        if lots <= order.executed_lots or would_take:
            return self.cancel(account, symbol, now_ns, order_id=order.order_id)
        reference_ticks = book.last_price_ticks or self.mark_ticks(symbol)
        check_filters(self.instruments[symbol], _as_new(order, price_ticks, lots), reference_ticks=reference_ticks, open_orders=0)
        self.margin.check(order, price_ticks, lots)
        book.remove(order)
        order.price_ticks, order.lots = price_ticks, lots
        order.amends += 1
        order.updated_ns = now_ns
        events: list[EngineEvent] = [report(order, AMENDMENT, now_ns)]
        touched = TouchedBalances()
        blocked = book.crosses(order.side, price_ticks) and self._matcher.match(order, price_ticks, now_ns, events, touched)
        if order.executed_lots == order.lots:
            self._accounts[account].index(symbol).close(order)
        elif blocked:
            self._matcher.close(order, OrderStatus.EXPIRED_IN_MATCH, now_ns)
            events.append(report(order, ExecutionType.EXPIRED, now_ns))
        else:
            book.rest(order)
        events.extend(touched.events(now_ns))
        return order, events

    def settle_funding(self, symbol: str, rate: Decimal, now_ns: int) -> list[FundingSettled]:
        """Every position in the symbol pays (a long at a rate above zero) or receives `rate` of its value at the mark."""
        instrument, mark_ticks = self.instruments[symbol], self.mark_ticks(symbol)
        settled: list[FundingSettled] = []
        for (account, name), position in self.margin.positions.items():
            if name != symbol or not position.lots or not mark_ticks:
                continue
            amount = -int(position.lots * mark_ticks * instrument.notional_atoms * rate)
            self._accounts[account].credit(instrument.quote_asset, amount)
            self._funding_id += 1
            settled.append(FundingSettled(account, symbol, self._funding_id, amount, instrument.quote_asset, now_ns))
        return settled


def _as_new(order: Order, price_ticks: int, lots: int) -> NewOrder:
    return NewOrder(
        order.account, order.symbol, order.side, order.order_type, order.time_in_force, price_ticks, lots, 0, order.client_order_id
    )
