"""Where the tracker keeps its orders: found by any id, counted by side, and forgotten only when nothing can hang on them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from mmd.execution.tracked_order import TrackedOrder
from mmd.types.market import Side

BUY: Final = Side.BUY


class OneSide:
    """Orders of one symbol and side that can still trade, by client id, oldest first; and their lots at risk. To be read only."""

    __slots__ = ("at_risk_lots", "open")

    def __init__(self) -> None:
        self.open: dict[str, TrackedOrder] = {}
        self.at_risk_lots = 0


class OrderIndex:
    """All orders we remember. After any change of an order, `refresh` it: totals and lists are kept, never recomputed.

    Finished and fully booked orders are kept, the newest `finished_kept` of them, for messages that come late. An order that can
    still trade, or whose fills we have not all seen, is never forgotten.
    """

    def __init__(self, finished_kept: int) -> None:
        self._finished_kept = finished_kept
        self._by_client_id: dict[str, TrackedOrder] = {}
        self._by_exchange_id: dict[tuple[str, int], TrackedOrder] = {}
        self._buys: dict[str, OneSide] = {}
        self._sells: dict[str, OneSide] = {}
        self._open: dict[str, TrackedOrder] = {}
        self._unbooked: dict[str, TrackedOrder] = {}
        self._finished: OrderedDict[str, TrackedOrder] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open) + len(self._unbooked) + len(self._finished)

    def find(self, client_order_id: str) -> TrackedOrder | None:
        """By any client id that the order bears, bore, or will bear if an amend succeeds."""
        return self._by_client_id.get(client_order_id)

    def find_exchange_order(self, symbol: str, exchange_order_id: int) -> TrackedOrder | None:
        """By the venue's own id."""
        return self._by_exchange_id.get((symbol, exchange_order_id))

    def add(self, order: TrackedOrder) -> None:
        """Remember a new order. Its client id must not be known yet."""
        self._by_client_id[order.client_order_id] = order
        if order.exchange_order_id:
            self._by_exchange_id[order.symbol, order.exchange_order_id] = order
        self.refresh(order)

    def add_client_id(self, order: TrackedOrder, client_order_id: str) -> None:
        """Let another client id lead to the order."""
        self._by_client_id[client_order_id] = order

    def rename(self, order: TrackedOrder, client_order_id: str) -> None:
        """The order bears another client id from now on; the former ones still lead to it."""
        for listing in (self._open, self._unbooked, self._finished, self.side(order.symbol, order.side).open):
            if listing.pop(order.client_order_id, None) is not None:
                listing[client_order_id] = order
        order.former_client_order_ids += (order.client_order_id,)
        order.client_order_id = client_order_id
        self._by_client_id[client_order_id] = order

    def set_exchange_id(self, order: TrackedOrder, exchange_order_id: int) -> None:
        """The venue's id became known. 0 means that it did not say. Another one than before takes its place."""
        if exchange_order_id and order.exchange_order_id != exchange_order_id:
            self._forget_exchange_id(order)
            order.exchange_order_id = exchange_order_id
            self._by_exchange_id[order.symbol, exchange_order_id] = order

    def refresh(self, order: TrackedOrder) -> None:
        """Bring totals and lists in line with the order as it is now."""
        side = self.side(order.symbol, order.side)
        at_risk = order.at_risk_lots
        side.at_risk_lots += at_risk - order.counted_lots
        order.counted_lots = at_risk
        key = order.client_order_id
        if not order.state.is_terminal:
            side.open[key] = self._open[key] = order
            if key in self._unbooked:
                del self._unbooked[key]
            if key in self._finished:
                del self._finished[key]
            return
        side.open.pop(key, None)
        self._open.pop(key, None)
        if at_risk:
            self._unbooked[key] = order
            self._finished.pop(key, None)
            return
        self._unbooked.pop(key, None)
        self._finished[key] = order
        if len(self._finished) > self._finished_kept:
            self._forget(self._finished.popitem(last=False)[1])

    def at_risk_lots(self, symbol: str, side: Side) -> int:
        """The running total."""
        return self.side(symbol, side).at_risk_lots

    def open_on_side(self, symbol: str, side: Side) -> list[TrackedOrder]:
        """Orders of a side that can still trade, oldest first."""
        return list(self.side(symbol, side).open.values())

    def all_open(self) -> list[TrackedOrder]:
        """Every order that can still trade, oldest first."""
        return list(self._open.values())

    @property
    def open_count(self) -> int:
        """Number of orders that can still trade."""
        return len(self._open)

    def unbooked(self) -> list[TrackedOrder]:
        """Finished orders some of whose fills we have not seen."""
        return list(self._unbooked.values())

    def every_order(self) -> list[TrackedOrder]:
        """All that is remembered (for tests and reports)."""
        return [*self._open.values(), *self._unbooked.values(), *self._finished.values()]

    def side(self, symbol: str, side: Side) -> OneSide:
        """What is open on a side, and goes on to be: the same object for good."""
        sides = self._buys if side is BUY else self._sells
        entry = sides.get(symbol)
        if entry is None:
            entry = sides[symbol] = OneSide()
        return entry

    def _forget(self, order: TrackedOrder) -> None:
        for client_order_id in (order.client_order_id, order.amend_client_order_id, *order.former_client_order_ids):
            if self._by_client_id.get(client_order_id) is order:
                del self._by_client_id[client_order_id]
        self._forget_exchange_id(order)

    def _forget_exchange_id(self, order: TrackedOrder) -> None:
        if self._by_exchange_id.get((order.symbol, order.exchange_order_id)) is order:
            del self._by_exchange_id[order.symbol, order.exchange_order_id]
