"""Order commands through ccxt: each is one request; what it answers or raises is what is told about the order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.ccxt.markets import order_update, whole_id
from mmd.exchanges.ccxt.names import OrderIds
from mmd.exchanges.ccxt.verdicts import Verdict, verdict
from mmd.types.instrument import Instrument
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    CancelRejected,
    ModifyOrder,
    OrderAccepted,
    OrderNotFound,
    OrderRejected,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    RateLimited,
    ReplaceOrder,
)

NOT_IN_PLACE = "through ccxt no order is changed or replaced in place: cancel it, then place another"
NO_POST_ONLY = "this venue knows no post-only orders, and an order that would rest might take as well"
_DEFAULT_WAIT_NS = 10 * 10**9
_NS_PER_SECOND = 10**9
_NS_PER_MS = 1_000_000


class Orders:
    """Carries out commands. `now_ms` is the venue's time; `on_bad_clock` hears of a timestamp that the venue refused."""

    def __init__(
        self,
        client: Any,
        instruments: Mapping[str, Instrument],
        names: Mapping[str, str],
        ids: OrderIds,
        surroundings: Surroundings,
        errors: Any,
        *,
        post_only: bool,
        pushed: bool,
        now_ms: Callable[[], int],
        on_bad_clock: Callable[[], None],
    ) -> None:
        self._client = client
        self._instruments = instruments
        self._names = names
        self._ids = ids
        self._surroundings = surroundings
        self._errors = errors
        self._post_only = post_only
        self._pushed = pushed
        self._now_ms = now_ms
        self._on_bad_clock = on_bad_clock
        self._placing: dict[str, asyncio.Task[None]] = {}

    def refusal(self, command: OrderCommand, now_ns: int) -> list[Event]:
        """What is to be said of a command that this adapter does not send at all; nothing for one that it does."""
        symbol, name = command.symbol, command.client_order_id
        if isinstance(command, ReplaceOrder):
            old = command.cancel_client_order_id
            return [CancelRejected(now_ns, symbol, old, 0, NOT_IN_PLACE), OrderRejected(now_ns, symbol, name, 0, NOT_IN_PLACE)]
        if isinstance(command, AmendOrder | ModifyOrder):
            return [CancelRejected(now_ns, symbol, name, 0, NOT_IN_PLACE)]
        if isinstance(command, PlaceOrder) and command.post_only and not self._post_only:
            return [OrderRejected(now_ns, symbol, name, 0, NO_POST_ONLY)]
        return []

    def start(self, command: OrderCommand) -> None:
        """Send it, but nothing about an order before the request that places it has been answered."""
        task = self._surroundings.tasks.start(self._carry_out(command, self._placing.get(command.client_order_id)), "order request")
        self._surroundings.counters.requests_sent += 1
        self._surroundings.counters.requests_in_flight += 1
        if isinstance(command, PlaceOrder):
            self._placing[command.client_order_id] = task
        task.add_done_callback(lambda _: self._done(command))

    def _done(self, command: OrderCommand) -> None:
        self._surroundings.counters.requests_in_flight -= 1
        if isinstance(command, PlaceOrder):
            self._placing.pop(command.client_order_id, None)

    async def _carry_out(self, command: OrderCommand, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        asked_ms = self._now_ms()
        try:
            events = await self._request(command)
        except self._errors.BaseError as error:
            events = self._failure(command, error, asked_ms)
        except Exception as error:
            # A reply that nobody could read: what it was about is unknown, and whoever wrote the mistake must hear of it.
            self._tell([self._unknown(command, f"the reply cannot be read: {type(error).__name__}")])
            raise
        self._tell(events)

    async def _request(self, command: OrderCommand) -> list[Event]:
        name, instrument = self._names[command.symbol], self._instruments[command.symbol]
        own = {"clientOrderId": command.client_order_id}
        if isinstance(command, PlaceOrder):
            kind = {"postOnly": True} if command.post_only else {"timeInForce": "IOC"}
            amount, price = _exact(instrument.quantity(command.lots)), _exact(instrument.price(command.price_ticks))
            placed = await self._client.create_order(name, "limit", command.side.name.lower(), amount, price, {**own, **kind})
            self._ids.remember(command.client_order_id, placed["id"])
            now_ns = self._surroundings.clock_ns()
            events: list[Event] = [OrderAccepted(now_ns, command.symbol, command.client_order_id, whole_id(placed["id"]))]
            if not command.post_only and not self._pushed:
                # No stream will tell what became of it, and it is over by now.
                self._tell(events)
                try:
                    order = await self._client.fetch_order(placed["id"], name)
                except self._errors.BaseError as error:
                    # Of the question's failure the order knows nothing: it was accepted.
                    return [self._unknown(command, f"{type(error).__name__}: {str(error)[:300]}")]
                events = [order_update(order, instrument, now_ns, client_order_id=command.client_order_id)]
            return events
        venue_id = self._ids.venue_id(command.client_order_id)
        # By the venue's id where we know it; by ours, in ccxt's unified parameter, where the venue never told us.
        known, parameters = (venue_id, {}) if venue_id is not None else (command.client_order_id, own)
        if isinstance(command, CancelOrder):
            order = await self._client.cancel_order(known, name, parameters)
            if order.get("amount") is None or order.get("status") is None:
                order = await self._client.fetch_order(known, name, parameters)
        else:
            order = await self._client.fetch_order(known, name, parameters)
        self._ids.remember(command.client_order_id, order["id"])
        receive_ns = self._surroundings.clock_ns()
        return [order_update(order, instrument, receive_ns, client_order_id=command.client_order_id)]

    def _failure(self, command: OrderCommand, error: Exception, asked_ms: int) -> list[Event]:
        now_ns, symbol, name = self._surroundings.clock_ns(), command.symbol, command.client_order_id
        found, text = verdict(error, self._errors), f"{type(error).__name__}: {str(error)[:300]}"
        events: list[Event] = []
        if found is Verdict.LIMITED:
            events.append(RateLimited(now_ns, now_ns + self._wait_ns(), text))
            self._surroundings.counters.rate_limited += 1
        elif found is Verdict.CLOCK:
            self._on_bad_clock()
        if isinstance(command, QueryOrder):
            if isinstance(error, self._errors.OrderNotFound):
                return [*events, OrderNotFound(now_ns, symbol, name, asked_ms)]
            return [*events, OutcomeUnknown(now_ns, symbol, name, text)]
        if found is Verdict.UNKNOWN:
            return [self._unknown(command, text)]
        if isinstance(command, CancelOrder):
            return [*events, CancelRejected(now_ns, symbol, name, 0, text)]
        would_take = isinstance(error, self._errors.OrderImmediatelyFillable)
        return [*events, OrderRejected(now_ns, symbol, name, 0, text, would_take)]

    def _wait_ns(self) -> int:
        headers = {str(key).lower(): value for key, value in (self._client.last_response_headers or {}).items()}
        try:
            return int(float(headers["retry-after"]) * _NS_PER_SECOND)
        except (KeyError, ValueError):
            return _DEFAULT_WAIT_NS

    def _unknown(self, command: OrderCommand, detail: str) -> OutcomeUnknown:
        return OutcomeUnknown(self._surroundings.clock_ns(), command.symbol, command.client_order_id, detail)

    def _tell(self, events: list[Event]) -> None:
        self._surroundings.outlet.batch(events, self._surroundings.clock_ns())


def _exact(amount: Decimal) -> float:
    """ccxt takes floats and writes them by their shortest text: that text must be the amount. Raises `ValueError`."""
    number = float(amount)
    if Decimal(repr(number)) != amount:
        raise ValueError(f"{amount} cannot be handed to ccxt exactly")
    return number
