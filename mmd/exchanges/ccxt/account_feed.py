"""Our orders, trades and balances through ccxt: streams where the venue has them, and our trades looked at every so often besides.

The looks are no luxury: ccxt does not say when a subscription stands, so that a fill of the first moment could be missed. What both
bring is told once, by trade id.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from mmd.exchanges.adapter import Event
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.ccxt.markets import balances_of, fill_of, order_update
from mmd.exchanges.ccxt.names import OrderIds
from mmd.exchanges.ccxt.verdicts import Verdict, verdict
from mmd.types.instrument import Instrument
from mmd.types.orders import BalanceReport, Fill, OrderChannelStatus, ReconciliationReport, RequestReconciliation

TRADES_PER_PAGE = 500
_SEEN_TRADES = 20_000
_MOST_LOOKUPS = 50


class AccountFeed:
    """The account on some symbols. `names` gives ccxt's symbol by ours."""

    def __init__(
        self,
        client: Any,
        instruments: Mapping[str, Instrument],
        names: Mapping[str, str],
        ids: OrderIds,
        surroundings: Surroundings,
        backoff: Backoff,
        errors: Any,
        clock: VenueClock,
        *,
        poll_seconds: float,
    ) -> None:
        self._client = client
        self._instruments = instruments
        self._names = names
        self._symbols = {name: symbol for symbol, name in names.items()}
        self._ids = ids
        self._surroundings = surroundings
        self._backoff = backoff
        self._errors = errors
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._told_down = False
        self._balances_wanted = asyncio.Event()
        self.up = False

    async def run(self) -> None:
        """Keep the channel up until cancelled."""
        await self._clock.measured.wait()
        first = True
        while True:
            try:
                await self._tell_balances()
                for symbol in self._names:
                    self._tell_trades(symbol, await self._trades(symbol), silently=first)
                first = False
                self._on_up()
                await self._attend()
            except* self._errors.BaseError as errors:
                self._on_down(_described(errors))
            await asyncio.sleep(self._backoff.next_delay())

    async def report(self, request: RequestReconciliation, requested_ns: int) -> ReconciliationReport:
        """The venue's view of the account. Raises what ccxt raises, and `ValueError` for what makes no sense."""
        after = dict(request.after_trade_ids)
        orders, trades = [], []
        for symbol, name in self._names.items():
            for order in await self._ask(self._client.fetch_open_orders, name):
                self._remember(order)
                receive_ns = self._surroundings.clock_ns()
                client_order_id = str(order.get("clientOrderId") or "")
                orders.append(order_update(order, self._instruments[symbol], receive_ns, client_order_id=client_order_id))
            last = after.get(symbol, -1)
            found = await self._trades(symbol, last)
            trades += await self._named(symbol, [trade for trade in found if trade.trade_id > last])
        balances = balances_of(await self._ask(self._client.fetch_balance))
        trades.sort(key=lambda trade: (trade.exchange_ns, trade.trade_id))
        return ReconciliationReport(self._surroundings.clock_ns(), requested_ns, balances, tuple(orders), tuple(trades))

    async def _ask(self, method: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """One question; on a timestamp the venue refused, the clock is measured and it is asked once more."""
        try:
            return await method(*arguments)
        except self._errors.BaseError as error:
            if verdict(error, self._errors) is not Verdict.CLOCK:
                raise
        await self._clock.measure()
        return await method(*arguments)

    # ---- streams

    async def _attend(self) -> None:
        """Everything at once; the first that fails ends all."""
        has = self._client.has
        async with asyncio.TaskGroup() as group:
            for symbol, name in self._names.items():
                if has.get("watchOrders"):
                    group.create_task(self._watch_orders(symbol, name))
                if has.get("watchMyTrades"):
                    group.create_task(self._watch_trades(symbol, name))
            group.create_task(self._poll())
            group.create_task(self._follow_balances())

    async def _watch_orders(self, symbol: str, name: str) -> None:
        while True:
            orders = await self._client.watch_orders(name)
            receive_ns = self._surroundings.clock_ns()
            events: list[Event] = []
            for order in orders:
                self._remember(order)
                client_order_id = str(order.get("clientOrderId") or self._ids.name(order["id"]))
                events.append(order_update(order, self._instruments[symbol], receive_ns, client_order_id=client_order_id))
            self._surroundings.counters.frames += 1
            self._surroundings.outlet.batch(events, receive_ns)

    async def _watch_trades(self, symbol: str, name: str) -> None:
        while True:
            trades = await self._client.watch_my_trades(name)
            self._surroundings.counters.frames += 1
            self._tell_trades(symbol, self._fills(symbol, trades))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            for symbol, name in self._names.items():
                for fill in self._tell_trades(symbol, await self._named(symbol, await self._trades(symbol))):
                    order = await self._ask(self._client.fetch_order, self._ids.text(fill.exchange_order_id), name)
                    receive_ns = self._surroundings.clock_ns()
                    update = order_update(order, self._instruments[symbol], receive_ns, client_order_id=fill.client_order_id)
                    self._surroundings.outlet.batch([update], receive_ns)

    async def _follow_balances(self) -> None:
        """After fills, as often as the venue's rate allows and no more."""
        while True:
            await self._balances_wanted.wait()
            self._balances_wanted.clear()
            await self._tell_balances()

    async def _tell_balances(self) -> None:
        balances = balances_of(await self._ask(self._client.fetch_balance))
        now_ns = self._surroundings.clock_ns()
        self._surroundings.outlet.batch([BalanceReport(now_ns, 0, balances)], now_ns)

    # ---- trades

    async def _trades(self, symbol: str, after: int = -1) -> list[Fill]:
        """The newest page, or where the venue can, the first page after an id."""
        parameters = {"fromId": after + 1} if after >= 0 and self._client.id.startswith("binance") else {}
        page = await self._ask(self._client.fetch_my_trades, self._names[symbol], None, TRADES_PER_PAGE, parameters)
        fills = self._fills(symbol, page)
        if after >= 0 and len(page) >= TRADES_PER_PAGE and not parameters and min(fill.trade_id for fill in fills) > after:
            raise ValueError(f"more than {TRADES_PER_PAGE} trades of {symbol} to catch up on, and this venue lists only the newest")
        return fills

    def _fills(self, symbol: str, trades: Sequence[Mapping[str, Any]]) -> list[Fill]:
        receive_ns, instrument = self._surroundings.clock_ns(), self._instruments[symbol]
        for trade in trades:
            self._ids.note(trade["order"])
        return [fill_of(trade, instrument, receive_ns, client_order_id=self._ids.name(trade["order"])) for trade in trades]

    async def _named(self, symbol: str, fills: list[Fill]) -> list[Fill]:
        """Look up the names of orders that this run has not seen, as many as one report may cost."""
        nameless = sorted({fill.exchange_order_id for fill in fills if not fill.client_order_id}, reverse=True)
        for order_id in nameless[:_MOST_LOOKUPS]:
            self._remember(await self._ask(self._client.fetch_order, self._ids.text(order_id), self._names[symbol]))
        return [_with_name(fill, self._ids.name(fill.exchange_order_id)) for fill in fills]

    def _tell_trades(self, symbol: str, fills: Sequence[Fill], *, silently: bool = False) -> list[Fill]:
        """Tell those that are new; returns them."""
        new = [fill for fill in fills if (symbol, fill.trade_id) not in self._seen]
        for fill in new:
            self._seen[symbol, fill.trade_id] = None
            if len(self._seen) > _SEEN_TRADES:
                self._seen.popitem(last=False)
        if silently or not new:
            return []
        self._surroundings.outlet.batch(list(new), new[0].receive_ns)
        self._balances_wanted.set()
        return new

    def _remember(self, order: Mapping[str, Any]) -> None:
        if order.get("clientOrderId"):
            self._ids.remember(str(order["clientOrderId"]), order["id"])

    # ---- the channel

    def _on_up(self) -> None:
        self.up, self._told_down = True, False
        self._backoff.reset()
        now_ns = self._surroundings.clock_ns()
        self._surroundings.outlet.batch([OrderChannelStatus(now_ns, True)], now_ns)

    def _on_down(self, detail: str) -> None:
        self._surroundings.complaints("order channel failed", detail=detail)
        if self._told_down:
            return
        self.up, self._told_down = False, True
        self._surroundings.counters.reconnects += 1
        now_ns = self._surroundings.clock_ns()
        self._surroundings.outlet.batch([OrderChannelStatus(now_ns, False, detail)], now_ns)


def _with_name(fill: Fill, name: str) -> Fill:
    return fill if fill.client_order_id else msgspec.structs.replace(fill, client_order_id=name)


def _described(errors: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {str(error)[:200]}"
