"""The mock exchange without sockets: a trader on the matching engine in virtual time, event by event, with latency both ways.

A discrete-event world for simulations and for judging quoters on hours of simulated market in minutes. The trader is the one that
runs live; what differs is only who carries its commands out. Same seed, same session: everything is reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any, Protocol

import msgspec

from mmd.mock.engine import EngineEvent, MatchingEngine, OrderReport, TradePrint
from mmd.mock.engine_commands import AccountCommand, EngineCommands
from mmd.trader import Command, Trader
from mmd.types.control import Exit, PersistHalt, PersistLedger, Timer
from mmd.types.market import BatchEnd, DepthSnapshot, DepthUpdate, FeedState, FeedStatus, MarketTrade, Side, TouchUpdate
from mmd.types.orders import ClockSync, OrderChannelStatus, RequestDepthSnapshot, RequestReconciliation

TIMER_NS = 50_000_000
DEPTH_NS = 100_000_000


class Market(Protocol):
    """Whoever moves the engine's background."""

    now_ns: int

    def advance(self, until_ns: int, sink: Callable[[int, str, Sequence[EngineEvent]], None]) -> None:
        """Up to and including `until_ns`."""


class VirtualVenue:
    """One account's trader in the simulated world. Latencies in ns, each way and constant."""

    def __init__(
        self,
        engine: MatchingEngine,
        market: Market,
        account: str,
        *,
        feed_latency_ns: int = 1_000_000,
        order_latency_ns: int = 1_000_000,
    ) -> None:
        if min(feed_latency_ns, order_latency_ns) <= 0:
            raise ValueError("latencies must be above zero: nothing may be known at the moment it happens")
        self.engine = engine
        self.now_ns = market.now_ns
        self.halts: list[PersistHalt] = []
        self.checkpoint: bytes | None = None
        self.exited = False
        self.on_event: Callable[[Any], None] = _nobody
        """Called with each event just before the trader gets it."""
        self._feed_up = True
        self._market = market
        self._feed_latency_ns = feed_latency_ns
        self._order_latency_ns = order_latency_ns
        self._queue: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = 0
        self._touches: dict[str, tuple[int, ...]] = {}
        self._trader: Trader | None = None
        self._commands = EngineCommands(engine, account)

    # ---- the world's clock

    def connect(self, trader: Trader) -> None:
        """Feed and order channel come up now."""
        self._trader = trader
        now = self.now_ns
        self.deliver(ClockSync(now, 0, 0))
        self.deliver(FeedStatus(now, FeedState.CONNECTED, tuple(trader.desks)))
        self.deliver(OrderChannelStatus(now, True))
        self._later(TIMER_NS, self._timer)
        self._later(DEPTH_NS, self._depth)

    def run(self, until_ns: int) -> None:
        """Let the world go on, in steps no longer than the feed's latency, so that no reaction comes too late."""
        while self.now_ns < until_ns and not self.exited:
            step_end = min(until_ns, self.now_ns + self._feed_latency_ns)
            while self._queue and self._queue[0][0] <= step_end:
                time_ns, _, act = heappop(self._queue)
                self._market.advance(time_ns, self._on_market)
                self.now_ns = time_ns
                act(time_ns)
            self._market.advance(step_end, self._on_market)
            self.now_ns = step_end

    def deliver(self, event: msgspec.Struct) -> None:
        """Hand the trader an event now, and its commands to the venue after the order latency."""
        if self._trader is None:
            raise RuntimeError("connect a trader first")
        self.on_event(event)
        for command in self._trader.on_event(event):
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, PersistHalt):
            self.halts.append(command)
        elif isinstance(command, PersistLedger):
            self.checkpoint = command.document
        elif isinstance(command, Exit):
            self.exited = True
        elif isinstance(command, RequestDepthSnapshot):
            self._later(self._order_latency_ns, lambda now: self._snapshot(command, now))
        else:
            self._later(self._order_latency_ns, lambda now: self._account_command(command, now))

    def _account_command(self, command: AccountCommand, now: int) -> None:
        events, answers = self._commands.carry_out(command, now, now + self._feed_latency_ns)
        if events and not isinstance(command, RequestReconciliation):
            self._publish(command.symbol, events, now)
        if answers:
            self._answer(*answers)

    def _later(self, delay_ns: int, act: Callable[[int], None]) -> None:
        self._number += 1
        heappush(self._queue, (self.now_ns + delay_ns, self._number, act))

    def _timer(self, now: int) -> None:
        self.deliver(Timer(now))
        self._later(TIMER_NS, self._timer)

    # ---- market data

    def _on_market(self, time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        self.now_ns = max(self.now_ns, time_ns)
        self._publish(symbol, events, time_ns)

    def _publish(self, symbol: str, events: Sequence[EngineEvent], time_ns: int) -> None:
        batch: list[Any] = []
        receive = time_ns + self._feed_latency_ns
        for event in events:
            if isinstance(event, TradePrint):
                aggressor = Side.SELL if event.buyer_is_maker else Side.BUY
                batch.append(MarketTrade(symbol, receive, time_ns, event.trade_id, event.price_ticks, event.lots, aggressor))
            elif isinstance(event, OrderReport):
                batch.extend(self._commands.account_events(event, receive))
        touch = self.engine.touch(symbol)
        if touch[1:] != self._touches.get(symbol) and touch[1] and touch[3]:
            self._touches[symbol] = touch[1:]
            batch.append(TouchUpdate(symbol, receive, time_ns, *touch))
        if batch:
            heappush(self._queue, (receive, self._next(), lambda now: self._deliver_batch(batch, now)))

    def cut_feed(self) -> None:
        """Market data stops here and now; what was under way is lost too."""
        self._feed_up = False
        self.deliver(FeedStatus(self.now_ns, FeedState.DISCONNECTED, tuple(self.engine.instruments)))

    def restore_feed(self) -> None:
        """Market data comes again."""
        self._feed_up = True
        self.deliver(FeedStatus(self.now_ns, FeedState.CONNECTED, tuple(self.engine.instruments)))

    def _deliver_batch(self, batch: list[Any], now: int) -> None:
        for event in batch:
            if self._feed_up or not isinstance(event, TouchUpdate | DepthUpdate | MarketTrade):
                self.deliver(event)
        self.deliver(BatchEnd(now))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _depth(self, now: int) -> None:
        for symbol in self._trader.desks if self._trader else ():
            changes = self.engine.take_depth_changes(symbol)
            if changes is not None:
                receive = now + self._feed_latency_ns
                update = DepthUpdate(
                    symbol, receive, now, changes.first_update_id, changes.final_update_id, -1, changes.bids, changes.asks
                )
                self._answer(update)
        self._later(DEPTH_NS, self._depth)

    def _answer(self, *events: Any) -> None:
        """After the feed's latency."""
        self._later(self._feed_latency_ns, lambda now: self._deliver_batch(list(events), now))

    def _snapshot(self, command: RequestDepthSnapshot, now: int) -> None:
        update_id, bids, asks = self.engine.depth(command.symbol, 1000)
        self._answer(DepthSnapshot(command.symbol, now + self._feed_latency_ns, update_id, tuple(bids), tuple(asks)))


def _nobody(_event: Any) -> None:
    """No one listens."""
