"""The witness: sees what the process hears and sends, knows what is true at the exchange, and holds one against the other.

It keeps books of its own, from events and from the exchange, and asks the core only what the core believes: whether its book is
valid, what its ledger holds, which orders it watches.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from mmd.exchanges.adapter import VenueCommand
from mmd.execution.client_order_ids import ClientOrderIds
from mmd.execution.ledger import balance_changes
from mmd.execution.order_state import OrderState
from mmd.risk.limits import limit_atoms
from mmd.simulation.exchange import EARLIER_NS, SimulatedExchange
from mmd.simulation.invariants import Violation, require
from mmd.simulation.market_audit import MarketAudit
from mmd.simulation.network import Network
from mmd.simulation.process import SimulatedProcess
from mmd.simulation.settings import PREFIX, TERMINAL_ORDERS_KEPT
from mmd.simulation.story import NS
from mmd.types.control import HaltRecord, HaltRequest, ResumeRequest, Shutdown, Timer
from mmd.types.market import DepthSnapshot, DepthUpdate, FeedStatus, MarketTrade, Side, TouchUpdate
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    ExternalBalanceChange,
    Fill,
    OrderChannelStatus,
    PlaceOrder,
    QueryOrder,
    RateLimited,
    ReconciliationReport,
    ReplaceOrder,
)

ROUNDING_ATOMS = 10_000
"""What rounding each fill's fee may add up to."""
REQUESTS_BOUND = 400


