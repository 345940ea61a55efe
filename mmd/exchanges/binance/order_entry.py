"""Order entry and user data over one WebSocket-API connection, which counts as up once the subscription is confirmed.

Every request written is remembered until it is answered. One that is not (its link is lost, or no reply came in time) has an
unknown outcome; a reply that comes after all is still read.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance import encode
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.connection import Channel, HandshakeRefused, Link, Patience, Surroundings
from mmd.exchanges.binance.decode import MalformedFrame
from mmd.exchanges.binance.replies import Envelope, ReplyDecoder, decode_envelope, order_budgets, outcome_unknown, retry_after_ms
from mmd.exchanges.binance.signing import Signer
from mmd.exchanges.binance.user_data import SERVER_SHUTDOWN, STREAM_ENDED, UserDataDecoder
from mmd.exchanges.binance.verdicts import BAD_TIMESTAMP, UNSUPPORTED_OPERATION
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.market import BatchEnd
from mmd.types.orders import (
    CancelRejected,
    ExternalBalanceChange,
    ModifyOrder,
    OrderChannelStatus,
    OrderRejected,
    RateLimited,
    ReplaceOrder,
)

_OVERDUE_BOUND = 1_000
_RECENT_BALANCE_CHANGES = 64
_SWEEPS_PER_TIMEOUT = 12
_DEFAULT_WAIT_NS = 60 * 10**9


class _Request(msgspec.Struct, gc=False):
    """A request that was written. `written_at` is the event loop's time, s."""

    command: OrderCommand
    timestamp_ms: int
    written_at: float
    link: Link


