"""Any spot exchange that ccxt knows, as one `ExchangeAdapter`: streams where ccxt has them, else asked at a bounded rate."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, ClassVar

from mmd.exchanges.adapter import (
    AdapterCounters,
    AdapterError,
    AuditError,
    CredentialsError,
    EventSink,
    FailureHandler,
    VenueCommand,
    VenueOrder,
    WireRehearsal,
)
from mmd.exchanges.binance.backoff import Backoff
from mmd.exchanges.binance.clock import VenueClock
from mmd.exchanges.binance.connection import Surroundings
from mmd.exchanges.binance.delivery import Complaints, EventOutlet, Tasks
from mmd.exchanges.capabilities import Capabilities
from mmd.exchanges.ccxt.account_feed import AccountFeed
from mmd.exchanges.ccxt.clients import make_client, milliseconds
from mmd.exchanges.ccxt.market_feed import MarketFeed
from mmd.exchanges.ccxt.markets import instrument_of, markets_of
from mmd.exchanges.ccxt.names import OrderIds
from mmd.exchanges.ccxt.orders import Orders
from mmd.exchanges.ccxt.settings import CcxtSettings
from mmd.types.instrument import Instrument
from mmd.types.orders import (
    InstrumentsLoaded,
    OutcomeUnknown,
    ReconciliationFailed,
    RequestDepthSnapshot,
    RequestReconciliation,
)


class CcxtAdapter:
    """See `ExchangeAdapter`; arguments as of the native adapters.

    Raises `AdapterError` where ccxt is not installed or does not know the exchange, or where frames are to be recorded;
    `CredentialsError` for keys that are absent.
    """

    settings_class: ClassVar[type[CcxtSettings]] = CcxtSettings

    def __init__(
        self,
        settings: CcxtSettings,
        symbols: Iterable[str],
        *,
        clock_ns: Callable[[], int],
        on_failure: FailureHandler,
        random: Random,
        reference_symbols: Iterable[str] = (),
        market_data_only: bool = False,
        on_market_frame: object = None,
        on_depth_snapshot: object = None,
    ) -> None:
        if on_market_frame is not None or on_depth_snapshot is not None:
            raise AdapterError("ccxt keeps the frames to itself, so nothing can be recorded: record through a native venue")
        self._settings = settings
        self._symbols = tuple(symbols)
        self._streamed = (*self._symbols, *reference_symbols)
        self._random = random
        self._clock_ns = clock_ns
        self._market_data_only = market_data_only
        if not market_data_only and not settings.api_key:
            raise CredentialsError(f"no key for {settings.ccxt.exchange_id}")
        self._outlet = EventOutlet(on_failure)
        self._tasks = Tasks(on_failure)
        self._surroundings = Surroundings(clock_ns, self._outlet, Complaints(clock_ns), AdapterCounters(), self._tasks)
        self._market_client = make_client(settings, self._now_ms, with_key=False)
        self._account_client = None if market_data_only else make_client(settings, self._now_ms, with_key=True)
        self._errors = importlib.import_module("ccxt")
        self._clock = VenueClock(
            self._probe,
            self._surroundings,
            probes=settings.clock_probes,
            refresh_seconds=settings.clock_refresh_seconds,
            errors=(self._errors.BaseError,),
        )
        self._capabilities = Capabilities(
            post_only=_knows_post_only(self._market_client), pushed_user_data=bool(self._market_client.has.get("watchOrders"))
        )
        self._instruments: dict[str, Instrument] = {}
        self._names: dict[str, str] = {}
        self._feeds: dict[str, MarketFeed] = {}
        self._account: AccountFeed | None = None
        self._orders: Orders | None = None
        self._reconciling = asyncio.Lock()

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
        """As ccxt describes the exchange."""
        return self._capabilities

    async def load_instruments(self) -> Mapping[str, Instrument]:
        """Read the venue's markets. Raises `AdapterError`."""
        client = self._market_client
        try:
            await client.load_markets()
        except self._errors.BaseError as error:
            raise AdapterError(f"cannot read the markets of {client.id}: {type(error).__name__}: {str(error)[:300]}") from error
        for symbol, market in markets_of(client, self._streamed).items():
            self._instruments[symbol] = instrument_of(client, symbol, market)
            self._names[symbol] = market["symbol"]
        if self._account_client is not None:
            self._account_client.set_markets(list(client.markets.values()), client.currencies)
        return self._instruments

    async def start(self, sink: EventSink) -> None:
        """Begin to connect everything. Raises `AdapterError` when the instruments cannot be had."""
        if not self._instruments:
            await self.load_instruments()
        self._outlet.open(sink)
        now_ns = self._clock_ns()
        self._outlet.batch([InstrumentsLoaded(now_ns, self._streamed)], now_ns)
        options = self._settings.ccxt
        for symbol in self._streamed:
            feed = MarketFeed(
                self._market_client,
                self._instruments[symbol],
                self._names[symbol],
                self._surroundings,
                self._backoff(),
                self._errors,
                poll_seconds=options.poll_seconds,
                depth=options.depth,
            )
            self._feeds[symbol] = feed
            self._tasks.start(feed.follow_book(), f"book of {symbol}")
            self._tasks.start(feed.follow_trades(), f"trades of {symbol}")
        self._tasks.start(self._clock.run(), "venue clock")
        if self._account_client is not None:
            self._start_account(self._account_client, options.poll_seconds)

    def send(self, command: VenueCommand) -> None:
        """Carry out one command; raises nothing but for programming errors (a command before `start`, an unknown symbol)."""
        if not self._feeds:
            raise AdapterError("send() before start()")
        if isinstance(command, RequestDepthSnapshot):
            self._feeds[command.symbol].request_snapshot()
            return
        orders, account = self._orders, self._account
        if orders is None or account is None:
            raise AdapterError(f"{type(command).__name__} to an adapter that was made for market data only")
        now_ns = self._clock_ns()
        if isinstance(command, RequestReconciliation):
            self._tasks.start(self._reconcile(account, command), "reconciliation")
        elif refused := orders.refusal(command, now_ns):
            self._outlet.soon(refused, now_ns)
        elif why_not := self._why_not_write(account):
            unknown = OutcomeUnknown(now_ns, command.symbol, command.client_order_id, f"not written: {why_not}")
            self._outlet.soon([unknown], now_ns)
        else:
            orders.start(command)

    async def open_orders_audit(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Our open orders, asked of the venue over a connection of its own. Raises `AuditError`."""
        async with self._client_of_its_own("could not be asked for our open orders") as client:
            return tuple([_venue_order(order, symbol) async for order, symbol in self._ours(client, client_order_id_prefix)])

    async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Ask for the cancel of each of them, likewise. Raises `AuditError`."""
        async with self._client_of_its_own("could not be asked to cancel our orders") as client:
            orders = [found async for found in self._ours(client, client_order_id_prefix)]
            failed: Exception | None = None
            for order, _ in orders:
                try:
                    await client.cancel_order(order["id"], order["symbol"])
                except self._errors.OrderNotFound:
                    continue
                except self._errors.BaseError as error:
                    failed = error
            if failed is not None:
                raise failed
            return tuple(_venue_order(order, symbol) for order, symbol in orders)

    @asynccontextmanager
    async def _client_of_its_own(self, what_failed: str) -> AsyncIterator[Any]:
        if self._account_client is None:
            raise AuditError("this adapter was made for market data only: it has no key to ask with")
        offset_ns = 0
        client = make_client(self._settings, lambda: milliseconds(self._clock_ns(), offset_ns), with_key=True)
        try:
            if client.has.get("fetchTime"):
                offset_ns = int(await client.fetch_time()) * 1_000_000 - self._clock_ns()
            await client.load_markets()
            yield client
        except (self._errors.BaseError, AdapterError) as error:
            raise AuditError(f"the venue {what_failed}: {str(error)[:300]}") from error
        finally:
            await client.close()

    async def _ours(self, client: Any, prefix: str) -> AsyncIterator[tuple[Any, str]]:
        for symbol, market in markets_of(client, self._symbols).items():
            for order in await client.fetch_open_orders(market["symbol"]):
                if _is_ours(order, prefix):
                    yield order, symbol

    def rehearsal(self) -> WireRehearsal | None:
        """ccxt's wire cannot be rehearsed."""
        return None

    async def close(self) -> None:
        """Close every connection and end every task."""
        self._outlet.close()
        await self._tasks.close()
        for client in (self._market_client, self._account_client):
            if client is not None:
                await client.close()

    # ---- parts

    def _start_account(self, client: Any, poll_seconds: float) -> None:
        traded = {symbol: self._instruments[symbol] for symbol in self._symbols}
        names, ids = {symbol: self._names[symbol] for symbol in self._symbols}, OrderIds()
        self._orders = Orders(
            client,
            traded,
            names,
            ids,
            self._surroundings,
            self._errors,
            post_only=self._capabilities.post_only,
            pushed=self._capabilities.pushed_user_data,
            now_ms=self._now_ms,
            on_bad_clock=self._clock.measure_soon,
        )
        self._account = AccountFeed(
            client, traded, names, ids, self._surroundings, self._backoff(), self._errors, self._clock, poll_seconds=poll_seconds
        )
        self._tasks.start(self._account.run(), "account")

    def _backoff(self) -> Backoff:
        settings = self._settings
        return Backoff(
            self._random,
            first=settings.backoff_first_seconds,
            cap=settings.backoff_cap_seconds,
            reset_after=settings.backoff_reset_seconds,
        )

    def _why_not_write(self, account: AccountFeed) -> str:
        if not account.up:
            return "order entry is down"
        in_flight = self.counters.requests_in_flight
        return f"{in_flight} requests await a reply already" if in_flight >= self._settings.max_requests_in_flight else ""

    # ---- clock

    def _now_ms(self) -> int:
        return self._clock.timestamp_ms(self._clock_ns())

    async def _probe(self) -> tuple[int, int, int]:
        sent_ns = self._clock_ns()
        if not self._market_client.has.get("fetchTime"):
            return sent_ns, sent_ns // 1_000_000, sent_ns
        venue_ms = int(await self._market_client.fetch_time())
        return sent_ns, venue_ms, self._clock_ns()

    # ---- reconciliation

    async def _reconcile(self, account: AccountFeed, command: RequestReconciliation) -> None:
        async with self._reconciling:
            requested_ns = self._clock_ns()
            await self._clock.measured.wait()
            try:
                report = await account.report(command, requested_ns)
            except (self._errors.BaseError, ValueError) as error:
                now_ns, detail = self._clock_ns(), f"{type(error).__name__}: {str(error)[:300]}"
                self._surroundings.complaints("reconciliation failed", detail=detail)
                self._outlet.batch([ReconciliationFailed(now_ns, detail)], now_ns)
                return
            self._outlet.batch([report], report.receive_ns)


def _knows_post_only(client: Any) -> bool:
    """By ccxt's table of features, or by its older flag."""
    spot = (getattr(client, "features", None) or {}).get("spot") or {}
    create = spot.get("createOrder") or {}
    return bool((create.get("timeInForce") or {}).get("PO") or client.has.get("createPostOnlyOrder") is True)


def _is_ours(order: Mapping[str, Any], prefix: str) -> bool:
    return str(order.get("clientOrderId") or "").startswith(f"{prefix}-")


def _venue_order(order: Mapping[str, Any], symbol: str) -> VenueOrder:
    return VenueOrder(
        str(order["clientOrderId"]),
        symbol,
        str(order["side"]).upper(),
        str(order.get("price") or 0),
        str(order["amount"]),
        str(order.get("filled") or 0),
    )
