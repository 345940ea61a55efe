"""ccxt and ccxt.pro: the class `binance` of both, redirected by its `urls`."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt.pro
from client import BookWatch, Client, Event, Market, Order, Places, Trade
from scenario import main

_STATUS = {"open": "NEW", "closed": "FILLED", "canceled": "CANCELED"}


class CcxtClient(Client):
    """REST by ccxt's unified calls; `watch_*` of ccxt.pro for the streams."""

    distributions = ("ccxt",)
    refusal = ccxt.OrderImmediatelyFillable
    unsupported = {"types": "returns dictionaries of its own"}  # noqa: RUF012

    def __init__(self, places: Places, symbol: str) -> None:
        super().__init__(places, symbol)
        self.unified = "BTC/USDT"
        self.exchange = self._exchange(places.key, places.secret)
        self.tasks: list[asyncio.Task[None]] = []

    def _exchange(self, key: str, secret: str) -> Any:
        exchange = ccxt.pro.binance(
            {"apiKey": key, "secret": secret, "enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}}
        )
        for name, url in exchange.urls["api"].items():
            if isinstance(url, str):
                exchange.urls["api"][name] = url.replace("https://api.binance.com", self.places.rest)
        exchange.urls["api"]["ws"]["spot"] = f"{self.places.stream}/ws"
        exchange.urls["api"]["ws"]["ws-api"]["spot"] = self.places.websocket_api
        return exchange

    async def open(self) -> None:
        await self.exchange.load_markets()
        self.tasks = [asyncio.create_task(self._watch_orders()), asyncio.create_task(self._watch_trades())]
        await asyncio.sleep(0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.exchange.close()

    async def _watch_orders(self) -> None:
        while True:
            for order in await self.exchange.watch_orders(self.unified):
                if order["info"]["x"] != "TRADE":
                    self.events.append(Event(order["info"]["x"], order["id"]))

    async def _watch_trades(self) -> None:
        while True:
            for trade in await self.exchange.watch_my_trades(self.unified):
                self.events.append(Event("TRADE", trade["order"], int(trade["id"]), Decimal(str(trade["amount"]))))

    async def market(self) -> Market:
        market = self.exchange.market(self.unified)
        tick, lot = (Decimal(str(market["precision"][name])) for name in ("price", "amount"))
        assert market["active"], market
        return Market(tick, lot, Decimal(str(market["limits"]["cost"]["min"])), market["base"], market["quote"])

    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        while not enough.is_set():
            book = await self.exchange.watch_order_book(self.unified)
            bids, asks = ({Decimal(str(price)): Decimal(str(size)) for price, size in book[side]} for side in ("bids", "asks"))
            watch.keep(book["nonce"], bids, asks)

    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        order = await self.exchange.create_order(
            self.unified, "limit", side.lower(), float(quantity), float(price), {"postOnly": True}
        )
        return str(order["id"])

    def _order(self, order: dict[str, Any]) -> Order:
        status = _STATUS[order["status"]]
        executed = Decimal(str(order["filled"]))
        if status == "NEW" and executed:
            status = "PARTIALLY_FILLED"
        return Order(order["id"], status, Decimal(str(order["amount"])), executed, Decimal(str(order["price"])))

    async def order(self, order_id: str) -> Order:
        return self._order(await self.exchange.fetch_order(order_id, self.unified))

    async def open_orders(self) -> set[str]:
        return {order["id"] for order in await self.exchange.fetch_open_orders(self.unified)}

    async def cancel(self, order_id: str) -> None:
        await self.exchange.cancel_order(order_id, self.unified)

    async def cancel_all(self) -> None:
        await self.exchange.cancel_all_orders(self.unified)

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        balance = await self.exchange.fetch_balance()
        return {asset: (Decimal(str(balance[asset]["free"])), Decimal(str(balance[asset]["used"]))) for asset in balance["total"]}

    async def own_trades(self) -> list[Trade]:
        return [
            Trade(
                int(trade["id"]),
                trade["order"],
                Decimal(str(trade["amount"])),
                Decimal(str(trade["price"])),
                trade["takerOrMaker"] == "maker",
            )
            for trade in await self.exchange.fetch_my_trades(self.unified)
        ]

    async def amend(self, order_id: str, quantity: Decimal) -> None:
        parameters = {"symbol": self.symbol, "orderId": order_id, "newQty": str(quantity)}
        await self.exchange.request("order/amend/keepPriority", ["private"], "PUT", parameters)

    async def cancel_replace(self, order_id: str, mode: str, side: str, quantity: Decimal, price: Decimal) -> str:
        order = await self.exchange.edit_order(
            order_id,
            self.unified,
            "limit",
            side.lower(),
            float(quantity),
            float(price),
            {"postOnly": True, "cancelReplaceMode": mode},
        )
        return str(order["id"])

    def failure_code(self, error: Exception) -> int:
        assert isinstance(error, ccxt.BaseError), error
        return next(code for code in (-2021, -2022) if f'"code":{code}' in str(error))

    async def websocket_order(self, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        order = await self.exchange.create_order_ws(
            self.unified, "limit", side.lower(), float(quantity), float(price), {"postOnly": True}
        )
        placed = self._order(await self.exchange.fetch_order_ws(order["id"], self.unified))
        return placed, self._order(await self.exchange.cancel_order_ws(order["id"], self.unified))

    async def with_key(self, kind: str, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        key, path = self.places.key_files[kind]
        other = self._exchange(key, await asyncio.to_thread(Path(path).read_text))
        try:
            order = await other.create_order(self.unified, "limit", side.lower(), float(quantity), float(price), {"postOnly": True})
            placed = self._order(await other.fetch_order(order["id"], self.unified))
            return placed, self._order(await other.cancel_order(order["id"], self.unified))
        finally:
            await other.close()


if __name__ == "__main__":
    main(CcxtClient)
