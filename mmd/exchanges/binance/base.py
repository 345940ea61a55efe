"""What Binance's adapters have in common: market stream, REST, the clock, depth snapshots and reconciliations, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import ClassVar

import structlog

from mmd.exchanges.adapter import (
    AdapterCounters,
    AdapterError,
    AuditError,
    EventSink,
    FailureHandler,
    OrderCommand,
    VenueCommand,
    VenueOrder,
)
from mmd.exchanges.binance.account_view import AccountView
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.binance.market_data import MarketData
from mmd.exchanges.binance.open_orders import OpenOrders
from mmd.exchanges.binance.order_entry import OrderEntry
from mmd.exchanges.binance.order_messages import OrderNames
from mmd.exchanges.binance.rehearsal import BinanceWireRehearsal
from mmd.exchanges.binance.rest import RestClient, VenueError
from mmd.exchanges.binance.signing import NoSigner, Signer, signer_of
from mmd.exchanges.capabilities import Capabilities
from mmd.exchanges.settings import ExchangeSettings
from mmd.types.instrument import Instrument
from mmd.types.orders import InstrumentsLoaded, ReconciliationFailed, RequestDepthSnapshot, RequestReconciliation

log = structlog.get_logger(__name__)

SNAPSHOT_LEVELS = 1000


class BinanceAdapter:
    """See `ExchangeAdapter`. A subclass says which API it is (`api`), and makes what speaks of orders and accounts.

    `clock_ns` gives UTC ns; `on_failure` hears of anything that should have been impossible.

    `random` only spreads the waits before connections are tried again. `on_market_frame` sees every market frame with its receive
    time (ns) before it is decoded, `on_depth_snapshot` every REST depth reply with time and symbol: what a recording keeps. Of
    `reference_symbols` only market data is read. With `market_data_only` no key is used, nothing is signed, and there is no order
    entry. Raises `SigningKeyError` for keys that cannot sign.
    """

    api: ClassVar[str]
    """Path of the REST API."""

    def __init__(
        self,
        settings: ExchangeSettings,
        symbols: Iterable[str],
        *,
        clock_ns: Callable[[], int],
        on_failure: FailureHandler,
        random: Random,
        on_market_frame: Callable[[int, bytes], None] | None = None,
        on_depth_snapshot: Callable[[int, str, bytes], None] | None = None,
        reference_symbols: Iterable[str] = (),
        market_data_only: bool = False,
    ) -> None:
        self._market_data_only = market_data_only
        self._settings = settings
        self._symbols = tuple(symbols)
        self._streamed = (*self._symbols, *reference_symbols)
        self._random = random
        self._on_market_frame = on_market_frame
        self._on_depth_snapshot = on_depth_snapshot
        self._signer: Signer = NoSigner() if market_data_only else signer_of(settings)
        self._instruments: dict[str, Instrument] = {}
        self._names = OrderNames()
        self._outlet = EventOutlet(on_failure)
        self._tasks = Tasks(on_failure)
        self._surroundings = Surroundings(clock_ns, self._outlet, Complaints(clock_ns), AdapterCounters(), self._tasks)
        self._rest = RestClient(settings, self._surroundings, time_path=f"{self.api}/time")
        self._clock = VenueClock(
            self._rest.server_time,
            self._surroundings,
            probes=settings.clock_probes,
            refresh_seconds=settings.clock_refresh_seconds,
            errors=(VenueError,),
        )
        self._market_data: MarketData | None = None
        self._order_entry: OrderEntry | None = None
        self._account_view: AccountView | None = None
        self._decoder: FrameDecoder | None = None
        self._on_request: Callable[[bytes], None] = _unheard
        self._snapshots_under_way: set[str] = set()
        self._reconciling = False
        self._next_reconciliation: RequestReconciliation | None = None

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """By symbol; empty before they were loaded."""
        return self._instruments

    @property
    def counters(self) -> AdapterCounters:
        """Totals since start."""
        return self._surroundings.counters

    @property
    def capabilities(self) -> Capabilities:
        """What this venue can do."""
        raise NotImplementedError

    async def load_instruments(self) -> Mapping[str, Instrument]:
        """Read the venue's filters. Raises `AdapterError`."""
        try:
            self._instruments.update(await self._read_instruments())
        except VenueError as error:
            raise AdapterError(
                f"cannot read the instruments {', '.join(self._streamed)} from {self._settings.rest_url}: {error}"
            ) from error
        return self._instruments

    async def _read_instruments(self) -> Mapping[str, Instrument]:
        """Those of all streamed symbols. Raises `VenueError`, `AdapterError`."""
        raise NotImplementedError

    async def start(self, sink: EventSink) -> None:
        """Begin to connect everything. Raises `AdapterError` when the instruments cannot be had."""
        if not self._instruments:
            await self.load_instruments()
        self._outlet.open(sink)
        now_ns = self._surroundings.clock_ns()
        self._outlet.batch([InstrumentsLoaded(now_ns, self._streamed)], now_ns)
        self._decoder = FrameDecoder(self._instruments)
        self._market_data = MarketData(
            self._settings, self._streamed, self._decoder, self._surroundings, self._backoff(), self._on_market_frame
        )
        self._tasks.start(self._clock.run(), "venue clock")
        self._tasks.start(self._market_data.run(), "market data")
        if self._market_data_only:
            return
        self._order_entry, self._account_view = self._assemble(self._decoder)
        self._order_entry.on_request = self._on_request
        self._tasks.start(self._order_entry.run(), "order entry")
        self._tasks.start(self._order_entry.watch_requests(), "unanswered requests")
        self._start_services()

    def send(self, command: VenueCommand) -> None:
        """Carry out one command; raises nothing but for programming errors (a command before `start`, an unknown symbol)."""
        if self._market_data is None:
            raise AdapterError("send() before start()")
        if isinstance(command, RequestDepthSnapshot):
            self._request_snapshot(command.symbol)
        elif self._order_entry is None:
            raise AdapterError(f"{type(command).__name__} to an adapter that was made for market data only")
        elif isinstance(command, RequestReconciliation):
            self._request_reconciliation(command)
        else:
            self._order_entry.send(command)

    async def open_orders_audit(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Our open orders, asked of the venue over a connection of its own. Raises `AuditError`."""
        return await self._open_orders().listed(client_order_id_prefix)

    async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Ask for the cancel of each of them, likewise. Raises `AuditError`."""
        return await self._open_orders().cancel(client_order_id_prefix)

    def _open_orders(self) -> OpenOrders:
        if self._market_data_only:
            raise AuditError("this adapter was made for market data only: it has no key to ask with")
        return OpenOrders(self._settings, self._symbols, self._signer, self._surroundings.clock_ns, api=self.api)

    def rehearsal(self) -> BinanceWireRehearsal:
        """This wire without the venue."""
        raise NotImplementedError

    def tell_requests(self, listener: Callable[[bytes], None]) -> None:
        """Hand `listener` every order request that was written. To be called before `start`."""
        self._on_request = listener

    @classmethod
    def unsigned_encoder(
        cls, instruments: Mapping[str, Instrument], recv_window_ms: int
    ) -> Callable[[OrderCommand, int, int], bytes]:
        """From command, request id and timestamp (ms) to the request without key and signature."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close every connection and end every task."""
        self._outlet.close()
        await self._tasks.close()
        for channel in (self._market_data, self._order_entry):
            if channel is not None:
                await channel.close()
        await self._rest.close()

    def _assemble(self, decoder: FrameDecoder) -> tuple[OrderEntry, AccountView]:
        """Order entry and the view of the account, once the instruments are known."""
        raise NotImplementedError

    def _start_services(self) -> None:
        """Begin whatever else this venue needs."""

    def _backoff(self) -> Backoff:
        settings = self._settings
        return Backoff(
            self._random,
            first=settings.backoff_first_seconds,
            cap=settings.backoff_cap_seconds,
            reset_after=settings.backoff_reset_seconds,
        )

    # ---- depth snapshots

    def _request_snapshot(self, symbol: str) -> None:
        if symbol in self._snapshots_under_way:
            return
        self._snapshots_under_way.add(symbol)
        self._tasks.start(self._fetch_snapshot(symbol), f"depth snapshot of {symbol}")

    async def _fetch_snapshot(self, symbol: str) -> None:
        assert self._decoder is not None
        backoff = self._backoff()
        try:
            while True:
                try:
                    body = await self._rest.get(f"{self.api}/depth", {"symbol": symbol, "limit": str(SNAPSHOT_LEVELS)})
                    receive_ns = self._surroundings.clock_ns()
                    snapshot = self._decoder.decode_snapshot(symbol, body, receive_ns)
                    break
                except (VenueError, MalformedFrame) as error:
                    self._surroundings.complaints("cannot fetch a depth snapshot", symbol=symbol, detail=str(error))
                    await asyncio.sleep(backoff.next_delay())
        finally:
            self._snapshots_under_way.discard(symbol)
        if self._on_depth_snapshot is not None:
            self._on_depth_snapshot(receive_ns, symbol, body)
        self._outlet.batch([snapshot], receive_ns)

    # ---- reconciliation

    def _request_reconciliation(self, command: RequestReconciliation) -> None:
        """One at a time; of those asked for meanwhile the newest is carried out next."""
        if self._reconciling:
            self._next_reconciliation = command
            return
        self._reconciling = True
        self._tasks.start(self._reconcile(command), "reconciliation")

    async def _reconcile(self, command: RequestReconciliation) -> None:
        try:
            current: RequestReconciliation | None = command
            while current is not None:
                await self._reconcile_once(current)
                current, self._next_reconciliation = self._next_reconciliation, None
        finally:
            self._reconciling = False

    async def _reconcile_once(self, command: RequestReconciliation) -> None:
        assert self._account_view is not None
        requested_ns = self._surroundings.clock_ns()
        try:
            await self._clock.measured.wait()
            report = await self._account_view.report(command, requested_ns)
        except (VenueError, MalformedFrame) as error:
            now_ns = self._surroundings.clock_ns()
            self._surroundings.complaints("reconciliation failed", detail=str(error))
            self._outlet.batch([ReconciliationFailed(now_ns, str(error))], now_ns)
            return
        self._outlet.batch([report], report.receive_ns)


def _unheard(_request: bytes) -> None:
    """Nobody asked to be told."""
