"""cryptofeed: the feed `Binance` for book, order and balance streams and its REST calls, redirected by the class's URLs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from client import BookWatch, Client, Event, Market, Order, Places, Trade, order_of
from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
from cryptofeed.defines import BUY, GOOD_TIL_CANCELED, L2_BOOK, LIMIT, ORDER_INFO, SELL
from cryptofeed.exchanges import Binance
from raw_account import RawAccount
from scenario import main, until

SYMBOL = "BTC-USDT"
_NO_REPLACE = "has no call for order/cancelReplace"
_HMAC_ONLY = "signs with HMAC alone"
_NO_POST_ONLY = "knows the order types LIMIT and MARKET alone"


class CryptofeedClient(Client):
    """What it cannot ask (one order by its symbol, own trades) is asked of the exchange without it."""

    distributions = ("cryptofeed",)
    refusal = ValueError
    unsupported = {  # noqa: RUF012
        "post_only": _NO_POST_ONLY,
        "crossing": _NO_POST_ONLY,
        "amend": "has no call for order/amend/keepPriority",
        "replace_both": _NO_REPLACE,
        "replace_stop_cancel_fails": _NO_REPLACE,
        "replace_stop_order_fails": _NO_REPLACE,
        "replace_allow_cancel_fails": _NO_REPLACE,
        "replace_allow_order_fails": _NO_REPLACE,
        "replace_none": _NO_REPLACE,
        "cancel_all": "cancels single orders only",
        "own_trades": "has no call for myTrades",
        "websocket_api": "does not use the WebSocket API",
        "ed25519": _HMAC_ONLY,
        "rsa": _HMAC_ONLY,
        "types": "returns dictionaries as they came, and events as objects of its own",
    }

    def __init__(self, places: Places, symbol: str) -> None:
        super().__init__(places, symbol)
        self.raw = RawAccount(places.rest, places.key, places.secret, symbol)
        self.feeds: list[Binance] = []

    def _feed(self, **settings: Any) -> Binance:
        routes = Binance.rest_endpoints[0].routes
        Binance.rest_endpoints = [RestEndpoint(self.places.rest, routes=routes)]
        Binance.websocket_endpoints = [WebsocketEndpoint(self.places.stream)]
        Binance.api = f"{self.places.rest}/api/v3/"
        keys = {"key_id": self.places.key, "key_secret": self.places.secret}
        feed = Binance(config={"log": {"disabled": True}, "binance": keys}, symbols=[SYMBOL], **settings)
        self.feeds.append(feed)
        feed.start(asyncio.get_running_loop())
        return feed

    async def open(self) -> None:
        # It asks for its listen key and its symbols with blocking calls.
        self.feed = self._feed(channels=[ORDER_INFO], callbacks={ORDER_INFO: self._on_order})
        await until("the user data stream", lambda: all(handler.conn.is_open for handler in self.feed.connection_handlers), 30)

    async def close(self) -> None:
        for feed in self.feeds:
            feed.stop()
            await feed.shutdown()

    async def _on_order(self, information: Any, receipt_time: float) -> None:
        raw = information.raw
        trade_id = raw["t"] if information.status == "TRADE" else None
        self.events.append(Event(information.status, information.id, trade_id, Decimal(raw["l"])))

    async def market(self) -> Market:
        base, quote = SYMBOL.split("-")
        assert SYMBOL in Binance.symbols()
        return Market(Decimal(Binance.info()["tick_size"][SYMBOL]), None, None, base, quote)

    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        async def on_book(book: Any, receipt_time: float) -> None:
            sides = book.book.bids.to_dict(), book.book.asks.to_dict()
            watch.keep(book.sequence_number, *sides)

        self._feed(channels=[L2_BOOK], callbacks={L2_BOOK: on_book})
        await enough.wait()

    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        order = await self.feed.place_order(
            SYMBOL, BUY if side == "BUY" else SELL, LIMIT, quantity, price=price, time_in_force=GOOD_TIL_CANCELED
        )
        return str(order["orderId"])

    async def order(self, order_id: str) -> Order:
        return order_of(await asyncio.to_thread(self.raw.order, order_id))

    async def open_orders(self) -> set[str]:
        return {str(order["orderId"]) for order in await self.feed.orders(SYMBOL)}

    async def cancel(self, order_id: str) -> None:
        await self.feed.cancel_order(order_id, SYMBOL)

    async def cancel_all(self) -> None:
        raise NotImplementedError

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        return {line["asset"]: (Decimal(line["free"]), Decimal(line["locked"])) for line in await self.feed.balances()}

    async def own_trades(self) -> list[Trade]:
        return [
            Trade(trade["id"], str(trade["orderId"]), Decimal(trade["qty"]), Decimal(trade["price"]), trade["isMaker"])
            for trade in await asyncio.to_thread(self.raw.trades)
        ]


if __name__ == "__main__":
    main(CryptofeedClient)
