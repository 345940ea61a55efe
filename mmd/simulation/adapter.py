"""The adapter of the simulation: what sockets, the event loop and the venue's adapter do, in virtual time and without them.

It speaks to the core exactly as an adapter does: market frames are bytes that the venue's decoder reads, each request is remembered
until it is answered or given up, a lost line makes everything on it unknown before the channel is reported down, reconciliations
are gathered one part after the other. What befalls frames and requests on their way is asked of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from mmd.exchanges.adapter import OrderCommand, VenueCommand
from mmd.exchanges.binance.decode import FrameDecoder, MalformedFrame
from mmd.exchanges.binance.replies import outcome_unknown
from mmd.mock.engine_commands import fill_of, order_update
from mmd.mock.faults.corruption import Corruption, corrupt
from mmd.simulation.exchange import ACCOUNT, BAD_TIMESTAMP, SimulatedExchange
from mmd.simulation.network import Line, Network
from mmd.simulation.story import MS, NS
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, FeedState, FeedStatus
from mmd.types.orders import (
    ClockSync,
    OrderBudgetReport,
    OrderChannelStatus,
    OrderRejected,
    PlaceOrder,
    RateLimited,
    ReconciliationFailed,
    ReconciliationReport,
    ReplaceOrder,
    RequestDepthSnapshot,
    RequestReconciliation,
)

CLOCK_EVERY_NS = 2 * NS
CLOCK_ERROR_MS = 2
RETRY_NS = 200 * MS
BUDGET_EVERY = 4
CORRUPTIONS = Corruption.detectable()


class Process(Protocol):
    """Who listens."""

    def deliver(self, *events: Any) -> None:
        """Events, and the end of their batch."""

    def clock_ns(self) -> int:
        """The machine's clock."""


class Travelling(msgspec.Struct, eq=False):
    """A request on its way to the exchange: it may still be carried out."""

    command: OrderCommand
    stamp_ms: int
    number: int
    line: Line


