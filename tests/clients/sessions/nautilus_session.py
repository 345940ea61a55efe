"""nautilus_trader: a live node with its Binance clients and a strategy, redirected by its configurations' base URLs."""

from __future__ import annotations

import asyncio
import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

from client import BookWatch, Client, Event, Market, Order, Places, Trade
from cryptography.hazmat.primitives import serialization
from nautilus_trader.adapters.binance import (
    BINANCE,
    BINANCE_VENUE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceKeyType,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
    get_cached_binance_http_client,
)
from nautilus_trader.adapters.binance.common.enums import BinanceOrderSide, BinanceOrderType
from nautilus_trader.adapters.binance.spot.http.account import BinanceSpotAccountHttpAPI
from nautilus_trader.common.component import LiveClock
from nautilus_trader.config import InstrumentProviderConfig, LoggingConfig, StrategyConfig, TradingNodeConfig
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import BookType, OrderSide
from nautilus_trader.model.events import OrderAccepted, OrderCanceled, OrderFilled, OrderRejected
from nautilus_trader.model.identifiers import InstrumentId, TraderId, VenueOrderId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.trading.strategy import Strategy
from scenario import main, until

SIZE_DIGITS = 8
_ONLY_FUTURES = "its Binance adapter modifies orders on futures only"
_NO_REPLACE = "its Binance adapter has no cancelReplace"


class Rejected(Exception):
    """The client refuses with an event, OrderRejected; here it is raised."""


class Watcher(Strategy):
    """Hands on what the node tells it."""

    def __init__(self, session: NautilusClient) -> None:
        super().__init__(StrategyConfig(strategy_id="SESSION-001"))
        self.session = session
        self.watch: BookWatch | None = None
        self.instrument_id = InstrumentId.from_str(f"{session.symbol}.{BINANCE}")

    def on_start(self) -> None:
        if self.watch is not None:
            self.subscribe_order_book_deltas(self.instrument_id, book_type=BookType.L2_MBP)

    def on_order_book_deltas(self, deltas: Any) -> None:
        book = self.cache.order_book(self.instrument_id)
        bids, asks = (
            {level.price.as_decimal(): round(Decimal(level.size()), SIZE_DIGITS) for level in side}
            for side in (book.bids(), book.asks())
        )
        self.watch.keep(deltas.sequence, bids, asks)

    def on_order_event(self, event: Any) -> None:
        self.session.on_order_event(event)


