"""A local book, kept as the exchange describes it, for clients that hand on the diff stream and keep no book of their own."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from client import BookWatch, Levels

Pairs = list[tuple[str, str]]


class PlainBook:
    """Buffers updates until the snapshot has come; a gap is an AssertionError."""

    def __init__(self, watch: BookWatch) -> None:
        self.watch = watch
        self.sides: dict[str, Levels] = {"bids": {}, "asks": {}}
        self.update_id: int | None = None
        self.buffer: list[tuple[int, int, Pairs, Pairs]] = []
        self.flows = asyncio.Event()
        """The stream has begun, so that a snapshot may be asked for."""

    def on_snapshot(self, update_id: int, bids: Pairs, asks: Pairs) -> None:
        """Starts the book. It must not be older than the first update."""
        assert update_id >= self.buffer[0][0] - 1, "the snapshot is older than the stream"
        for side, levels in (("bids", bids), ("asks", asks)):
            self.sides[side] = {Decimal(price): Decimal(quantity) for price, quantity in levels}
        self.update_id = update_id
        for update in self.buffer:
            self._apply(*update)

    def on_update(self, first: int, last: int, bids: Pairs, asks: Pairs) -> None:
        """One frame of the diff stream."""
        if self.update_id is None:
            self.buffer.append((first, last, bids, asks))
            self.flows.set()
        else:
            self._apply(first, last, bids, asks)

    def _apply(self, first: int, last: int, bids: Pairs, asks: Pairs) -> None:
        assert self.update_id is not None
        if last <= self.update_id:
            return
        assert first <= self.update_id + 1, f"gap between {self.update_id} and {first}"
        for side, levels in (("bids", bids), ("asks", asks)):
            for price, quantity in levels:
                if Decimal(quantity):
                    self.sides[side][Decimal(price)] = Decimal(quantity)
                else:
                    self.sides[side].pop(Decimal(price), None)
        self.update_id = last
        self.watch.keep(last, dict(self.sides["bids"]), dict(self.sides["asks"]))
