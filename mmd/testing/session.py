"""One adapter on one venue, with what a conformance step needs to give commands and to wait for what comes of them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TypeVar

from mmd.exchanges.adapter import Event, ExchangeAdapter, VenueCommand
from mmd.exchanges.capabilities import Capabilities
from mmd.market.book import OrderBook
from mmd.testing.recorder import PATIENCE_SECONDS, Recorder
from mmd.testing.venue import VenueHarness
from mmd.types.instrument import Instrument, Replacement
from mmd.types.market import BatchEnd, DepthSnapshot, DepthUpdate, FeedState, FeedStatus, Level, Side, TouchUpdate
from mmd.types.orders import (
    CancelOrder,
    OrderAccepted,
    OrderChannelStatus,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    ReconciliationReport,
    RequestDepthSnapshot,
    RequestReconciliation,
)

PREFIX = "conf"
REPLACEMENTS = frozenset(way.value for way in Replacement)
MANY = 1_000
TIMER_SECONDS = 0.05
E = TypeVar("E")
Outcome = OrderAccepted | OrderRejected | OutcomeUnknown


class SteppedClock:
    """UTC ns of a machine whose clock is wrong by `offset_ns`, which may be changed."""

    def __init__(self) -> None:
        self.offset_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.offset_ns


class Session:
    """Everything of one step. `open` starts the adapter; a book is kept from what it delivers, as the core would."""

    def __init__(self, venue: VenueHarness) -> None:
        self.venue = venue
        self.recorder = Recorder()
        self.clock = SteppedClock()
        self.adapter: ExchangeAdapter = venue.make_adapter(clock_ns=self.clock, on_failure=self.recorder.on_failure)
        self.book = OrderBook(venue.symbol)
        self._number = 0
        self.recorder.reactions.append(self._keep_book)

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter states."""
        return self.adapter.capabilities

    @property
    def instrument(self) -> Instrument:
        """The symbol's."""
        return self.adapter.instruments[self.venue.symbol]

    def claims(self, capability: str) -> bool:
        """Whether a capability is stated: a flag of the adapter, or the way of replacement of its instruments (loaded by then)."""
        if capability in REPLACEMENTS:
            return self.instrument.replacement.value == capability
        return bool(getattr(self.capabilities, capability))

    async def open(self) -> None:
        """Start the adapter and wait until it can trade."""
        await self.adapter.start(self.recorder)
        await self.up(0)

    async def up(self, since: int) -> None:
        """Until market data and order entry have come up, counted from a mark on."""
        await self.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.CONNECTED, since=since)
        await self.recorder.wait_for(OrderChannelStatus, lambda event: event.connected, since=since)

    async def down(self, since: int) -> None:
        """Until both were told to be down."""
        await self.recorder.wait_for(FeedStatus, lambda event: event.state is FeedState.DISCONNECTED, since=since)
        await self.recorder.wait_for(OrderChannelStatus, lambda event: not event.connected, since=since)

    # ---- orders

    def send(self, command: VenueCommand) -> None:
        """Give one command; an adapter's `send` must never raise for what may happen to it."""
        self.adapter.send(command)

    def place(
        self,
        side: Side = Side.BUY,
        price_ticks: int | None = None,
        lots: int | None = None,
        *,
        post_only: bool = True,
    ) -> str:
        """Send an order, by default a resting bid; returns its client order id."""
        self._number += 1
        client_order_id = f"{PREFIX}-{self._number}"
        price = self.venue.bid_ticks if price_ticks is None else price_ticks
        quantity = self.venue.lots if lots is None else lots
        self.send(PlaceOrder(self.clock(), client_order_id, self.venue.symbol, side, price, quantity, post_only))
        return client_order_id

    async def placed(self, side: Side = Side.BUY, price_ticks: int | None = None, lots: int | None = None) -> str:
        """The same, and wait until the venue has acknowledged it."""
        client_order_id = self.place(side, price_ticks, lots)
        outcome = await self.outcome(client_order_id)
        assert isinstance(outcome, OrderAccepted), outcome
        return client_order_id

    def next_id(self) -> str:
        """A client order id that was not used."""
        self._number += 1
        return f"{PREFIX}-{self._number}"

    def cancel(self, client_order_id: str) -> None:
        """Ask for a cancel."""
        self.send(CancelOrder(self.clock(), client_order_id, self.venue.symbol))

    async def outcome(self, client_order_id: str, *, since: int = 0) -> Outcome:
        """The first of acknowledged, refused or unknown."""
        kinds = (OrderAccepted, OrderRejected, OutcomeUnknown)
        event = await self.recorder.wait_for(
            object, lambda event: isinstance(event, kinds) and event.client_order_id == client_order_id, since=since
        )
        assert isinstance(event, kinds)
        return event

    async def about(self, kind: type[E], client_order_id: str, *, since: int = 0) -> E:
        """The first event of a kind about an order."""
        return await self.recorder.wait_for(
            kind, lambda event: getattr(event, "client_order_id", None) == client_order_id, since=since
        )

    async def status(self, client_order_id: str, status: OrderStatus, *, since: int = 0) -> OrderUpdate:
        """The first update that shows an order in a state."""
        return await self.recorder.wait_for(
            OrderUpdate, lambda event: event.client_order_id == client_order_id and event.status is status, since=since
        )

    async def at_venue(self, client_order_id: str) -> None:
        """Until the venue itself lists the order as open: each look is a request of its own, which takes its time."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while client_order_id not in await self.venue.open_orders():
                continue

    async def reconcile(self, after_trade_id: int = -1) -> ReconciliationReport:
        """Ask for a reconciliation and wait for its report."""
        since = self.recorder.mark()
        self.send(RequestReconciliation(self.clock(), "conformance", ((self.venue.symbol, after_trade_id),)))
        return await self.recorder.wait_for(ReconciliationReport, since=since)

    # ---- the book

    async def synced(self, since: int = 0) -> None:
        """Until the book kept from the adapter's events is valid and equals the venue's own."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (self.book.valid and self.visible() == await self.venue.depth()):
                # A quiet market brings no batch that a second request for a snapshot could hang on: the core has its timer.
                with suppress(TimeoutError):
                    async with asyncio.timeout(TIMER_SECONDS):
                        await self.recorder.wait_for(BatchEnd, since=since)
                since = self.recorder.mark()
                self._ask_for_snapshot(self.clock())

    def visible(self) -> tuple[list[Level], list[Level]]:
        """Bids and asks of that book."""
        return self.book.levels(Side.BUY, MANY), self.book.levels(Side.SELL, MANY)

    def _keep_book(self, event: Event) -> None:
        book = self.book
        if isinstance(event, FeedStatus) and event.state is FeedState.DISCONNECTED:
            book.invalidate("feed down")
        elif isinstance(event, TouchUpdate):
            book.on_touch_update(event)
        elif isinstance(event, DepthUpdate):
            book.on_depth_update(event)
        elif isinstance(event, DepthSnapshot):
            book.on_depth_snapshot(event)
        elif isinstance(event, BatchEnd):
            self._ask_for_snapshot(event.receive_ns)

    def _ask_for_snapshot(self, now_ns: int) -> None:
        if self.book.snapshot_due(now_ns):
            self.book.snapshot_requested(now_ns)
            self.adapter.send(RequestDepthSnapshot(now_ns, self.venue.symbol))
