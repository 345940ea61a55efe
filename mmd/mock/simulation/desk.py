"""One symbol as the simulated participants reach it: touch, resting orders, takes and cancels, all through the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mmd.mock.engine import EngineEvent, MatchingEngine, TradePrint
from mmd.mock.simulation.efficient_price import EfficientPrices
from mmd.mock.simulation.parameters import SymbolParameters
from mmd.types.market import Side

Sink = Callable[[int, str, Sequence[EngineEvent]], None]


class Owner(Protocol):
    """Whoever wants to hear of its fills."""

    def filled(self, side: Side, lots: int) -> None:
        """`lots` of an order on `side` traded."""


class RestingOrder:
    """A simulated participant's order in the book. `lots` falls with every fill the desk sees, and is 0 once it is gone."""

    __slots__ = ("lots", "order_id", "owner", "price_ticks", "side")

    def __init__(self, order_id: int, side: Side, price_ticks: int, lots: int, owner: Owner | None) -> None:
        self.order_id = order_id
        self.side = side
        self.price_ticks = price_ticks
        self.lots = lots
        self.owner = owner


class Desk:
    """The fast path into the engine for one symbol. Every operation that changes something is handed to `sink`."""

    def __init__(
        self, engine: MatchingEngine, symbol: SymbolParameters, position: int, prices: EfficientPrices, sink: Sink
    ) -> None:
        instrument = engine.instruments[symbol.symbol]
        self.symbol = symbol.symbol
        self.step_ticks = symbol.step_ticks
        self.lots_per_unit = instrument.lots_per_unit
        self.prices = prices
        self.position = position
        self.sink = sink
        self._engine = engine
        self._resting: dict[int, RestingOrder] = {}

    @property
    def resting_count(self) -> int:
        """Orders of simulated participants believed to rest."""
        return len(self._resting)

    def efficient_ticks(self, time_ns: int) -> float:
        """Efficient price at a time, in ticks; up to some seconds ahead for those who may know."""
        return self.prices.ticks_at(self.position, time_ns)

    def touch(self, now_ns: int) -> tuple[int, int, int, int]:
        """Best bid and its lots, best ask and its lots. An empty side shows a step from the efficient price, with 0 lots."""
        _, bid_ticks, bid_lots, ask_ticks, ask_lots = self._engine.touch(self.symbol)
        if not bid_ticks or not ask_ticks:
            step_index = int(self.efficient_ticks(now_ns)) // self.step_ticks
            if not bid_ticks:
                bid_ticks = step_index * self.step_ticks
                bid_ticks = min(bid_ticks, ask_ticks - self.step_ticks) if ask_ticks else bid_ticks
            if not ask_ticks:
                ask_ticks = max((step_index + 1) * self.step_ticks, bid_ticks + self.step_ticks)
        return bid_ticks, bid_lots, ask_ticks, ask_lots

    def rest(self, side: Side, price_ticks: int, lots: int, now_ns: int, owner: Owner | None) -> RestingOrder | None:
        """Place an order that the caller priced not to take. None where it traded at once after all, or has no price above 0."""
        if price_ticks <= 0 or lots <= 0:
            return None
        order_id, events = self._engine.background_limit(self.symbol, side, price_ticks, lots, now_ns)
        left = lots - self._book_prints(events, side)
        order = None
        if order_id:
            order = self._resting[order_id] = RestingOrder(order_id, side, price_ticks, left, owner)
        self.sink(now_ns, self.symbol, events)
        return order

    def take(self, side: Side, limit_ticks: int, lots: int, now_ns: int) -> int:
        """Trade at once up to a limit price, whatever is left is not rested. Returns the lots traded."""
        order_id, events = self._engine.background_limit(self.symbol, side, limit_ticks, lots, now_ns)
        if order_id:
            self._engine.background_cancel(order_id, now_ns)
        traded = self._book_prints(events, side)
        if traded:
            self.sink(now_ns, self.symbol, events)
        return traded

    def pull(self, order: RestingOrder, now_ns: int) -> bool:
        """Cancel. False where somebody else's order had taken it unseen; its owner then hears of the fill."""
        if self._resting.pop(order.order_id, None) is None:
            return False
        gone = not self._engine.background_cancel(order.order_id, now_ns)
        if gone and order.owner is not None:
            order.owner.filled(order.side, order.lots)
        order.lots = 0
        if not gone:
            self.sink(now_ns, self.symbol, ())
        return not gone

    def _book_prints(self, events: Sequence[EngineEvent], aggressor: Side) -> int:
        traded = 0
        for event in events:
            if type(event) is not TradePrint:
                continue
            traded += event.lots
            maker_id = event.seller_order_id if aggressor is Side.BUY else event.buyer_order_id
            order = self._resting.get(maker_id)
            if order is None:
                continue
            order.lots -= event.lots
            if order.lots <= 0:
                order.lots = 0
                del self._resting[maker_id]
            if order.owner is not None:
                order.owner.filled(order.side, event.lots)
        return traded
