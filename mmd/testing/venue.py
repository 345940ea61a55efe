"""What the conformance suite asks of a venue under test: how to start it, and how to provoke what a market does by itself."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler, VenueOrder
from mmd.types.market import Level, Side


class VenueHarness(Protocol):
    """One venue, entered with `async with`: then it serves a quiet market of one symbol in which nothing moves by itself.

    At least `lots * 100` rest at `bid_ticks` and at `ask_ticks`, with fifty ticks of room between them. Whatever acts here (another
    account, another client of ours) speaks to the venue directly, never through the adapter or the lines that `cut` cuts.
    """

    name: str
    symbol: str
    bid_ticks: int
    ask_ticks: int
    lots: int
    """An even number of lots that passes every filter at these prices, and so does half of it."""
    order_limit: int
    """Orders within ten seconds beyond which the venue refuses; above 15. Of no meaning where orders are not remote."""

    async def __aenter__(self) -> Self:
        """Start it."""

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop it."""

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        """A fresh adapter on this venue, not started; its time-out of requests should be below a second."""

    async def trade(self, side: Side, lots: int) -> None:
        """Somebody else takes so many lots at the market; returns once it has traded."""

    async def quote(self, side: Side, price_ticks: int, lots: int) -> None:
        """Somebody else's order comes to rest."""

    async def place_elsewhere(self, side: Side, price_ticks: int, lots: int, client_order_id: str) -> None:
        """Another client of our account places an order, which rests."""

    async def open_orders(self) -> dict[str, VenueOrder]:
        """What is open on our account, by client order id: the venue's own word."""

    async def depth(self) -> tuple[list[Level], list[Level]]:
        """The venue's own book, our orders in it: bids and asks in ticks and lots, best first."""

    def hold_answers(self) -> None:
        """From now on the venue receives and carries out orders, but its answers to us are held back."""

    def release_answers(self) -> None:
        """Let them through, those that were held back first."""

    def cut(self) -> None:
        """Cut every connection of the adapter at once, with whatever was held back on it."""

    def refuse(self, refusing: bool) -> None:
        """Whether new connections of the adapter are refused."""
