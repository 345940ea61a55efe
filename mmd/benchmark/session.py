"""The daemon's hot path without its sockets: decoder, core, encoder and signature, with a venue that acknowledges at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mmd.exchanges.binance.decode import FrameDecoder
from mmd.exchanges.binance.encode import RequestEncoder
from mmd.exchanges.binance.signing import HmacSigner
from mmd.execution.settings import ExecutionSettings
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Trader, TraderConfig
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

ORDERS = (PlaceOrder, ReplaceOrder, CancelOrder, AmendOrder)
MANY = 100_000


class HotSession:
    """One symbol. `tick` is what a frame callback does; `settle` plays the venue's answers, outside of any measurement."""

    def __init__(
        self,
        snapshot: DepthSnapshot,
        instruments: dict[str, Any],
        bundle: Bundle | None,
        predictors: dict[str, QuotePredictor],
        stages: StageTimer | None = None,
    ) -> None:
        strategy: Any = "neural" if bundle is not None else "avellaneda-stoikov"
        config = TraderConfig(
            session="bench",
            quoting=QuotingSettings(strategy=strategy),
            # Each tick is to be answered, which neither order limits nor a quote's least life would allow a real session.
            execution=ExecutionSettings(minimum_quote_life_ms=0),
            risk=RiskLimits(max_orders_per_10s=MANY, max_orders_per_day=10**9, order_count_reserve=10_000),
        )
        self.trader = Trader(config, instruments, bundle=bundle, predictors=predictors, stages=stages)
        self.decoder = FrameDecoder(instruments)
        self.encoder = RequestEncoder(instruments, api_key="K1", recv_window_ms=1500, signer=HmacSigner("S1"))
        self.requests = 0
        self._sent: list[Any] = []
        now = snapshot.receive_ns
        balances = tuple(Balance(asset, 10**12, 0) for asset in ("BTC", "ETH", "USDT"))
        for event in (
            ClockSync(now, 0, 0),
            FeedStatus(now, FeedState.CONNECTED, tuple(instruments)),
            OrderChannelStatus(now, True),
            snapshot,
            ReconciliationReport(now, now, balances, (), ()),
        ):
            self.trader.on_event(event)

    def tick(self, receive_ns: int, frame: bytes, send: Callable[[bytes], object]) -> None:
        """Decode, book, features, networks, quote, checks, encode and sign; requests go to `send`."""
        event = self.decoder.decode(frame, receive_ns)
        if event is None:
            return
        on_event = self.trader.on_event
        self._carry_out(on_event(event), send)
        self._carry_out(on_event(BatchEnd(receive_ns)), send)

    def _carry_out(self, commands: Sequence[Any], send: Callable[[bytes], object]) -> None:
        for command in commands:
            if isinstance(command, ORDERS):
                self.requests += 1
                send(self.encoder.encode(command, self.requests, command.decided_ns // 1_000_000))
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
            on_event(
                OrderUpdate(now, order.symbol, gone, 1, order.side, order.price_ticks, order.lots, 0, OrderStatus.CANCELED, now)
            )
        if isinstance(command, PlaceOrder | ReplaceOrder):
            on_event(OrderAccepted(now, command.symbol, command.client_order_id, self.requests))
        elif isinstance(command, AmendOrder):
            on_event(OrderAccepted(now, command.symbol, command.new_client_order_id, self.requests))


def nowhere(_request: bytes) -> None:
    """Requests that are only made, not sent."""
