"""What the daemon asks of a venue: events in through a sink, commands out through `send`. Adapters are found by entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

import msgspec

from mmd.exchanges.capabilities import Capabilities
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.control import FlattenRequest, GuardStatus, HaltRequest, ResumeRequest, Shutdown, Timer
from mmd.types.instrument import Instrument
from mmd.types.market import BatchEnd, DepthSnapshot, DepthUpdate, FeedAnnouncement, FeedStatus, MarketTrade, MarkPrice, TouchUpdate
from mmd.types.orders import (
    AmendOrder,
    BalanceReport,
    CancelOrder,
    CancelRejected,
    ClockSync,
    DeadMansSwitchLapsed,
    ExternalBalanceChange,
    Fill,
    ForcedTrade,
    FundingPaid,
    InstrumentsLoaded,
    ModifyOrder,
    OrderAccepted,
    OrderBudgetReport,
    OrderChannelStatus,
    OrderNotFound,
    OrderRejected,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    QueryOrder,
    RateLimited,
    ReconciliationFailed,
    ReconciliationReport,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)

ENTRY_POINT_GROUP = "mmd.exchanges"

MarketEvent = DepthUpdate | DepthSnapshot | TouchUpdate | MarketTrade | MarkPrice | FeedStatus | BatchEnd | FeedAnnouncement
OrderEvent = (
    OrderAccepted
    | OrderRejected
    | CancelRejected
    | OutcomeUnknown
    | OrderUpdate
    | OrderNotFound
    | Fill
    | FundingPaid
    | BalanceReport
    | ExternalBalanceChange
    | DeadMansSwitchLapsed
    | ForcedTrade
    | ReconciliationReport
    | ReconciliationFailed
    | OrderChannelStatus
    | OrderBudgetReport
    | RateLimited
    | ClockSync
    | InstrumentsLoaded
)
ControlEvent = Timer | GuardStatus | HaltRequest | FlattenRequest | ResumeRequest | Shutdown
Event = MarketEvent | OrderEvent | ControlEvent
"""Everything that may reach the core."""

OrderCommand = PlaceOrder | CancelOrder | ReplaceOrder | AmendOrder | ModifyOrder | QueryOrder
VenueCommand = OrderCommand | RequestDepthSnapshot | RequestReconciliation
"""Everything the core may ask of a venue."""

EventSink = Callable[[Event], None]
FailureHandler = Callable[[BaseException, str], None]
"""Called with what was raised and where; the daemon halts on it."""


class AdapterError(RuntimeError):
    """The venue could not be used: unreachable at start, a symbol it does not trade, filters that make no sense."""


class CredentialsError(AdapterError):
    """The keys that were set cannot sign for this venue: absent, or of the wrong kind. The text never shows a key."""


class AuditError(AdapterError):
    """The venue could not be asked: what is open is not known. It bids us wait `wait_seconds` before we ask again."""

    def __init__(self, text: str, *, wait_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds


class VenueOrder(msgspec.Struct, frozen=True):
    """One open order as the venue lists it. Price in quote units, quantities in base units, both as the venue writes them."""

    client_order_id: str
    symbol: str
    side: str
    price: str
    quantity: str
    executed_quantity: str


@dataclass(slots=True)
class AdapterCounters:
    """Totals since start, read by the daemon for its metrics. An adapter that does not know one leaves it 0."""

    frames: int = 0
    bytes_received: int = 0
    malformed: int = 0
    ignored: int = 0
    frames_put_off: int = 0
    reconnects: int = 0
    connect_failures: int = 0
    requests_sent: int = 0
    requests_in_flight: int = 0
    requests_timed_out: int = 0
    rest_requests: int = 0
    rest_errors: int = 0
    rate_limited: int = 0


class WireRehearsal(Protocol):
    """A venue's wire without the venue: what the daemon's shadow ticks run through so that the real path stays warm."""

    def frame(self, event: TouchUpdate | MarketTrade | DepthUpdate) -> bytes:
        """The frame that would bring this event."""

    def decode(self, frame: bytes, receive_ns: int) -> Event | None:
        """By the code that decodes the venue's frames."""

    def encode(self, command: OrderCommand, request_id: int, timestamp_ms: int) -> bytes:
        """By the code that encodes requests, signed with a key that is good for nothing."""


@runtime_checkable
class WritesRequests(Protocol):
    """An adapter whose requests can be put on record, and encoded again from their commands without its key."""

    def tell_requests(self, listener: Callable[[bytes], None]) -> None:
        """Hand `listener` every order request that was written, as it was written. To be called before `start`."""

    @classmethod
    def unsigned_encoder(
        cls, instruments: Mapping[str, Instrument], recv_window_ms: int
    ) -> Callable[[OrderCommand, int, int], bytes]:
        """From command, request id and timestamp (ms) to the request without key and signature."""


class ExchangeAdapter(Protocol):
    """One venue. `instruments` is filled by `load_instruments` (which `start` calls when it has not been)."""

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The filters of the symbols we trade, by symbol; empty before they were loaded."""

    @property
    def counters(self) -> AdapterCounters:
        """Totals since start."""

    @property
    def capabilities(self) -> Capabilities:
        """What this venue can do. It holds from the constructor on and never changes."""

    async def load_instruments(self) -> Mapping[str, Instrument]:
        """Read the venue's filters. Raises `AdapterError`."""

    async def start(self, sink: EventSink) -> None:
        """Begin to connect market data, order entry and user data; each reports through the sink once it stands.

        The sink is called synchronously where the bytes arrive, with a `BatchEnd` after the last message of a read.
        Raises `AdapterError` when the instruments cannot be had; connections that fail later are retried, never raised.
        """

    def send(self, command: VenueCommand) -> None:
        """Carry out one command. Never blocks, never raises for I/O: the outcome, whatever it is, comes through the sink."""

    async def open_orders_audit(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """What is really open on our symbols under client ids that begin with the prefix and `-`: the venue's word, not our belief.

        Asked over a connection of its own with a fresh request, so that it works before `start` and after every channel
        has failed; nothing of it reaches the sink. Raises `AuditError` when the venue cannot be asked.
        """

    async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Ask for the cancel of every order that `open_orders_audit` would list; returns those: ask again until there are none.

        Over a connection of its own as well, so that another process, or a thread beside a stalled event loop, can clear the
        market. Every order is tried before `AuditError` tells that one could not be.
        """

    def rehearsal(self) -> WireRehearsal | None:
        """A wire to rehearse on, once the instruments were loaded; None where the venue's wire cannot be rehearsed."""

    async def close(self) -> None:
        """Close every connection and end every task. No event is delivered afterwards."""


def adapter_factory(name: str) -> Callable[..., Any]:
    """The adapter class that is registered under `name` in the entry point group `mmd.exchanges`.

    Raises `AdapterError` for a name nobody registered, naming those that are.
    """
    registered = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in registered:
        known = ", ".join(sorted(registered)) or "none"
        raise AdapterError(
            f"no exchange adapter is called {name!r} (installed: {known}); it must be an entry point of {ENTRY_POINT_GROUP}"
        )
    factory: Callable[..., Any] = registered[name].load()
    return factory


def settings_class_of(name: str) -> type[ExchangeSettings]:
    """The class of an adapter's settings: its own `settings_class`, or the common one. Raises as `adapter_factory`."""
    found = getattr(adapter_factory(name), "settings_class", ExchangeSettings)
    if not (isinstance(found, type) and issubclass(found, ExchangeSettings)):
        raise AdapterError(
            f"settings_class of the exchange adapter {name!r} is no subclass of mmd.exchanges.settings.ExchangeSettings"
        )
    return found
