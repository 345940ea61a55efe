"""Paper trading as an `ExchangeAdapter`: another adapter's market data go through; orders are matched here and never leave.

The inner adapter is made for market data alone: it has no key and no order entry. An order takes `order_latency_ms` to the queue of
the market, behind everything displayed there by then, and news of it take `response_latency_ms` back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Any

import structlog

from mmd.exchanges.adapter import (
    AdapterCounters,
    AdapterError,
    Event,
    EventSink,
    ExchangeAdapter,
    FailureHandler,
    VenueCommand,
    VenueOrder,
    WireRehearsal,
)
from mmd.exchanges.capabilities import Capabilities
from mmd.exchanges.settings import ExchangeSettings
from mmd.mock.engine_commands import AccountCommand
from mmd.paper.account import PaperAccount
from mmd.paper.settings import PaperSettings
from mmd.types.instrument import Instrument
from mmd.types.market import BatchEnd, DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, TouchUpdate
from mmd.types.orders import CancelOrder, OrderChannelStatus, OrderRejected, PlaceOrder, ReplaceOrder, RequestDepthSnapshot

log = structlog.get_logger(__name__)

CAPABILITIES = Capabilities(remote_orders=False)
MARKET_UNKNOWN = "paper: the market is not known at the moment (its book is being fetched)"
MAX_UNDER_WAY = 10_000
FOLDER = "paper-account"
_HOUSEKEEPING_SECONDS = 0.25
_NS_PER_SECOND = 1_000_000_000

Act = Callable[[int], None]


class PaperAdapter:
    """See `ExchangeAdapter`. `market` makes the inner adapter, which it is told to make for market data only.

    The account is kept in a folder of `state_dir`. Everything else as for other adapters. Raises `AdapterError` for derivatives:
    the paper account is a spot account.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        symbols: Iterable[str],
        *,
        market: Callable[..., ExchangeAdapter],
        paper: PaperSettings,
        state_dir: Path,
        clock_ns: Callable[[], int],
        on_failure: FailureHandler,
        random: Random,
        reference_symbols: Iterable[str] = (),
        **taps: Any,
    ) -> None:
        self._symbols = tuple(symbols)
        self._paper = paper
        self._directory = state_dir / FOLDER
        self._clock_ns = clock_ns
        self._on_failure = on_failure
        self._inner = market(
            settings,
            self._symbols,
            clock_ns=clock_ns,
            on_failure=on_failure,
            random=random,
            reference_symbols=reference_symbols,
            market_data_only=True,
            **taps,
        )
        if self._inner.capabilities.short_positions:
            raise AdapterError("paper trading keeps a spot account, and this venue trades derivatives: set venue to a spot one")
        self._order_latency = paper.order_latency_ms / 1_000
        self._response_latency = paper.response_latency_ms / 1_000
        self._account: PaperAccount | None = None
        self._sink: EventSink | None = None
        self._under_way: list[tuple[float, int, Act]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None
        self._snapshots_for_core: set[str] = set()
        self._housekeeping: asyncio.Task[None] | None = None
        self._open = False
        self._up = False

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """The venue's."""
        return self._inner.instruments

    @property
    def counters(self) -> AdapterCounters:
        """Of the market data connections."""
        return self._inner.counters

    @property
    def capabilities(self) -> Capabilities:
        """Orders that never leave this process."""
        return CAPABILITIES

    async def load_instruments(self) -> Mapping[str, Instrument]:
        """Read the venue's filters. Raises `AdapterError`."""
        return await self._inner.load_instruments()

    async def start(self, sink: EventSink) -> None:
        """Bring the account back and begin to read the market. Raises `AdapterError`."""
        if not self.instruments:
            await self.load_instruments()
        traded = {symbol: self.instruments[symbol] for symbol in self._symbols}
        self._account = PaperAccount(self._paper, traded, self._directory, self._clock_ns())
        self._sink = sink
        self._open = True
        self._housekeeping = asyncio.get_running_loop().create_task(self._keep(self._account), name="paper account")
        log.warning("paper trading: nothing is sent, orders are matched here", account=str(self._directory))
        await self._inner.start(self._on_event)

    def send(self, command: VenueCommand) -> None:
        """Carry out one command once it has travelled; its outcome is told once that has travelled back."""
        if self._account is None:
            raise AdapterError("send() before start()")
        if isinstance(command, RequestDepthSnapshot):
            self._snapshots_for_core.add(command.symbol)
            self._inner.send(command)
        elif len(self._under_way) >= MAX_UNDER_WAY:
            raise AdapterError(
                f"{MAX_UNDER_WAY} orders and answers of the paper account are under way: the process does not keep up"
            )
        else:
            self._later(self._order_latency, lambda now_ns: self._arrive(command, now_ns))

    async def open_orders_audit(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Of the account; none before it was opened, since orders do not survive a restart."""
        return () if self._account is None else self._account.open_orders(self._symbols, client_order_id_prefix)

    async def cancel_ours(self, client_order_id_prefix: str) -> tuple[VenueOrder, ...]:
        """Of the account, which lives in this process and ends with it."""
        orders = await self.open_orders_audit(client_order_id_prefix)
        for order in orders:
            self._arrive(CancelOrder(self._clock_ns(), order.client_order_id, order.symbol), self._clock_ns())
        return orders

    def rehearsal(self) -> WireRehearsal | None:
        """The venue's wire: its frames come here too, and its requests are encoded for the exercise only."""
        return self._inner.rehearsal()

    async def close(self) -> None:
        """End everything; the account is on disk then."""
        if not self._open:
            await self._inner.close()
            return
        self._open = False
        self._sink = None
        if self._timer is not None:
            self._timer.cancel()
        await self._inner.close()
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        if self._account is not None:
            self._account.close()

    # ---- the market

    def _on_event(self, event: Event) -> None:
        """One event of the inner adapter: orders that have arrived by now come before it, then the market, then the core."""
        account = self._account
        assert account is not None
        self._run_due()
        now_ns = self._clock_ns()
        if isinstance(event, TouchUpdate | DepthUpdate | MarketTrade | DepthSnapshot):
            wanted = self._to_market(account, event, now_ns)
            news = account.take_events(now_ns)
            if news:
                self._tell_later(news)
            if not wanted:
                return
        elif isinstance(event, FeedStatus):
            self._on_feed(account, event)
        elif isinstance(event, BatchEnd):
            self._ask_for_snapshots(account, now_ns)
        self._deliver(event)

    def _to_market(
        self, account: PaperAccount, event: TouchUpdate | DepthUpdate | MarketTrade | DepthSnapshot, now_ns: int
    ) -> bool:
        """Feed the engine. Returns whether the core is to hear of it too: of a snapshot only if it asked for one."""
        market = account.markets.get(event.symbol)
        if isinstance(event, DepthSnapshot):
            if market is not None and market.on_depth_snapshot(event, now_ns):
                self._look_whether_up(account, now_ns)
            wanted = event.symbol in self._snapshots_for_core
            self._snapshots_for_core.discard(event.symbol)
            return wanted
        if market is not None:
            account.clear_depth_changes()
            if isinstance(event, DepthUpdate):
                market.on_depth_update(event, now_ns)
            elif isinstance(event, TouchUpdate):
                market.on_touch_update(event, now_ns)
            else:
                market.on_trade(event, now_ns)
        return True

    def _on_feed(self, account: PaperAccount, event: FeedStatus) -> None:
        for symbol in event.symbols:
            market = account.markets.get(symbol)
            if market is not None and event.state is FeedState.CONNECTED:
                market.on_connected()
            elif market is not None:
                market.on_lost()

    def _ask_for_snapshots(self, account: PaperAccount, now_ns: int) -> None:
        for symbol, market in account.markets.items():
            if market.due(now_ns):
                self._inner.send(RequestDepthSnapshot(now_ns, symbol))

    def _look_whether_up(self, account: PaperAccount, now_ns: int) -> None:
        """Orders can be sent once every market is known for the first time."""
        if not self._up and all(market.synced for market in account.markets.values()):
            self._up = True
            self._deliver(OrderChannelStatus(now_ns, True))

    # ---- orders under way

    def _arrive(self, command: AccountCommand, now_ns: int) -> None:
        account = self._account
        assert account is not None
        receive_ns = now_ns + round(self._response_latency * _NS_PER_SECOND)
        if isinstance(command, PlaceOrder | ReplaceOrder) and not account.markets[command.symbol].synced:
            # What such an order would meet is not known. The cancel of a replacement passes all the same.
            events: list[Event] = []
            if isinstance(command, ReplaceOrder):
                cancel = CancelOrder(command.decided_ns, command.cancel_client_order_id, command.symbol)
                events += account.carry_out(cancel, now_ns, receive_ns)
            events.append(OrderRejected(receive_ns, command.symbol, command.client_order_id, 0, MARKET_UNKNOWN))
            self._tell_later(events)
        else:
            self._tell_later(account.carry_out(command, now_ns, receive_ns))

    def _tell_later(self, events: Sequence[Event]) -> None:
        self._later(self._response_latency, lambda now_ns: self._tell(events, now_ns))

    def _tell(self, events: Sequence[Event], now_ns: int) -> None:
        for event in events:
            self._deliver(event)
        self._deliver(BatchEnd(now_ns))

    def _later(self, delay: float, act: Act) -> None:
        loop = asyncio.get_running_loop()
        self._number += 1
        heappush(self._under_way, (loop.time() + delay, self._number, act))
        self._set_timer(loop)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._under_way[0][0], self._run_due) if self._under_way and self._open else None

    def _run_due(self) -> None:
        """Do what is due by now, in order."""
        loop = asyncio.get_running_loop()
        ran = False
        while self._open and self._under_way and self._under_way[0][0] <= loop.time():
            _, _, act = heappop(self._under_way)
            act(self._clock_ns())
            ran = True
        if ran:
            self._set_timer(loop)

    def _deliver(self, event: Event) -> None:
        if self._sink is None:
            return
        try:
            self._sink(event)
        except Exception as error:  # noqa: BLE001 (reported: the daemon halts on it)
            self._on_failure(error, f"the core, on {type(event).__name__}")

    async def _keep(self, account: PaperAccount) -> None:
        try:
            while True:
                await asyncio.sleep(_HOUSEKEEPING_SECONDS)
                self._ask_for_snapshots(account, self._clock_ns())
                await account.checkpoint_if_due()
        except Exception as error:  # noqa: BLE001 (reported: the daemon halts on it)
            self._on_failure(error, "the paper account's files")