class OrderEntry(Channel):
    """Carries out order commands and delivers what the venue says about orders, fills and balances.

    `user_data` is None where they come over another connection.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        surroundings: Surroundings,
        backoff: Backoff,
        *,
        encoder: encode.RequestEncoder,
        signer: Signer,
        replies: ReplyDecoder,
        user_data: UserDataDecoder | None,
        clock: VenueClock,
    ) -> None:
        patience = Patience(
            connect=settings.connect_timeout_seconds,
            idle=None,
            ping_idle=settings.order_entry_idle_seconds,
            max_age=settings.max_connection_age_seconds,
            overlap=max(settings.renewal_overlap_seconds, settings.request_timeout_seconds),
        )
        super().__init__("order entry", settings.websocket_api_url, surroundings, backoff, patience)
        self._settings = settings
        self._encoder = encoder
        self._signer = signer
        self._replies = replies
        self._user_data = user_data
        self._clock = clock
        self._clock_ns = surroundings.clock_ns
        self._outlet = surroundings.outlet
        self._counters = surroundings.counters
        self._sequence = 0
        self._requests: dict[int, _Request] = {}
        self._overdue: OrderedDict[int, _Request] = OrderedDict()
        self._own_sequence = 0
        self._own_requests: dict[str, asyncio.Future[Envelope]] = {}
        self._recent_balance_changes: OrderedDict[bytes, None] = OrderedDict()
        self.on_request: Callable[[bytes], object] = len
        """Hears every order request that was written."""
        self._batch_ns = 0
        self._outage_told = False

    # ---- commands

    unsupported: ClassVar[tuple[type, ...]] = (ModifyOrder,)
    """Changes of a resting order that this venue does not know: they are refused here, whole, and the order stands."""

    def send(self, command: OrderCommand) -> None:
        """Write one request. What cannot be written is reported as an unknown outcome, from the event loop's next turn."""
        if isinstance(command, self.unsupported):
            self._refuse(command)
            return
        link = self.current
        if link is None or not link.writable:
            self._not_written(command, "order entry is down")
            return
        if len(self._requests) >= self._settings.max_requests_in_flight:
            self._not_written(command, f"{len(self._requests)} requests await a reply already")
            return
        self._sequence += 1
        timestamp_ms = self._clock.timestamp_ms(command.decided_ns)
        message = self._encoder.encode(command, self._sequence, timestamp_ms)
        try:
            link.send(message)
        except (OSError, RuntimeError) as error:
            self._not_written(command, f"{type(error).__name__}: {error}")
            return
        self._requests[self._sequence] = _Request(command, timestamp_ms, asyncio.get_running_loop().time(), link)
        self.on_request(message)
        self._counters.requests_sent += 1
        self._counters.requests_in_flight = len(self._requests)

    def _refuse(self, command: OrderCommand) -> None:
        now_ns, code = self._clock_ns(), UNSUPPORTED_OPERATION
        text = f"this venue knows no {type(command).__name__}"
        if isinstance(command, ReplaceOrder):
            self._outlet.soon(
                [
                    CancelRejected(now_ns, command.symbol, command.cancel_client_order_id, code, text),
                    OrderRejected(now_ns, command.symbol, command.client_order_id, code, text),
                ],
                now_ns,
            )
        else:
            self._outlet.soon([CancelRejected(now_ns, command.symbol, command.client_order_id, code, text)], now_ns)

    def _not_written(self, command: OrderCommand, detail: str) -> None:
        now_ns = self._clock_ns()
        self._outlet.soon(outcome_unknown(command, now_ns, f"not written: {detail}"), now_ns)

    # ---- what arrives

    def receive(self, link: Link, message: bytes) -> None:
        """A reply or an event."""
        receive_ns = self._clock_ns()
        self._counters.frames += 1
        self._counters.bytes_received += len(message)
        self._batch_ns = receive_ns
        try:
            envelope = decode_envelope(message)
            if isinstance(envelope.id, int):
                self._on_reply(envelope.id, envelope, receive_ns)
            elif isinstance(envelope.id, str):
                self._on_own_reply(envelope.id, envelope)
            elif bytes(envelope.event):
                self._on_event(link, envelope.event, receive_ns)
            else:
                self._on_notice(link, envelope, message)
        except MalformedFrame as error:
            self.malformed(link, str(error))

    def read_ended(self) -> None:
        """Close the batch, if this read brought anything."""
        if self._batch_ns:
            batch_ns, self._batch_ns = self._batch_ns, 0
            self._outlet(BatchEnd(batch_ns))

    def _on_reply(self, request_id: int, reply: Envelope, receive_ns: int) -> None:
        request = self._requests.pop(request_id, None) or self._overdue.pop(request_id, None)
        self._counters.requests_in_flight = len(self._requests)
        if request is None:
            self._counters.ignored += 1
            return
        try:
            events = self._replies.outcome(request.command, reply, request.timestamp_ms, receive_ns)
        except MalformedFrame:
            self._deliver(outcome_unknown(request.command, receive_ns, "the reply cannot be read"))
            raise
        self._deliver(events)
        self._deliver(order_budgets(reply, receive_ns))
        if reply.error is not None:
            if reply.error.code == BAD_TIMESTAMP:
                self._clock.measure_soon()
            if reply.status in (418, 429):
                self._deliver([self._rate_limited(reply, receive_ns)])

    def _rate_limited(self, reply: Envelope, receive_ns: int) -> RateLimited:
        assert reply.error is not None
        self._counters.rate_limited += 1
        until_ms = retry_after_ms(reply.error)
        until_ns = self._clock.our_ns(until_ms) if until_ms else receive_ns + _DEFAULT_WAIT_NS
        return RateLimited(receive_ns, until_ns, f"order entry: {reply.status} {reply.error.code} {reply.error.msg}")

    def _on_own_reply(self, request_id: str, reply: Envelope) -> None:
        future = self._own_requests.get(request_id)
        if future is not None and not future.done():
            future.set_result(reply)

    def _on_event(self, link: Link, event: msgspec.Raw, receive_ns: int) -> None:
        if self._user_data is None:
            self._counters.ignored += 1
            return
        kind, events = self._user_data.decode(event, receive_ns)
        if kind == STREAM_ENDED:
            link.fail("the venue ended the user data stream")
        elif kind == SERVER_SHUTDOWN:
            link.leave("the venue announced a shutdown")
        elif events and isinstance(events[0], ExternalBalanceChange) and self._is_repeated(bytes(event)):
            return
        self._deliver(events)

    def _on_notice(self, link: Link, envelope: Envelope, message: bytes) -> None:
        """A message that answers nothing: the venue revokes the session so, with an error of its own."""
        if envelope.error is not None:
            link.fail(f"{envelope.status} {envelope.error.code} {envelope.error.msg}")
        elif b'"serverShutdown"' in message:
            link.leave("the venue announced a shutdown")
        else:
            self._counters.ignored += 1

    def _is_repeated(self, event: bytes) -> bool:
        """Two links at once bring each event twice: fills are booked by id, but a deposit has none."""
        repeated = self.overlapping and event in self._recent_balance_changes
        self._recent_balance_changes[event] = None
        if len(self._recent_balance_changes) > _RECENT_BALANCE_CHANGES:
            self._recent_balance_changes.popitem(last=False)
        return repeated

    def _deliver(self, events: Iterable[Event]) -> None:
        for event in events:
            self._outlet(event)

    # ---- the connection

    async def prepare(self, link: Link) -> None:
        """Authenticate and subscribe to user data."""
        await self._clock.measured.wait()
        settings = self._settings
        timestamp_ms = self._clock.timestamp_ms(self._clock_ns())
        logon = encode.session_logon if settings.uses_ed25519 else encode.subscribe_user_data_signed
        request_id = self._own_request_id()
        message = logon(
            request_id,
            api_key=settings.api_key,
            recv_window_ms=settings.recv_window_ms,
            signer=self._signer,
            timestamp_ms=timestamp_ms,
        )
        await self._ask(link, request_id, message)
        if settings.uses_ed25519:
            request_id = self._own_request_id()
            await self._ask(link, request_id, encode.subscribe_user_data(request_id))

    def _own_request_id(self) -> str:
        self._own_sequence += 1
        return f"session-{self._own_sequence}"

    async def _ask(self, link: Link, request_id: str, message: bytes) -> None:
        future: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()
        self._own_requests[request_id] = future
        try:
            link.send(message)
            waiting: set[asyncio.Future[Any]] = {future, link.ended}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._own_requests[request_id]
        if not future.done():
            raise HandshakeRefused(f"lost while subscribing: {link.ended.result()}")
        error = future.result().error
        if error is not None:
            if error.code == BAD_TIMESTAMP:
                self._clock.measure_soon()
            raise HandshakeRefused(f"{error.code} {error.msg}")

    def on_up(self) -> None:
        """Orders can be sent, and their fates will be told."""
        self._outage_told = False
        now_ns = self._clock_ns()
        self._outlet.batch([OrderChannelStatus(now_ns, True)], now_ns)

    def on_unreachable(self, detail: str) -> None:
        """Told once an outage: the first attempt of all may fail too."""
        if not self._outage_told:
            self.on_down(detail)

    def on_down(self, detail: str) -> None:
        """No order can be sent."""
        self._outage_told = True
        now_ns = self._clock_ns()
        self._outlet.batch([OrderChannelStatus(now_ns, False, detail)], now_ns)

    def on_link_lost(self, link: Link, detail: str) -> None:
        """Whatever this link was asked and did not answer is unknown."""
        now_ns = self._clock_ns()
        lost = [request_id for request_id, request in self._requests.items() if request.link is link]
        events: list[Event] = []
        for request_id in lost:
            events.extend(outcome_unknown(self._requests.pop(request_id).command, now_ns, f"connection lost: {detail}"))
        self._counters.requests_in_flight = len(self._requests)
        if events:
            self._outlet.batch(events, now_ns)

    async def watch_requests(self) -> None:
        """Report requests that were not answered in time, until cancelled."""
        timeout = self._settings.request_timeout_seconds
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(timeout / _SWEEPS_PER_TIMEOUT)
            self._sweep(loop.time() - timeout)

    def _sweep(self, written_before: float) -> None:
        now_ns = self._clock_ns()
        events: list[Event] = []
        while self._requests:
            # Requests are kept in the order in which they were written.
            request_id, request = next(iter(self._requests.items()))
            if request.written_at > written_before:
                break
            del self._requests[request_id]
            self._overdue[request_id] = request
            self._counters.requests_timed_out += 1
            events.extend(outcome_unknown(request.command, now_ns, "no reply in time"))
        while len(self._overdue) > _OVERDUE_BOUND:
            self._overdue.popitem(last=False)
        self._counters.requests_in_flight = len(self._requests)
        if events:
            self._outlet.batch(events, now_ns)
