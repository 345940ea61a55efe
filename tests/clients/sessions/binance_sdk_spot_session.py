"""binance-sdk-spot, the exchange's own: REST, WebSocket API and streams, redirected by its configurations' URLs."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from typing import Any

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketAPI, ConfigurationWebSocketStreams
from binance_common.errors import BadRequestError, ClientError
from binance_sdk_spot.rest_api.models import (
    NewOrderSideEnum,
    NewOrderTypeEnum,
    OrderCancelReplaceCancelReplaceModeEnum,
    OrderCancelReplaceSideEnum,
    OrderCancelReplaceTypeEnum,
)
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.websocket_api.models import OrderPlaceSideEnum, OrderPlaceTypeEnum
from binance_sdk_spot.websocket_streams.models import DiffBookDepthUpdateSpeedEnum
from client import BookWatch, Client, Event, Market, Order, Places, Trade, filters_of
from plain_book import PlainBook
from scenario import main


class Complaints(logging.Handler):
    """Keeps what the client warns of: replies that do not fit its own models, frames it does not know."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record.getMessage())


def _order(order: Any) -> Order:
    quantity, executed, price = (Decimal(getattr(order, name)) for name in ("orig_qty", "executed_qty", "price"))
    return Order(str(order.order_id), order.status, quantity, executed, price)


