"""A trader with a venue at hand's reach: the test plays the venue's part, event by event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mmd.execution.settings import ExecutionSettings
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Command, Trader, TraderConfig
from mmd.types.control import HaltRecord, Timer
from mmd.types.instrument import Instrument
from mmd.types.market import BatchEnd, DepthSnapshot, FeedState, FeedStatus, Side, TouchUpdate
from mmd.types.orders import (
    Balance,
    ClockSync,
    Fill,
    OrderAccepted,
    OrderChannelStatus,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    ReconciliationReport,
    ReplaceOrder,
    RequestReconciliation,
)

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
BASE_ATOMS = 10 * 100_000_000


class Session:
    """Keeps the clock and everything the trader gave out."""

    def __init__(self, *, halt: HaltRecord | None = None, checkpoint: dict[str, Any] | None = None, **limits: Any) -> None:
        config = TraderConfig(
            session="s1",
            quoting=QuotingSettings(strategy="fixed"),
            risk=RiskLimits(**limits),
            execution=ExecutionSettings(minimum_quote_life_ms=0, price_tolerance_ticks=0),
        )
        self.trader = Trader(config, {"BTCUSDT": BTC}, halt=halt, checkpoint=checkpoint)
        self.now = START
        self.commands: list[Command] = []
        self.update_id = 100
        self.next_exchange_id = 1
        self.base_atoms = BASE_ATOMS

    def give(self, event: msgspec.Struct) -> Sequence[Command]:
        """Hand one event over; returns (and keeps) what came out."""
        commands = self.trader.on_event(event)
        self.commands.extend(commands)
        return commands

    def wait(self, seconds: float) -> Sequence[Command]:
        """Let time pass, with a timer at its end."""
        self.now += int(seconds * SECOND)
        return self.give(Timer(self.now))

    def report(
        self, *, requested_ns: int | None = None, open_orders: tuple[OrderUpdate, ...] = (), trades: tuple[Fill, ...] = ()
    ) -> Any:
        """The venue's view of the account."""
        return self.give(
            ReconciliationReport(
                receive_ns=self.now,
                requested_ns=self.now - 1 if requested_ns is None else requested_ns,
                balances=(Balance("BTC", self.base_atoms, 0), Balance("USDT", 10**13, 0)),
                open_orders=open_orders,
                trades=trades,
            )
        )

    def connect(self) -> None:
        """Feed and order channel up, clock known, book in sync, first reconciliation clean."""
        self.give(ClockSync(self.now, 0, 1000))
        self.give(FeedStatus(self.now, FeedState.CONNECTED, ("BTCUSDT",)))
        asked = self.give(OrderChannelStatus(self.now, True))
        assert any(isinstance(command, RequestReconciliation) for command in asked)
        self.snapshot()
        self.touch()
        self.report()

    def snapshot(self, bid: int = 6_000_000, ask: int = 6_000_010) -> Sequence[Command]:
        """A REST snapshot of the book."""
        self.update_id += 1
        return self.give(DepthSnapshot("BTCUSDT", self.now, self.update_id, ((bid, 1000),), ((ask, 1000),)))

    def touch(self, bid: int = 6_000_000, ask: int = 6_000_010, lots: int = 1000) -> list[Command]:
        """A new touch, and the end of its batch."""
        self.update_id += 1
        self.now += 1_000_000
        first = self.give(TouchUpdate("BTCUSDT", self.now, self.now - 1_000_000, self.update_id, bid, lots, ask, lots))
        return [*first, *self.give(BatchEnd(self.now))]

    def quote(self) -> list[PlaceOrder]:
        """Tick until both sides are placed; acknowledges them."""
        placed = [command for command in self.touch(lots=900 + self.update_id) if isinstance(command, PlaceOrder)]
        for command in placed:
            self.accept(command)
        return placed

    def accept(self, command: PlaceOrder | ReplaceOrder) -> int:
        """Acknowledge, as reply and as user data."""
        self.next_exchange_id += 1
        self.give(OrderAccepted(self.now, command.symbol, command.client_order_id, self.next_exchange_id))
        self.give(self.update(command, OrderStatus.NEW, exchange_id=self.next_exchange_id))
        return self.next_exchange_id

    def update(
        self, order: PlaceOrder | ReplaceOrder, status: OrderStatus, *, filled: int = 0, exchange_id: int = 0
    ) -> OrderUpdate:
        """The venue's word on an order."""
        return OrderUpdate(
            self.now,
            order.symbol,
            order.client_order_id,
            exchange_id,
            order.side,
            order.price_ticks,
            order.lots,
            filled,
            status,
            self.now,
        )

    def fill(self, order: PlaceOrder, lots: int, trade_id: int) -> Sequence[Command]:
        """A maker fill without fee, as the user data stream brings it."""
        sign = 1 if order.side is Side.BUY else -1
        self.base_atoms += sign * lots * BTC.lot_atoms
        fill = Fill(
            self.now, "BTCUSDT", trade_id, order.client_order_id, 0, order.side, order.price_ticks, lots, 0, "USDT", True, self.now
        )
        return self.give(fill)
