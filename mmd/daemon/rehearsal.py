"""A trader on scratch state with a venue that acknowledges at once and to which nothing is ever sent: the whole way of a tick, for
measuring it and for keeping it warm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mmd.exchanges.adapter import WireRehearsal
from mmd.execution.settings import ExecutionSettings
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Trader, TraderConfig
from mmd.types.instrument import Instrument
from mmd.types.market import BatchEnd, DepthSnapshot, FeedState, FeedStatus
from mmd.types.orders import (
    AmendOrder,
    Balance,
    CancelOrder,
    ClockSync,
    OrderAccepted,
    OrderChannelStatus,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    ReconciliationReport,
    ReplaceOrder,
)
from mmd.types.stages import StageTimer

ORDERS = frozenset({PlaceOrder, ReplaceOrder, CancelOrder, AmendOrder})
MANY = 100_000
FINISHED_KEPT = 100
"""A rehearsal of each symbol finishes hundreds of orders a second, and nothing ever comes late."""
PLENTY_ATOMS = 10**12


class RehearsedSession:
    """`tick` is what a frame callback does; `settle` plays the venue's answers. Never connected to anything."""

    def __init__(
        self,
        snapshots: Sequence[DepthSnapshot],
        instruments: Mapping[str, Instrument],
        wire: WireRehearsal,
        quoting: QuotingSettings,
        bundle: Bundle | None,
        predictors: Mapping[str, QuotePredictor],
        stages: StageTimer | None = None,
    ) -> None:
        config = TraderConfig(
            session="rehearsal",
            quoting=quoting,
            # Each tick is to be answered, which neither order limits nor a quote's least life would allow a real session.
            execution=ExecutionSettings(minimum_quote_life_ms=0, terminal_orders_kept=FINISHED_KEPT),
            risk=RiskLimits(max_orders_per_10s=MANY, max_orders_per_day=10**9, order_count_reserve=10_000),
        )
        self.trader = Trader(config, instruments, bundle=bundle, predictors=predictors, stages=stages)
        self._decode = wire.decode
        self._encode = wire.encode
        self.requests = 0
        self._accepted = 0
        self._sent: list[Any] = []
        now = min(snapshot.receive_ns for snapshot in snapshots)
        assets = {asset for one in instruments.values() for asset in (one.base_asset, one.quote_asset)}
        balances = tuple(Balance(asset, PLENTY_ATOMS, 0) for asset in sorted(assets))
        opening: tuple[msgspec.Struct, ...] = (
            ClockSync(now, 0, 0),
            FeedStatus(now, FeedState.CONNECTED, tuple(instruments)),
            OrderChannelStatus(now, True),
            *snapshots,
            ReconciliationReport(now, now, balances, (), ()),
        )
        for event in opening:
            self.trader.on_event(event)

    def tick(self, receive_ns: int, frame: bytes, send: Callable[[bytes], object]) -> None:
        """Decode, book, features, networks, quote, checks, encode and sign; requests go to `send`."""
        event = self._decode(frame, receive_ns)
        if event is None:
            return
        on_event = self.trader.on_event
        self._carry_out(on_event(event), send)
        self._carry_out(on_event(BatchEnd(receive_ns)), send)

    def _carry_out(self, commands: Sequence[Any], send: Callable[[bytes], object]) -> None:
        for command in commands:
            if type(command) in ORDERS:
                self.requests += 1
                send(self._encode(command, self.requests, command.decided_ns // 1_000_000))
                self._sent.append(command)

    def settle(self, receive_ns: int) -> int:
        """Acknowledge everything sent since the last call; how many requests that were."""
        sent, self._sent = self._sent, []
        for command in sent:
            self._answer(command, receive_ns)
        return len(sent)

    def _answer(self, command: Any, now: int) -> None:
        on_event, tracker = self.trader.on_event, self.trader.tracker
        gone = command.client_order_id if isinstance(command, CancelOrder) else getattr(command, "cancel_client_order_id", "")
        if gone and (order := tracker.find(gone)) is not None:
            exchange_id, canceled = order.exchange_order_id, OrderStatus.CANCELED
            on_event(OrderUpdate(now, order.symbol, gone, exchange_id, order.side, order.price_ticks, order.lots, 0, canceled, now))
        if isinstance(command, PlaceOrder | ReplaceOrder):
            self._accepted += 1
            on_event(OrderAccepted(now, command.symbol, command.client_order_id, self._accepted))
        elif isinstance(command, AmendOrder) and (order := tracker.find(command.client_order_id)) is not None:
            on_event(OrderAccepted(now, command.symbol, command.new_client_order_id, order.exchange_order_id))


def nowhere(_request: bytes) -> None:
    """Requests that are only made, not sent."""