class BinanceSdkSpotClient(Client):
    """Its REST calls block, so they run in threads."""

    distributions = ("binance-sdk-spot", "binance-common")
    refusal = BadRequestError
    unsupported: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, places: Places, symbol: str) -> None:
        super().__init__(places, symbol)
        self.spot = self._spot(api_key=places.key, api_secret=places.secret)
        self.rest = self.spot.rest_api
        self.connections: list[Any] = []
        logging.getLogger().addHandler(Complaints(self.complaints))

    def _spot(self, **credentials: Any) -> Spot:
        places = self.places
        return Spot(
            config_rest_api=ConfigurationRestAPI(base_path=places.rest, **credentials),
            config_ws_api=ConfigurationWebSocketAPI(stream_url=places.websocket_api, **credentials),
            config_ws_streams=ConfigurationWebSocketStreams(stream_url=places.stream),
        )

    async def _call(self, method: Any, **parameters: Any) -> Any:
        return (await asyncio.to_thread(method, **parameters)).data()

    async def open(self) -> None:
        self.websocket = await self.spot.websocket_api.create_connection()
        self.connections.append(self.spot.websocket_api)
        subscription = await self.spot.websocket_api.user_data_stream_subscribe_signature()
        subscription.stream.on("message", self._on_event)

    async def close(self) -> None:
        for connection in self.connections:
            await connection.close_connection(close_session=True)

    def _on_event(self, message: Any) -> None:
        event = message.actual_instance
        if type(event).__name__ != "ExecutionReport":
            return
        trade_id = event.t if event.x == "TRADE" else None
        self.events.append(Event(event.x, str(event.i), trade_id, Decimal(event.l)))

    async def market(self) -> Market:
        information = await self._call(self.rest.exchange_info, symbol=self.symbol)
        return filters_of(information.symbols[0].to_dict())

    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        book = PlainBook(watch)
        await self.spot.websocket_streams.create_connection()
        self.connections.append(self.spot.websocket_streams)
        speed = DiffBookDepthUpdateSpeedEnum.UPDATE_SPEED_100ms
        stream = await self.spot.websocket_streams.diff_book_depth(self.symbol.lower(), update_speed=speed)

        def on_frame(frame: Any) -> None:
            book.on_update(frame.U, frame.u, frame.b, frame.a)

        stream.on("message", on_frame)
        await book.flows.wait()
        depth = await self._call(self.rest.depth, symbol=self.symbol, limit=1000)
        book.on_snapshot(depth.last_update_id, depth.bids, depth.asks)
        await enough.wait()

    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        kind = NewOrderTypeEnum.LIMIT_MAKER
        order = await self._call(
            self.rest.new_order,
            symbol=self.symbol,
            side=NewOrderSideEnum[side],
            type=kind,
            quantity=float(quantity),
            price=float(price),
        )
        return str(order.order_id)

    async def order(self, order_id: str) -> Order:
        return _order(await self._call(self.rest.get_order, symbol=self.symbol, order_id=int(order_id)))

    async def open_orders(self) -> set[str]:
        return {str(order.order_id) for order in await self._call(self.rest.get_open_orders, symbol=self.symbol)}

    async def cancel(self, order_id: str) -> None:
        await self._call(self.rest.delete_order, symbol=self.symbol, order_id=int(order_id))

    async def cancel_all(self) -> None:
        await self._call(self.rest.delete_open_orders, symbol=self.symbol)

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        account = await self._call(self.rest.get_account)
        return {line.asset: (Decimal(line.free), Decimal(line.locked)) for line in account.balances}

    async def own_trades(self) -> list[Trade]:
        trades = await self._call(self.rest.my_trades, symbol=self.symbol, limit=1000)
        return [Trade(trade.id, str(trade.order_id), Decimal(trade.qty), Decimal(trade.price), trade.is_maker) for trade in trades]

    async def amend(self, order_id: str, quantity: Decimal) -> None:
        method = self.rest.order_amend_keep_priority
        reply = await self._call(method, symbol=self.symbol, order_id=int(order_id), new_qty=float(quantity))
        assert str(reply.amended_order.order_id) == order_id, reply

    async def cancel_replace(self, order_id: str, mode: str, side: str, quantity: Decimal, price: Decimal) -> str:
        reply = await self._call(
            self.rest.order_cancel_replace,
            symbol=self.symbol,
            side=OrderCancelReplaceSideEnum[side],
            type=OrderCancelReplaceTypeEnum.LIMIT_MAKER,
            cancel_replace_mode=OrderCancelReplaceCancelReplaceModeEnum[mode],
            cancel_order_id=int(order_id),
            quantity=float(quantity),
            price=float(price),
        )
        return str(reply.new_order_response.order_id)

    def failure_code(self, error: Exception) -> int:
        # The client keeps no code of a 409, only the text.
        if isinstance(error, ClientError):
            assert "Order cancel-replace partially failed." in str(error), error
            return -2021
        assert isinstance(error, BadRequestError), error
        return int(error.status_code)

    async def _over_websocket(self, api: Any, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        kind = OrderPlaceTypeEnum.LIMIT_MAKER
        place = await api.order_place(self.symbol, OrderPlaceSideEnum[side], kind, quantity=float(quantity), price=float(price))
        which = {"symbol": self.symbol, "order_id": place.data().result.order_id}
        placed = _order((await api.order_status(**which)).data().result)
        return placed, _order((await api.order_cancel(**which)).data().result)

    async def websocket_order(self, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        return await self._over_websocket(self.spot.websocket_api, side, quantity, price)

    async def with_key(self, kind: str, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        key, path = self.places.key_files[kind]
        spot = self._spot(api_key=key, private_key=path)
        order = await self._call(
            spot.rest_api.new_order,
            symbol=self.symbol,
            side=NewOrderSideEnum[side],
            type=NewOrderTypeEnum.LIMIT_MAKER,
            quantity=float(quantity),
            price=float(price),
        )
        which = {"symbol": self.symbol, "order_id": order.order_id}
        placed = _order(await self._call(spot.rest_api.get_order, **which))
        cancelled = _order(await self._call(spot.rest_api.delete_order, **which))
        if kind == "ed25519":
            await spot.websocket_api.create_connection()
            self.connections.append(spot.websocket_api)
            logon = (await spot.websocket_api.session_logon()).data()
            assert logon.result.api_key == key, logon
            return await self._over_websocket(spot.websocket_api, side, quantity, price)
        return placed, cancelled


if __name__ == "__main__":
    main(BinanceSdkSpotClient)