class NautilusClient(Client):
    """Trades by a strategy's commands and their events; asks by the adapter's typed HTTP calls."""

    distributions = ("nautilus_trader",)
    refusal = Rejected
    unsupported = {  # noqa: RUF012
        "amend": _ONLY_FUTURES,
        "replace_both": _NO_REPLACE,
        "replace_stop_cancel_fails": _NO_REPLACE,
        "replace_stop_order_fails": _NO_REPLACE,
        "replace_allow_cancel_fails": _NO_REPLACE,
        "replace_allow_order_fails": _NO_REPLACE,
        "replace_none": _NO_REPLACE,
        "websocket_api": "its Binance adapter of this version does not use the WebSocket API",
    }

    def __init__(self, places: Places, symbol: str) -> None:
        super().__init__(places, symbol)
        self.node: TradingNode | None = None
        self.running: asyncio.Task[None] | None = None
        self.rejections: dict[str, str] = {}

    def _start(self, watch: BookWatch | None) -> None:
        loop = asyncio.get_running_loop()
        settings = {
            "api_key": self.places.key,
            "api_secret": self.places.secret,
            "base_url_http": self.places.rest,
            "base_url_ws": self.places.stream,
            "instrument_provider": InstrumentProviderConfig(load_all=True),
        }
        config = TradingNodeConfig(
            trader_id=TraderId("SESSION-001"),
            logging=LoggingConfig(log_level="WARNING", print_config=False),
            data_clients={BINANCE: BinanceDataClientConfig(**settings)},
            exec_clients={BINANCE: BinanceExecClientConfig(**settings)},
        )
        self.node = TradingNode(config=config, loop=loop)
        self.strategy = Watcher(self)
        self.strategy.watch = watch
        self.node.trader.add_strategy(self.strategy)
        self.node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
        self.node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
        self.node.build()
        self.running = loop.create_task(self.node.run_async())

    async def _ready(self) -> None:
        await until("the node to run", lambda: self.strategy.is_running or self.running.done(), 90)
        if self.running.done():
            self.running.result()

    async def open(self) -> None:
        self._start(None)
        self.account = BinanceSpotAccountHttpAPI(self._http(BinanceKeyType.HMAC, self.places.key, self.places.secret), LiveClock())
        await self._ready()

    def _http(self, kind: BinanceKeyType, key: str, secret: str) -> Any:
        return get_cached_binance_http_client(
            LiveClock(), BinanceAccountType.SPOT, api_key=key, api_secret=secret, key_type=kind, base_url=self.places.rest
        )

    async def close(self) -> None:
        if self.node is None:
            return
        await self.node.stop_async()
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    def on_order_event(self, event: Any) -> None:
        order_id = str(event.venue_order_id)
        if isinstance(event, OrderAccepted):
            self.events.append(Event("NEW", order_id))
        elif isinstance(event, OrderCanceled):
            self.events.append(Event("CANCELED", order_id))
        elif isinstance(event, OrderFilled):
            self.events.append(Event("TRADE", order_id, int(event.trade_id.value), event.last_qty.as_decimal()))
        elif isinstance(event, OrderRejected):
            self.rejections[str(event.client_order_id)] = event.reason

    async def market(self) -> Market:
        instrument = self.strategy.cache.instrument(self.strategy.instrument_id)
        return Market(
            instrument.price_increment.as_decimal(),
            instrument.size_increment.as_decimal(),
            instrument.min_notional.as_decimal(),
            instrument.base_currency.code,
            instrument.quote_currency.code,
        )

    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        self._start(watch)
        await self._ready()
        await enough.wait()

    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        instrument = self.strategy.cache.instrument(self.strategy.instrument_id)
        order = self.strategy.order_factory.limit(
            instrument.id,
            OrderSide.BUY if side == "BUY" else OrderSide.SELL,
            Quantity(quantity, instrument.size_precision),
            Price(price, instrument.price_precision),
            post_only=True,
        )
        self.strategy.submit_order(order)
        name = str(order.client_order_id)
        await until("an answer to an order", lambda: order.venue_order_id is not None or name in self.rejections or order.is_closed)
        if name in self.rejections:
            raise Rejected(self.rejections[name])
        return str(order.venue_order_id)

    def _order(self, order: Any) -> Order:
        quantity, executed, price = (Decimal(getattr(order, name)) for name in ("origQty", "executedQty", "price"))
        return Order(str(order.orderId), order.status.value, quantity, executed, price)

    async def order(self, order_id: str) -> Order:
        return self._order(await self.account.query_order(self.symbol, order_id=int(order_id)))

    async def open_orders(self) -> set[str]:
        return {str(order.orderId) for order in await self.account.query_open_orders(self.symbol)}

    def _cached(self, order_id: str) -> Any:
        cache = self.strategy.cache
        return cache.order(cache.client_order_id(VenueOrderId(order_id)))

    async def cancel(self, order_id: str) -> None:
        order = self._cached(order_id)
        self.strategy.cancel_order(order)
        await until("the cancel", lambda: order.is_closed)

    async def cancel_all(self) -> None:
        orders = self.strategy.cache.orders_open(instrument_id=self.strategy.instrument_id)
        self.strategy.cancel_all_orders(self.strategy.instrument_id)
        await until("every cancel", lambda: all(order.is_closed for order in orders))

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        information = await self.account.query_spot_account_info()
        asked = {line.asset: (Decimal(line.free), Decimal(line.locked)) for line in information.balances}

        def told() -> dict[str, tuple[Decimal, Decimal]]:
            balances = self.strategy.portfolio.account(BINANCE_VENUE).balances()
            return {
                currency.code: (balance.free.as_decimal(), balance.locked.as_decimal()) for currency, balance in balances.items()
            }

        await until("the node's balances to be the exchange's", lambda: all(told().get(asset) == asked[asset] for asset in asked))
        return asked

    async def own_trades(self) -> list[Trade]:
        return [
            Trade(trade.id, str(trade.orderId), Decimal(trade.qty), Decimal(trade.price), trade.isMaker)
            for trade in await self.account.query_user_trades(self.symbol, limit=1000)
        ]

    async def with_key(self, kind: str, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        key, path = self.places.key_files[kind]
        secret = await asyncio.to_thread(Path(path).read_text)
        if kind == "ed25519":
            # The client takes the key itself in Base64, not its PEM.
            private = serialization.load_pem_private_key(secret.encode(), None)
            secret = base64.b64encode(private.private_bytes_raw()).decode()
        account = BinanceSpotAccountHttpAPI(self._http(BinanceKeyType[kind.upper()], key, secret), LiveClock())
        order = await account.new_order(
            self.symbol, BinanceOrderSide[side], BinanceOrderType.LIMIT_MAKER, quantity=str(quantity), price=str(price)
        )
        placed = self._order(await account.query_order(self.symbol, order_id=order.orderId))
        return placed, self._order(await account.cancel_order(self.symbol, order_id=order.orderId))


if __name__ == "__main__":
    main(NautilusClient)
