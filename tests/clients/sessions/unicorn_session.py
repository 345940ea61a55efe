"""The unicorn suite: its REST manager, its websocket manager (streams, user data, WebSocket API) and its local depth cache."""

from __future__ import annotations

import asyncio
import itertools
import time
from decimal import Decimal
from typing import Any

from client import BookWatch, Client, Event, Levels, Market, Order, Places, Trade, filters_of, order_of
from scenario import main
from unicorn_binance_local_depth_cache import BinanceLocalDepthCacheManager
from unicorn_binance_local_depth_cache.exceptions import DepthCacheNotFound, DepthCacheOutOfSync
from unicorn_binance_rest_api import BinanceRestApiManager
from unicorn_binance_rest_api.exceptions import BinanceAPIException
from unicorn_binance_websocket_api import BinanceWebSocketApiManager
from unicorn_binance_websocket_api.connection_settings import CONNECTION_SETTINGS, Exchanges

READ_PAUSE_SECONDS = 0.0015


class RefusedOverWebsocket(Exception):
    """The client hands refusals on as they came; here they are told from answers."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(str(reply["error"]))
        self.code = reply["error"]["code"]


class UnicornClient(Client):
    """Orders by REST; cancelReplace over the WebSocket API, since the REST manager has none."""

    distributions = ("unicorn-binance-rest-api", "unicorn-binance-websocket-api", "unicorn-binance-local-depth-cache")
    refusal = BinanceAPIException
    unsupported = {  # noqa: RUF012
        "amend": "no method for order/amend/keepPriority, neither in REST nor in the WebSocket API",
        "ed25519": "signs with HMAC alone",
        "rsa": "signs with HMAC alone",
        "types": "returns dictionaries as they came",
    }

    def __init__(self, places: Places, symbol: str) -> None:
        super().__init__(places, symbol)
        self.stops: list[Any] = []
        self.replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.request_ids = itertools.count(1)

    def _redirect(self) -> None:
        places = self.places
        BinanceRestApiManager.API_URL = f"{places.rest}/api"
        BinanceRestApiManager.MARGIN_API_URL = f"{places.rest}/sapi"
        CONNECTION_SETTINGS[Exchanges.BINANCE] = (1024, f"{places.stream}/", places.websocket_api)

    def _rest(self, **credentials: str) -> BinanceRestApiManager:
        self._redirect()
        # With `tld` and no exchange the manager keeps the URLs of its class.
        rest = BinanceRestApiManager(tld="com", warn_on_update=False, disable_colorama=True, **credentials)
        self.stops.append(rest.stop_manager)
        return rest

    async def _call(self, method: Any, **parameters: Any) -> Any:
        return await asyncio.to_thread(method, **parameters)

    async def open(self) -> None:
        keys = {"api_key": self.places.key, "api_secret": self.places.secret}
        self.loop = asyncio.get_running_loop()
        self.rest = await asyncio.to_thread(self._rest, **keys)
        self.websockets = BinanceWebSocketApiManager(
            exchange="binance.com", warn_on_update=False, disable_colorama=True, output_default="dict"
        )
        self.stops.append(self.websockets.stop_manager)
        user = self.websockets.create_stream("arr", "!userData", process_stream_data=self._on_user_data, **keys)
        self.api = self.websockets.create_stream(api=True, process_stream_data=self._on_reply, **keys)
        started = self.websockets.wait_till_stream_has_started
        for stream in (user, self.api):
            assert await asyncio.to_thread(started, stream, timeout=10), "a stream did not start"

    async def close(self) -> None:
        for stop in reversed(self.stops):
            await asyncio.to_thread(stop)

    def _on_user_data(self, message: dict[str, Any]) -> None:
        event = message.get("event", message)
        if event.get("e") == "executionReport":
            trade_id = event["t"] if event["x"] == "TRADE" else None
            self.events.append(Event(event["x"], str(event["i"]), trade_id, Decimal(event["l"])))

    def _on_reply(self, message: dict[str, Any]) -> None:
        future = self.replies.pop(message["id"], None)
        if future is not None:
            self.loop.call_soon_threadsafe(future.set_result, message)

    async def _over_websocket(self, method: Any, **parameters: Any) -> dict[str, Any]:
        request_id = f"session-{next(self.request_ids)}"
        self.replies[request_id] = self.loop.create_future()
        waiting = self.replies[request_id]
        await asyncio.to_thread(method, stream_id=self.api, symbol=self.symbol, request_id=request_id, **parameters)
        reply = await asyncio.wait_for(waiting, 10)
        if reply["status"] != 200:
            raise RefusedOverWebsocket(reply)
        return dict(reply["result"])

    async def market(self) -> Market:
        return filters_of(await self._call(self.rest.get_symbol_info, symbol=self.symbol))

    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        rest = await asyncio.to_thread(self._rest)
        await asyncio.to_thread(self._watch_cache, rest, watch, enough)

    def _watch_cache(self, rest: BinanceRestApiManager, watch: BookWatch, enough: asyncio.Event) -> None:
        """The cache is filled by a thread of its own: what was read twice the same, some time apart, is no half of an update."""
        caches = BinanceLocalDepthCacheManager(
            exchange="binance.com", depth_cache_update_interval=100, ubra_manager=rest, warn_on_update=False, disable_colorama=True
        )
        try:
            caches.create_depthcache(markets=self.symbol)
            last = (0, {}, {})
            kept = 0
            while not enough.is_set():
                time.sleep(READ_PAUSE_SECONDS)
                try:
                    now = self._read(caches)
                except (DepthCacheNotFound, DepthCacheOutOfSync):
                    continue
                if now == last and now[0] != kept:
                    kept = now[0]
                    (stream,) = caches.get_ubwa_manager().stream_list.values()
                    watch.keep(*now, updates=stream["processed_receives_total"])
                last = now
        finally:
            caches.stop_manager()

    def _read(self, caches: BinanceLocalDepthCacheManager) -> tuple[int, Levels, Levels]:
        bids, asks = (
            {Decimal(repr(price)): Decimal(repr(quantity)) for price, quantity in side(market=self.symbol)}
            for side in (caches.get_bids, caches.get_asks)
        )
        return caches.depth_caches[self.symbol.lower()]["last_update_id"], bids, asks

    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        order = await self._call(
            self.rest.create_order, symbol=self.symbol, side=side, type="LIMIT_MAKER", quantity=str(quantity), price=str(price)
        )
        return str(order["orderId"])

    async def order(self, order_id: str) -> Order:
        return order_of(await self._call(self.rest.get_order, symbol=self.symbol, orderId=int(order_id)))

    async def open_orders(self) -> set[str]:
        return {str(order["orderId"]) for order in await self._call(self.rest.get_open_orders, symbol=self.symbol)}

    async def cancel(self, order_id: str) -> None:
        await self._call(self.rest.cancel_order, symbol=self.symbol, orderId=int(order_id))

    async def cancel_all(self) -> None:
        await self._call(self.rest.cancel_all_open_orders, symbol=self.symbol)

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        account = await self._call(self.rest.get_account)
        return {line["asset"]: (Decimal(line["free"]), Decimal(line["locked"])) for line in account["balances"]}

    async def own_trades(self) -> list[Trade]:
        return [
            Trade(trade["id"], str(trade["orderId"]), Decimal(trade["qty"]), Decimal(trade["price"]), trade["isMaker"])
            for trade in await self._call(self.rest.get_my_trades, symbol=self.symbol, limit=1000)
        ]

    async def cancel_replace(self, order_id: str, mode: str, side: str, quantity: Decimal, price: Decimal) -> str:
        reply = await self._over_websocket(
            self.websockets.api.spot.cancel_and_replace_order,
            cancel_order_id=int(order_id),
            cancel_replace_mode=mode,
            order_type="LIMIT_MAKER",
            side=side,
            quantity=float(quantity),
            price=float(price),
        )
        return str(reply["newOrderResponse"]["orderId"])

    def failure_code(self, error: Exception) -> int:
        assert isinstance(error, RefusedOverWebsocket), error
        return int(error.code)

    async def websocket_order(self, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        spot = self.websockets.api.spot
        order = await self._over_websocket(
            spot.create_order, order_type="LIMIT_MAKER", side=side, quantity=float(quantity), price=float(price)
        )
        placed = order_of(await self._over_websocket(spot.get_order, order_id=order["orderId"]))
        return placed, order_of(await self._over_websocket(spot.cancel_order, order_id=order["orderId"]))


if __name__ == "__main__":
    main(UnicornClient)