class SimulatedAdapter:
    """One process's way to the exchange. Once `close`d nothing of it speaks any more; what is on its way may still arrive."""

    def __init__(self, network: Network, exchange: SimulatedExchange, process: Process) -> None:
        self._network = network
        self._exchange = exchange
        self._process = process
        self._decoder = FrameDecoder(exchange.instruments)
        self._closed = False
        self._feed: Line | None = None
        self._orders: Line | None = None
        self._offset_ns = 0
        self._sequence = 0
        self._waiting: dict[int, Travelling] = {}
        self._overdue: dict[int, Travelling] = {}
        self._snapshots: set[str] = set()
        self._reconciling = False
        self._next_reconciliation: RequestReconciliation | None = None

    @property
    def instruments(self) -> dict[str, Instrument]:
        """By symbol."""
        return dict(self._exchange.instruments)

    @property
    def requests_remembered(self) -> int:
        """Unanswered and overdue ones."""
        return len(self._waiting) + len(self._overdue)

    # ---- coming and going

    def start(self) -> None:
        """Measure the clock, then connect."""
        self._later(2 * self._network.order_latency_ns, self._measure_clock, True)
        self._later(self._network.feed_latency_ns, self._connect_feed)

    def close(self) -> None:
        """The process is gone."""
        self._closed = True
        for line in (self._feed, self._orders):
            if line is not None:
                line.is_open = False
        self._feed = self._orders = None

    def _later(self, delay_ns: int, act: Callable[..., None], *arguments: Any) -> None:
        def unless_closed() -> None:
            if not self._closed:
                act(*arguments)

        self._network.later(delay_ns, unless_closed)

    def _tell(self, *events: Any) -> None:
        """Deliver events that were made without a receive time."""
        now_ns = self._process.clock_ns()
        self._process.deliver(*(msgspec.structs.replace(event, receive_ns=now_ns) for event in events))

    # ---- market data

    def _connect_feed(self) -> None:
        if self._exchange.is_down:
            self._later(self._network.backoff_ns(), self._connect_feed)
            return
        self._feed = Line(self._exchange.life)
        self._tell(FeedStatus(0, FeedState.CONNECTED, self._exchange.symbols))

    def cut_feed(self, detail: str) -> None:
        """The connection of the market data breaks; what is on its way is lost."""
        if self._feed is not None:
            self._feed.is_open = False
            self._feed = None
            self._later(self._network.backoff_ns(), self._connect_feed)
            self._tell(FeedStatus(0, FeedState.DISCONNECTED, self._exchange.symbols, detail))

    def publish_market(self, frames: Sequence[bytes]) -> None:
        """The exchange sends these in one go."""
        line = self._feed
        if line is None:
            return
        for due_ns, together in self._network.market_fates(line, frames):
            self._network.at(due_ns, partial(self._market_arrives, line, together))

    def _market_arrives(self, line: Line, frames: Sequence[bytes]) -> None:
        if not line.is_open:
            return
        receive_ns = self._process.clock_ns()
        events: list[Any] = []
        for frame in frames:
            try:
                event = self._decoder.decode(frame, receive_ns)
            except MalformedFrame:
                self._process.deliver(*events)
                self.cut_feed("malformed message")
                return
            if event is not None:
                events.append(event)
        if events:
            self._process.deliver(*events)

    def damaged(self, frame: bytes) -> bytes:
        """As it comes out of a bad line."""
        random = self._network.random
        return corrupt(frame, random.choice(CORRUPTIONS), random)

    # ---- the order line

    def _connect_orders(self) -> None:
        if self._exchange.is_down or self._network.is_on("ban"):
            self._later(self._network.backoff_ns(), self._connect_orders)
            return
        self._orders = Line(self._exchange.life)
        self._tell(OrderChannelStatus(0, True))

    def cut_orders(self, detail: str) -> None:
        """The connection breaks: everything on it is unknown, then the channel is down."""
        line = self._orders
        if line is None:
            return
        line.is_open = False
        self._orders = None
        self._later(self._network.backoff_ns(), self._connect_orders)
        unknown: list[Any] = []
        for number in [number for number, request in self._waiting.items() if request.line is line]:
            unknown += outcome_unknown(self._waiting.pop(number).command, 0, f"connection lost: {detail}")
        if unknown:
            self._tell(*unknown)
        self._tell_if_alive(OrderChannelStatus(0, False, detail))

    def _tell_if_alive(self, *events: Any) -> None:
        if not self._closed:
            self._tell(*events)

    def send(self, command: VenueCommand) -> None:
        """As an adapter's: never blocks, never raises; the outcome comes later."""
        if isinstance(command, RequestDepthSnapshot):
            if command.symbol not in self._snapshots:
                self._snapshots.add(command.symbol)
                self._ask_for_snapshot(command.symbol)
        elif isinstance(command, RequestReconciliation):
            if self._reconciling:
                self._next_reconciliation = command
            else:
                self._reconcile(command)
        else:
            self._send_order(command)

    def _send_order(self, command: OrderCommand) -> None:
        line = self._orders
        if line is None:
            self._later(0, self._tell, *outcome_unknown(command, 0, "not written: order entry is down"))
            return
        self._sequence += 1
        request = Travelling(command, (command.decided_ns + self._offset_ns) // MS, self._sequence, line)
        self._waiting[request.number] = request
        self._later(self._network.request_timeout_ns, self._give_up, request)
        self._network.request(request, lambda: self._arrives(request))

    def _give_up(self, request: Travelling) -> None:
        if self._waiting.pop(request.number, None) is not None:
            self._overdue[request.number] = request
            self._tell(*outcome_unknown(request.command, 0, "no reply in time"))

    def _arrives(self, request: Travelling, *, again: bool = False) -> None:
        """At the exchange, whatever became of who sent it. `again`: it was set aside there, and answered already."""
        network, exchange, command = self._network, self._exchange, request.command
        if exchange.is_down or request.line.life != exchange.life:
            return
        answers: list[Any]
        if network.strike("ban"):
            answers = exchange.refusal(command, 418, -1003, "Way too much request weight used; IP banned.", request.stamp_ms)
            answers.append(RateLimited(0, self._process.clock_ns() + network.ends_in_ns("ban"), "418"))
        elif network.strike("refuse_orders") and isinstance(command, PlaceOrder | ReplaceOrder):
            answers = exchange.refusal(
                command, 400, -2010, "Account has insufficient balance for requested action.", request.stamp_ms
            )
        elif not again and network.strike("late_execution"):
            answers = list(outcome_unknown(command, 0, "503 -1000 An unknown error occurred"))
            network.carry_out_later(request, lambda: self._arrives(request, again=True))
        else:
            failed = network.strike("server_errors")
            answers = []
            if not failed or network.random.random() < 0.5:
                events, answers = exchange.carry_out(command, request.stamp_ms, network.now_ns)
                network.published(command.symbol, events)
                if isinstance(command, PlaceOrder | ReplaceOrder) and request.number % BUDGET_EVERY == 0:
                    answers.append(self._budget())
            if failed:
                answers = list(outcome_unknown(command, 0, "503 -1000 An unknown error occurred"))
        if not again:
            network.reply(request.line, lambda: self._replied(request, answers))

    def _budget(self) -> OrderBudgetReport:
        used = self._exchange.orders_counted(self._network.now_ns)
        return OrderBudgetReport(0, used, self._network.orders_per_10s, 10 * NS)

    def _replied(self, request: Travelling, answers: Sequence[Any]) -> None:
        if self._closed or not request.line.is_open:
            return
        if self._waiting.pop(request.number, None) is None and self._overdue.pop(request.number, None) is None:
            return
        if any(isinstance(answer, OrderRejected) and answer.code == BAD_TIMESTAMP for answer in answers):
            self._later(0, self._measure_clock)
        self._tell(*answers)

    def publish_user(self, events: Sequence[Any]) -> None:
        """One event of the user stream, as the core hears it: an execution report is a fill and an update."""
        line = self._orders
        if line is None:
            return
        for due_ns in self._network.user_fates(line):
            self._network.at(due_ns, lambda: self._user_event_arrives(line, events))

    def _user_event_arrives(self, line: Line, events: Sequence[Any]) -> None:
        if line.is_open and not self._closed:
            self._tell(*events)

    # ---- REST

    def _measure_clock(self, first: bool = False) -> None:
        network = self._network
        if self._rest_fails():
            self._later(RETRY_NS, self._measure_clock, first)
            return
        error_ns = network.random.randrange(-CLOCK_ERROR_MS * MS, CLOCK_ERROR_MS * MS)
        self._offset_ns = self._exchange.clock_ns(network.now_ns) - self._process.clock_ns() + error_ns
        self._tell(ClockSync(0, self._offset_ns, CLOCK_ERROR_MS * MS))
        self._later(CLOCK_EVERY_NS, self._measure_clock)
        if first:
            self._later(network.order_latency_ns, self._connect_orders)

    def _rest_fails(self) -> bool:
        return self._exchange.is_down or self._network.strike("rest_down") or self._network.strike("ban")

    def _ask_for_snapshot(self, symbol: str) -> None:
        if self._rest_fails():
            self._later(RETRY_NS, self._ask_for_snapshot, symbol)
            return
        self._later(self._network.rest_delay_ns(), self._take_snapshot, symbol)

    def _take_snapshot(self, symbol: str) -> None:
        if self._exchange.is_down:
            self._later(RETRY_NS, self._ask_for_snapshot, symbol)
            return
        update_id, bids, asks = self._exchange.depth(symbol)
        self._exchange.note_book(symbol)
        life = self._exchange.life
        self._later(
            self._network.rest_delay_ns(),
            self._snapshot_arrives,
            life,
            DepthSnapshot(symbol, 0, update_id, tuple(bids), tuple(asks)),
        )

    def _snapshot_arrives(self, life: int, snapshot: DepthSnapshot) -> None:
        if life != self._exchange.life:
            # A connection to the exchange that was is broken.
            self._ask_for_snapshot(snapshot.symbol)
            return
        self._snapshots.discard(snapshot.symbol)
        self._tell(snapshot)

    def _reconcile(self, command: RequestReconciliation) -> None:
        """Balances, orders and trades are asked for at once, and answered at three different moments."""
        self._reconciling = True
        found: dict[str, tuple[Any, ...]] = {}
        requested_ns = self._process.clock_ns()
        for part in ("balances", "orders", "trades"):
            self._later(self._network.rest_delay_ns(), self._gather, command, requested_ns, part, found)

    def _gather(self, command: RequestReconciliation, requested_ns: int, part: str, found: dict[str, tuple[Any, ...]]) -> None:
        if "failed" in found:
            return
        if self._rest_fails():
            found["failed"] = ()
            self._later(self._network.rest_delay_ns(), self._finish, ReconciliationFailed(0, "503"))
            return
        engine = self._exchange.engine
        symbols = dict(command.after_trade_ids)
        if part == "balances":
            found[part] = tuple(engine.balances(ACCOUNT))
        elif part == "orders":
            found[part] = tuple(order_update(order, 0) for symbol in symbols for order in engine.open_orders(ACCOUNT, symbol))
        else:
            trades = [trade for symbol, last in symbols.items() for trade in engine.trades(ACCOUNT, symbol, from_id=last + 1)]
            found[part] = tuple(fill_of(trade, self._process.clock_ns()) for trade in trades)
        if len(found) == 3:
            report = ReconciliationReport(0, requested_ns, found["balances"], found["orders"], found["trades"])
            self._later(self._network.rest_delay_ns(), self._finish, report)

    def _finish(self, answer: ReconciliationReport | ReconciliationFailed) -> None:
        self._reconciling = False
        self._tell(answer)
        waiting, self._next_reconciliation = self._next_reconciliation, None
        if waiting is not None and not self._closed and not self._reconciling:
            self._reconcile(waiting)