class Auditor:
    """One story's. Raises `Violation`."""

    def __init__(self, network: Network, exchange: SimulatedExchange) -> None:
        self._network = network
        self._exchange = exchange
        self._names = ClientOrderIds(PREFIX, "audit")
        self._used_ids: set[str] = set()
        self._sent_ns: deque[int] = deque()
        self._latch_on_disk: HaltRecord | None = None
        self._halted = self._halted_from_outside = False
        self._delivered: dict[tuple[str, int, int], Fill] = {}
        self._position_atoms: dict[str, int] = dict.fromkeys(exchange.symbols, 0)
        self._cash_atoms: dict[str, int] = dict.fromkeys(exchange.symbols, 0)
        self._peak_atoms = 0
        self._process: SimulatedProcess
        self._market: MarketAudit
        self.checks = 0
        self.ever_halted = False

    # ---- the process comes

    def started(self, process: SimulatedProcess) -> None:
        """A new run: what it must know of earlier ones is what lies on the disk."""
        # What the disk would not take, an exchange that has lost its state cannot give back.
        self._comparable = not self._exchange.reset_count
        self._process = process
        self._market = MarketAudit(self._exchange, process)
        self._leaving = False
        self._channel_up = self._reconciled = self._compared = False
        self._limited_until_ns = 0
        """End of a ban on the process's clock; 0 once that has been reached, whatever the clock does afterwards."""
        self._halted = self._latch_on_disk is not None and self._latch_on_disk.halted
        limits = process.config.risk
        self._max_position_atoms = limit_atoms(limits.max_position_notional)
        self._max_gross_atoms = limit_atoms(limits.max_gross_exposure_notional)
        require(
            process.trader.safeguards.latch.halted >= self._halted, "halt", "it starts as if the latch on the disk were not there"
        )

    def latch_written(self, record: HaltRecord) -> None:
        """The latch is on the disk: whoever wrote it, nothing may be sent from here on."""
        self._latch_on_disk = record
        self._halted_from_outside = record.halted and record.actor == "guard"

    def resume_asked(self) -> None:
        """From here on it may trade again."""
        self._halted = self._halted_from_outside = False

    # ---- what it hears

    def before_event(self, event: Any) -> None:
        """Take note of what the process is about to know."""
        kind = type(event)
        if self._process.clock_ns() >= self._limited_until_ns:
            self._limited_until_ns = 0
        if kind in (TouchUpdate, DepthUpdate, MarketTrade, FeedStatus, DepthSnapshot):
            self._market.before(event)
        elif kind is Fill:
            self._deliver(event)
        elif kind is OrderChannelStatus:
            self._channel_up = event.connected
            self._reconciled = False
        elif kind is ReconciliationReport:
            for trade in event.trades:
                self._deliver(trade)
            self._reconciled = self._channel_up
            self._compared = True
        elif kind is ExternalBalanceChange:
            self._reconciled = False
        elif kind is RateLimited:
            if event.until_ns > self._process.clock_ns():
                self._limited_until_ns = max(self._limited_until_ns, event.until_ns)
        elif kind is HaltRequest:
            self._halted = True
        elif kind is Shutdown:
            self._leaving = True

    def after_event(self, event: Any) -> None:
        """What it believes now, against what is true."""
        self.checks += 1
        process = self._process
        if process.dispatcher.failure:
            raise Violation("core", process.dispatcher.failure)
        latch = process.trader.safeguards.latch
        if latch.halted:
            self._halted = self.ever_halted = True
        elif self._halted and type(event) is not ResumeRequest:
            raise Violation("halt", "it was halted, nobody resumed it, and it is not halted any more")
        kind = type(event)
        if kind in (TouchUpdate, DepthUpdate, DepthSnapshot):
            self._market.after(event)
        elif kind is Fill or kind is ReconciliationReport:
            self._compare_ledgers()
        elif kind is Timer:
            self._on_timer()

    def _deliver(self, fill: Fill) -> None:
        key = (fill.symbol, fill.trade_id, fill.exchange_ns)
        earlier = fill.exchange_ns < self._exchange.opened_ns - EARLIER_NS // 2
        stranger = fill.client_order_id in self._exchange.strangers
        if earlier or stranger or key in self._delivered or fill.symbol not in self._position_atoms:
            return
        self._delivered[key] = fill
        instrument = self._exchange.instruments[fill.symbol]
        for asset, change in balance_changes(fill, instrument).items():
            if asset == instrument.base_asset:
                self._position_atoms[fill.symbol] += change
            else:
                self._cash_atoms[fill.symbol] += change

    def _compare_ledgers(self) -> None:
        for symbol, desk in self._process.trader.desks.items():
            ledger = desk.ledger
            if ledger.volume_atoms > self._exchange.true_volume_atoms[symbol]:
                raise Violation(
                    "ledger", f"{symbol}: booked for {ledger.volume_atoms}, traded for {self._exchange.true_volume_atoms[symbol]}"
                )
            if self._comparable and self._reconciled and ledger.position_atoms != self._position_atoms[symbol]:
                raise Violation(
                    "ledger",
                    f"{symbol}: the ledger says {ledger.position_atoms}, the fills that were heard of add up to "
                    f"{self._position_atoms[symbol]}",
                )

    # ---- time

    def _on_timer(self) -> None:
        process = self._process
        now_ns = process.clock_ns()
        for symbol, desk in process.trader.desks.items():
            why = self._why_nothing_may_stand(symbol, now_ns)
            if why and process.trader.orders.channel_up:
                for order in process.trader.tracker.working(symbol):
                    if not order.wants_cancel:
                        raise Violation("standing", f"{order!r} is not being cancelled although {why}")
            if desk.ledger.position_atoms and self._reconciled and desk.ledger.position_atoms != self._position_atoms[symbol]:
                self._compare_ledgers()
        self._check_loss()
        self._check_bounds()

    def _why_nothing_may_stand(self, symbol: str, now_ns: int) -> str:
        if self._halted:
            return "it is halted"
        if self._leaving:
            return "it is leaving"
        if not self._reconciled:
            return "ledgers have not been compared since it connected"
        return self._market.why_no_quote(symbol, now_ns)

    def _check_loss(self) -> None:
        """Only where the core can mark too: every book valid, and nothing to be caught up on."""
        desks = self._process.trader.desks
        if self._halted or not self._reconciled or not all(desk.book.valid for desk in desks.values()):
            return
        pnl = 0
        for symbol, desk in desks.items():
            position, instrument = self._position_atoms[symbol], desk.instrument
            mark = desk.book.bid_ticks if position > 0 else desk.book.ask_ticks
            pnl += self._cash_atoms[symbol] + position * mark * instrument.notional_atoms // instrument.lot_atoms
        self._peak_atoms = max(self._peak_atoms, pnl)
        limits = self._process.config.risk
        if -pnl >= limit_atoms(limits.max_daily_loss) + ROUNDING_ATOMS:
            raise Violation("loss", f"{-pnl} atoms are lost, the limit is {limits.max_daily_loss}, and it is not halted")
        if self._peak_atoms - pnl >= limit_atoms(limits.max_drawdown) + ROUNDING_ATOMS:
            raise Violation(
                "loss", f"{self._peak_atoms - pnl} atoms below the peak, the limit is {limits.max_drawdown}, not halted"
            )

    def _check_bounds(self) -> None:
        process = self._process
        tracker = process.trader.tracker
        finished = sum(order.is_terminal and not order.at_risk_lots for order in tracker.every_order())
        require(finished <= TERMINAL_ORDERS_KEPT, "bounds", f"{finished} finished orders are remembered")
        require(process.adapter.requests_remembered <= REQUESTS_BOUND, "bounds", "requests without an answer pile up")

    # ---- what it sends

    def on_send(self, command: VenueCommand) -> None:
        """Before it leaves."""
        if isinstance(command, PlaceOrder | ReplaceOrder | AmendOrder):
            self._check_identity(command)
        if isinstance(command, CancelOrder | AmendOrder | QueryOrder):
            self._check_stranger(command.client_order_id)
        if isinstance(command, ReplaceOrder):
            self._check_stranger(command.cancel_client_order_id)
        if isinstance(command, PlaceOrder | ReplaceOrder):
            self._check_rising(command)

    def _check_identity(self, command: PlaceOrder | ReplaceOrder | AmendOrder) -> None:
        name = command.new_client_order_id if isinstance(command, AmendOrder) else command.client_order_id
        require(name not in self._used_ids, "identity", f"{name} was used before")
        require(self._names.is_ours(name), "identity", f"{name} cannot be told from others' ids")
        self._used_ids.add(name)

    def _check_stranger(self, name: str) -> None:
        require(name not in self._exchange.strangers, "strangers", f"{name} is not ours to touch")

    def _check_rising(self, command: PlaceOrder | ReplaceOrder) -> None:
        now_ns = self._process.clock_ns()
        symbol = command.symbol
        require(not self._halted, "halt", f"{command} while halted")
        require(not self._halted_from_outside, "halt", f"{command} though the guard has latched")
        require(not self._leaving, "halt", f"{command} while leaving")
        require(self._channel_up, "pause", f"{command} on an order line that is down")
        require(self._reconciled, "pause", f"{command} before ledgers were compared")
        require(not self._limited_until_ns, "pause", f"{command} during a ban")
        why = self._market.why_no_quote(symbol, now_ns)
        if why:
            raise Violation("book", f"{command} although {why}")
        self._check_order(command)
        self._check_rate(command)
        self._check_exposure(command)

    def _check_order(self, command: PlaceOrder | ReplaceOrder) -> None:
        limits, desk = self._process.config.risk, self._process.trader.desks[command.symbol]
        instrument = desk.instrument
        notional = command.price_ticks * command.lots * instrument.notional_atoms
        require(notional <= limit_atoms(limits.max_order_notional), "order", f"{command} is larger than max_order_notional")
        require(
            instrument.min_lots <= command.lots <= instrument.max_lots and notional >= instrument.min_notional_atoms,
            "order",
            f"{command} does not pass the venue's filters",
        )
        mid = (desk.book.bid_ticks + desk.book.ask_ticks) / 2
        distance = abs(command.price_ticks - mid) / mid * 10_000
        require(distance <= limits.price_collar_bps * 1.0001, "order", f"{command} is {distance:.1f} bps from the mid")
        for order in [*self._exchange.ours(command.symbol), *self._on_their_way(command.symbol)]:
            if order.side is command.side.opposite and (command.price_ticks - order.price_ticks) * command.side.sign >= 0:
                raise Violation("order", f"{command} meets our own {order.client_order_id} at {order.price_ticks}")
        self._check_own(command)

    def _check_own(self, command: PlaceOrder | ReplaceOrder) -> None:
        """What may be alive for all the process knows counts as alive, wherever it truly is."""
        for order in self._process.trader.tracker.every_order():
            if order.state.is_terminal or order.symbol != command.symbol or order.side is command.side:
                continue
            if (command.price_ticks - order.price_ticks) * command.side.sign >= 0:
                raise Violation("order", f"{command} meets {order!r}, which is not surely dead")

    def _check_rate(self, command: PlaceOrder | ReplaceOrder) -> None:
        limits, now_ns = self._process.config.risk, self._process.clock_ns()
        sent = self._sent_ns
        while sent and sent[0] <= now_ns - 10 * NS:
            sent.popleft()
        sent.append(now_ns)
        require(len(sent) <= limits.max_orders_per_10s, "rate", f"{command} is the {len(sent)}th within 10 s")
        count = len(self._exchange.ours()) + len(self._on_their_way()) + 1
        require(count <= limits.max_open_orders, "rate", f"{command} makes {count} open at once")

    def _check_exposure(self, command: PlaceOrder | ReplaceOrder) -> None:
        symbol, side = command.symbol, command.side
        desk = self._process.trader.desks[symbol]
        instrument, book = desk.instrument, desk.book
        price_x2 = max(2 * command.price_ticks, book.bid_ticks + book.ask_ticks)
        position = self._exchange.position_atoms(symbol)
        at_risk = {each: self._at_risk_atoms(symbol, each) for each in Side}
        before = max(abs(position + at_risk[Side.BUY]), abs(at_risk[Side.SELL] - position))
        at_risk[side] += command.lots * instrument.lot_atoms
        worst = position * side.sign + at_risk[side]
        value = worst * price_x2 * instrument.notional_atoms // (2 * instrument.lot_atoms)
        if value > self._max_position_atoms + ROUNDING_ATOMS:
            raise Violation("exposure", f"{command}: worst case {value} atoms, the limit is {self._max_position_atoms}")
        after = max(abs(position + at_risk[Side.BUY]), abs(at_risk[Side.SELL] - position))
        if after <= before:
            return
        gross = after * price_x2 * instrument.notional_atoms // (2 * instrument.lot_atoms)
        for other, its_desk in self._process.trader.desks.items():
            if other != symbol:
                gross += self._worst_value(other, its_desk)
        if gross > self._max_gross_atoms + ROUNDING_ATOMS:
            raise Violation("gross", f"{command}: worst case of all symbols {gross} atoms, the limit is {self._max_gross_atoms}")

    def _worst_value(self, symbol: str, desk: Any) -> int:
        position = self._exchange.position_atoms(symbol)
        worst = max(abs(position + self._at_risk_atoms(symbol, Side.BUY)), abs(self._at_risk_atoms(symbol, Side.SELL) - position))
        mid_x2 = desk.book.bid_ticks + desk.book.ask_ticks
        return max(0, int(worst * mid_x2 * desk.instrument.notional_atoms // (2 * desk.instrument.lot_atoms)))

    def _at_risk_atoms(self, symbol: str, side: Side) -> int:
        """Open at the exchange, or on its way there."""
        lots = self._exchange.open_lots(symbol, side)
        lots += sum(command.lots for command in self._on_their_way(symbol) if command.side is side)
        return lots * self._exchange.instruments[symbol].lot_atoms

    def _on_their_way(self, symbol: str = "") -> list[PlaceOrder | ReplaceOrder]:
        """Requests that have not arrived and may."""
        return [
            request.command
            for request in self._network.travelling.values()
            if isinstance(request.command, PlaceOrder | ReplaceOrder) and (not symbol or request.command.symbol == symbol)
        ]

    # ---- the end

    def on_exit(self) -> None:
        """It says that nothing of ours is open, has looked once more, and goes."""
        self._nothing_alive("after it left")

    def on_leaving(self) -> None:
        """The core says that nothing of ours is open. What an earlier run left it can know only from the exchange."""
        require(self._compared, "alive", "it says that nothing of ours is open, and has never asked")

    def _nothing_alive(self, when: str) -> None:
        alive = [order.client_order_id for order in self._exchange.ours()]
        coming = [command.client_order_id for command in self._on_their_way()]
        require(not alive and not coming, "alive", f"{when} {', '.join([*alive, *coming])} can still trade")

    def finish(self, process: SimulatedProcess | None) -> None:
        """Everything is quiet. `process` is the one that still runs."""
        missing = self._exchange.missing_strangers()
        require(not missing, "strangers", f"orders of others are gone: {', '.join(missing)}")
        if process is None:
            self._nothing_alive("with no process alive, and after the guard,")
            return
        if self._halted:
            self._nothing_alive("long after the halt")
        tracker = process.trader.tracker
        for order in self._exchange.ours():
            known = tracker.find(order.client_order_id)
            require(known is not None and known.is_open, "alive", f"{order.client_order_id} is open, and we do not know it")
        for tracked in tracker.all_open():
            just_sent = tracked.state.is_pending and process.clock_ns() - tracked.request_ns < NS
            if tracked.state is not OrderState.LIVE and not just_sent:
                raise Violation("unknown", f"{tracked!r} although the lines have long been whole")
        self._agree(process)

    def _agree(self, process: SimulatedProcess) -> None:
        exchange = self._exchange
        if exchange.reset_count:
            agree = all(exchange.position_atoms(s) == desk.ledger.position_atoms for s, desk in process.trader.desks.items())
            require(agree or self._halted, "agreement", "the exchange has lost its state, and nothing halted")
            return
        for symbol, desk in process.trader.desks.items():
            ledger, true = desk.ledger, exchange.position_atoms(symbol)
            if ledger.position_atoms != true or ledger.volume_atoms != exchange.true_volume_atoms[symbol]:
                raise Violation(
                    "agreement",
                    f"{symbol}: position {ledger.position_atoms}, at the exchange {true}; volume {ledger.volume_atoms}, "
                    f"at the exchange {exchange.true_volume_atoms[symbol]}",
                )
            changed = exchange.deposited_atoms[symbol]
            require(not changed or self._halted, "agreement", f"{changed} atoms came without a trade, and nothing halted")
