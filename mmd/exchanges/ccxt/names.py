"""Our names of orders and the venue's, both ways: ccxt speaks of orders by the venue's ids."""

from __future__ import annotations

from collections import OrderedDict

from mmd.exchanges.ccxt.markets import whole_id


class OrderIds:
    """The newest `bound` orders."""

    def __init__(self, bound: int = 20_000) -> None:
        self._bound = bound
        self._venue_ids: OrderedDict[str, str] = OrderedDict()
        self._names: OrderedDict[int, str] = OrderedDict()
        self._texts: OrderedDict[int, str] = OrderedDict()

    def remember(self, client_order_id: str, venue_id: object) -> None:
        """They are the same order's."""
        self._venue_ids[client_order_id] = str(venue_id)
        self._names[whole_id(venue_id)] = client_order_id
        self.note(venue_id)
        for kept in (self._venue_ids, self._names):
            if len(kept) > self._bound:
                kept.popitem(last=False)

    def note(self, venue_id: object) -> None:
        """There is an order with this id."""
        self._texts[whole_id(venue_id)] = str(venue_id)
        if len(self._texts) > self._bound:
            self._texts.popitem(last=False)

    def text(self, order_id: int) -> str:
        """The venue's own id of an order that was noted."""
        return self._texts.get(order_id, str(order_id))

    def venue_id(self, client_order_id: str) -> str | None:
        """None where the venue never told us."""
        return self._venue_ids.get(client_order_id)

    def name(self, venue_id: object) -> str:
        """Our name of it, empty where it is not known."""
        return self._names.get(whole_id(venue_id), "")
