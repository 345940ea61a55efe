"""python-binance: `AsyncClient`, `BinanceSocketManager` and `DepthCacheManager`, redirected by their URL attributes."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.exceptions import BinanceAPIException
from client import BookWatch, Client, Event, Market, Order, Places, Trade, filters_of, order_of
from scenario import main


def _redirect(places: Places) -> None:
    AsyncClient.API_URL = f"{places.rest}/api"
    AsyncClient.MARGIN_API_URL = f"{places.rest}/sapi"
    AsyncClient.WS_API_URL = places.websocket_api
    BinanceSocketManager.STREAM_URL = f"{places.stream}/"


class PythonBinanceClient(Client):
    """REST and WebSocket API of the one client; the user data stream by its socket manager."""

    distributions = ("python-binance",)
    refusal = BinanceAPIException
    unsupported = {  # noqa: RUF012
        "amend": "no method for order/amend/keepPriority",
        "types": "returns dictionaries as they came",
    }

    def __init__(self, places: Places, symbol: str) -> None:
        super().__init__(places, symbol)
        self.clients: list[AsyncClient] = []
        self.task: asyncio.Task[None] | None = None

    async def _connect(self, **credentials: Any) -> AsyncClient:
        _redirect(self.places)
        client = await AsyncClient.create(**credentials)
        self.clients.append(client)
        return client

    async def open(self) -> None:
        self.client = await self._connect(api_key=self.places.key, api_secret=self.places.secret)
        subscribed = asyncio.Event()
        self.task = asyncio.create_task(self._watch_user(subscribed))
        await asyncio.wait_for(subscribed.wait(), 10)

    async def close(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        for client in self.clients:
            await client.close_connection()

    async def _watch_user(self, subscribed: asyncio.Event) -> None:
        manager = BinanceSocketManager(self.client, max_queue_size=10_000)
        async with manager.user_socket() as socket:
            subscribed.set()
            while True:
                event = await socket.recv()
                if event["e"] == "executionReport":
                    is_trade = event["x"] == "TRADE"
                    trade_id = event["t"] if is_trade else None
                    self.events.append(Event(event["x"], str(event["i"]), trade_id, Decimal(event["l"])))

    async def market(self) -> Market:
        return filters_of(await self.client.get_symbol_info(self.symbol))

    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        client = await self._connect()
        sockets = BinanceSocketManager(client, max_queue_size=10_000)
        async with DepthCacheManager(client, self.symbol, bm=sockets, limit=1000, conv_type=Decimal, ws_interval=100) as manager:
            while not enough.is_set():
                cache = await manager.recv()
                watch.keep(manager._last_update_id, dict(cache.get_bids()), dict(cache.get_asks()))

    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        order = await self.client.create_order(
            symbol=self.symbol, side=side, type="LIMIT_MAKER", quantity=str(quantity), price=str(price)
        )
        return str(order["orderId"])

    async def order(self, order_id: str) -> Order:
        return order_of(await self.client.get_order(symbol=self.symbol, orderId=int(order_id)))

    async def open_orders(self) -> set[str]:
        return {str(order["orderId"]) for order in await self.client.get_open_orders(symbol=self.symbol)}

    async def cancel(self, order_id: str) -> None:
        await self.client.cancel_order(symbol=self.symbol, orderId=int(order_id))

    async def cancel_all(self) -> None:
        await self.client.cancel_all_open_orders(symbol=self.symbol)

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        account = await self.client.get_account()
        return {line["asset"]: (Decimal(line["free"]), Decimal(line["locked"])) for line in account["balances"]}

    async def own_trades(self) -> list[Trade]:
        return [
            Trade(trade["id"], str(trade["orderId"]), Decimal(trade["qty"]), Decimal(trade["price"]), trade["isMaker"])
            for trade in await self.client.get_my_trades(symbol=self.symbol, limit=1000)
        ]

    async def cancel_replace(self, order_id: str, mode: str, side: str, quantity: Decimal, price: Decimal) -> str:
        reply = await self.client.cancel_replace_order(
            symbol=self.symbol,
            side=side,
            type="LIMIT_MAKER",
            cancelReplaceMode=mode,
            cancelOrderId=int(order_id),
            quantity=str(quantity),
            price=str(price),
        )
        return str(reply["newOrderResponse"]["orderId"])

    def failure_code(self, error: Exception) -> int:
        assert isinstance(error, BinanceAPIException), error
        return int(error.code)

    async def websocket_order(self, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        order = await self.client.ws_create_order(
            symbol=self.symbol, side=side, type="LIMIT_MAKER", quantity=str(quantity), price=str(price)
        )
        which = {"symbol": self.symbol, "orderId": order["orderId"]}
        placed = order_of(await self.client.ws_get_order(**which))
        return placed, order_of(await self.client.ws_cancel_order(**which))

    async def with_key(self, kind: str, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        key, path = self.places.key_files[kind]
        other = await self._connect(api_key=key, private_key=Path(path))
        order = await other.create_order(
            symbol=self.symbol, side=side, type="LIMIT_MAKER", quantity=str(quantity), price=str(price)
        )
        which = {"symbol": self.symbol, "orderId": order["orderId"]}
        placed = order_of(await other.get_order(**which))
        return placed, order_of(await other.cancel_order(**which))


if __name__ == "__main__":
    main(PythonBinanceClient)
