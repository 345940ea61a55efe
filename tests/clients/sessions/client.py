"""What the session asks of a client. One adapter a client puts its calls into these words, and changes nothing else of it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Levels = dict[Decimal, Decimal]

SETTLING_UPDATES = 50
"""python-binance applies the updates between two snapshots anew when it starts; its book is right from the last of them on."""


@dataclass(frozen=True)
class Places:
    """Where the exchange is, and what its keys are."""

    rest: str
    stream: str
    websocket_api: str
    key: str
    secret: str
    key_files: dict[str, tuple[str, str]] = field(default_factory=dict)
    """`ed25519` and `rsa`: the API key and the path of the private key in PEM."""


@dataclass(frozen=True)
class Market:
    """What the client learned of the symbol; None where it does not tell."""

    tick_size: Decimal
    lot_size: Decimal | None
    min_notional: Decimal | None
    base: str
    quote: str


@dataclass(frozen=True)
class Order:
    """An order as the client tells it; `status` in Binance's words."""

    order_id: str
    status: str
    quantity: Decimal
    executed: Decimal
    price: Decimal


@dataclass(frozen=True)
class Trade:
    """One of the account's own trades."""

    trade_id: int
    order_id: str
    quantity: Decimal
    price: Decimal
    is_maker: bool


@dataclass(frozen=True)
class Event:
    """An event of the user data stream: `kind` is Binance's execution type, or that of the client where it hides it."""

    kind: str
    order_id: str
    trade_id: int | None = None
    quantity: Decimal = Decimal(0)


def order_of(order: dict[str, Any]) -> Order:
    """From Binance's own JSON, for clients that hand it on."""
    quantity, executed, price = (Decimal(order[name]) for name in ("origQty", "executedQty", "price"))
    return Order(str(order["orderId"]), order["status"], quantity, executed, price)


def filters_of(symbol: dict[str, Any]) -> Market:
    """From Binance's own JSON, for clients that hand it on."""
    assert symbol["status"] == "TRADING", symbol
    filters = {each["filterType"]: each for each in symbol["filters"]}
    return Market(
        Decimal(filters["PRICE_FILTER"]["tickSize"]),
        Decimal(filters["LOT_SIZE"]["stepSize"]),
        Decimal(filters["NOTIONAL"]["minNotional"]),
        symbol["baseAsset"],
        symbol["quoteAsset"],
    )


class BookWatch:
    """Books by update id, as the client had them, and how many updates it took."""

    def __init__(self) -> None:
        self.updates = 0
        self.books: dict[int, dict[str, Levels]] = {}

    def keep(self, update_id: int, bids: Levels, asks: Levels, updates: int | None = None) -> None:
        """The client's book stands at this update id; `updates` so far, where not every one is seen."""
        self.updates = self.updates + 1 if updates is None else updates
        if self.updates <= SETTLING_UPDATES:
            return
        self.books[update_id] = {"bids": bids, "asks": asks}


class Client(ABC):
    """One third-party client under test."""

    distributions: tuple[str, ...]
    """What it is called on PyPI."""
    refusal: type[Exception]
    """What it raises for a post-only order that would cross."""
    unsupported: dict[str, str]
    """Steps that the client cannot do, and why."""

    def __init__(self, places: Places, symbol: str) -> None:
        self.places, self.symbol = places, symbol
        self.events: list[Event] = []
        self.complaints: list[str] = []
        """Replies that did not fit the types which the client declares."""

    @abstractmethod
    async def open(self) -> None:
        """Connect, and watch the user data stream where the client can."""

    @abstractmethod
    async def close(self) -> None:
        """Leave nothing running."""

    @abstractmethod
    async def market(self) -> Market:
        """Load the markets; the symbol's."""

    @abstractmethod
    async def watch_book(self, watch: BookWatch, enough: asyncio.Event) -> None:
        """Keep the book and tell `watch` after each update, until `enough`."""

    @abstractmethod
    async def place(self, side: str, quantity: Decimal, price: Decimal) -> str:
        """A limit order, post-only where the client can; its id."""

    @abstractmethod
    async def order(self, order_id: str) -> Order:
        """Query it."""

    @abstractmethod
    async def open_orders(self) -> set[str]:
        """Ids."""

    @abstractmethod
    async def cancel(self, order_id: str) -> None:
        """One order."""

    @abstractmethod
    async def cancel_all(self) -> None:
        """Every order of the symbol."""

    @abstractmethod
    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Asset to free and locked."""

    @abstractmethod
    async def own_trades(self) -> list[Trade]:
        """Of the symbol, the last ones."""

    async def amend(self, order_id: str, quantity: Decimal) -> None:
        """Fewer, keeping the place in the queue."""
        raise NotImplementedError

    async def cancel_replace(self, order_id: str, mode: str, side: str, quantity: Decimal, price: Decimal) -> str:
        """The new post-only order's id. Raises whatever the client raises when one half fails."""
        raise NotImplementedError

    async def websocket_order(self, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        """Place and cancel over the WebSocket API: the order as queried between, and after."""
        raise NotImplementedError

    async def with_key(self, kind: str, side: str, quantity: Decimal, price: Decimal) -> tuple[Order, Order]:
        """Place and cancel, signed with another kind of key: the order as queried between, and after."""
        raise NotImplementedError

    def failure_code(self, error: Exception) -> int:
        """Binance's code in an error of the client."""
        raise NotImplementedError
