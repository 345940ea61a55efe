"""Our orders in the queues of a recorded market: each recorded level is mirrored as background orders of the matching engine.

More lots at a level queue behind everybody. Fewer lots are, in doubt, cancelled from the back, behind us first, which is the
assumption that fills us latest. A recorded trade takes the level's lots in time priority, so that it reaches our order when
what was ahead is used up. What our own orders took stays in the recording; it is remembered as taken until the recorded level
has gone, so that nothing is sold to us twice. It knows no wire and no clock: times are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmd.mock.engine import BACKGROUND, EngineEvent, MatchingEngine, Order, TradePrint
from mmd.types.market import NO_UPDATE_ID, DepthUpdate, MarketTrade, Side, TouchUpdate

MatcherSink = Callable[[str, Sequence[EngineEvent]], None]
"""Called with (symbol, events) after every operation that traded."""
LevelKey = tuple[Side, int]

DECREASE_WAIT_NS = 100_000_000
"""A decrease at a level where an account waits may be a trade whose print comes a moment later: so long (recorded) it is held."""


class QueueMatcher:
    """The recorded market of one symbol inside `engine`. Feed it the recorded events in order of receive time."""

    def __init__(self, engine: MatchingEngine, symbol: str, sink: MatcherSink) -> None:
        self._engine = engine
        self._symbol = symbol
        self._sink = sink
        self._now_ns = 0
        self._recorded: dict[LevelKey, int] = {}
        self._mirrored: dict[LevelKey, int] = {}
        """Background lots as the last operation here left them: what is missing since then, an account took."""
        self._taken: dict[LevelKey, int] = {}
        self._held: dict[LevelKey, tuple[int, int]] = {}
        """Decreases that wait: until when (recorded receive time, ns), and the lots to be left then."""
        self._from_touch: set[LevelKey] = set()
        self._touch: TouchUpdate | None = None
        self._book_id = NO_UPDATE_ID

    def load(self, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], now_ns: int) -> None:
        """Begin with these levels (ticks, lots)."""
        self._now_ns = now_ns
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            for ticks, lots in levels:
                self._recorded[side, ticks] = lots
                self._set_level(side, ticks, lots, 0)

    def reload(self, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], now_ns: int) -> None:
        """Begin anew with these levels after a hole: what they run past trades, what is not among them is gone."""
        self._now_ns = now_ns
        self._touch, self._book_id = None, NO_UPDATE_ID
        self._held.clear()
        self._from_touch.clear()
        sides = ((Side.BUY, bids), (Side.SELL, asks))
        self._recorded = {(side, ticks): lots for side, levels in sides for ticks, lots in levels}
        for key in [key for key in self._mirrored if key not in self._recorded]:
            self._set_level(*key, 0, None)
        for key, lots in self._recorded.items():
            self._set_level(*key, lots, None)

    # ---- recorded events; `now_ns` is the engine's time, which may be another clock than the recording's

    def on_depth_update(self, event: DepthUpdate, now_ns: int) -> None:
        """A diff: every level it names, but those that a newer touch has spoken of already."""
        self._now_ns = now_ns
        self._release(event.receive_ns)
        self._book_id = event.final_update_id
        touch = self._touch
        overrides = touch is not None and touch.update_id > event.final_update_id
        changed: list[LevelKey] = []
        for side, levels in ((Side.BUY, event.bids), (Side.SELL, event.asks)):
            for ticks, lots in levels:
                key = (side, ticks)
                if lots:
                    self._recorded[key] = lots
                else:
                    self._recorded.pop(key, None)
                if overrides and touch is not None and _within(touch, side, ticks):
                    self._from_touch.add(key)
                else:
                    changed.append(key)
        if not overrides and self._from_touch:
            changed.extend(self._from_touch.difference(changed))
            self._from_touch.clear()
        # What is gone goes first, so that a moving market never trades with the levels it left.
        changed.sort(key=lambda key: key in self._recorded)
        for key in changed:
            self._set_level(*key, self._recorded.get(key, 0), event.receive_ns)

    def on_touch_update(self, event: TouchUpdate, now_ns: int) -> None:
        """The best prices: better levels are gone, those at them are as they say. One older than the diffs says nothing."""
        self._now_ns = now_ns
        self._release(event.receive_ns)
        if event.update_id <= self._book_id or (self._touch is not None and event.update_id <= self._touch.update_id):
            return
        self._touch = event
        sides = ((Side.BUY, event.bid_ticks, event.bid_lots), (Side.SELL, event.ask_ticks, event.ask_lots))
        for side, ticks, lots in sides:
            if lots:
                self._clear_better(side, ticks, event.receive_ns)
        for side, ticks, lots in sides:
            if lots:
                self._from_touch.add((side, ticks))
                self._set_level(side, ticks, lots, event.receive_ns)

    def on_trade(self, event: MarketTrade, now_ns: int) -> None:
        """A recorded trade: whatever stands better on the passive side is gone or ours; then the level in time priority."""
        self._now_ns = now_ns
        self._release(event.receive_ns)
        if event.lots <= 0:
            return
        passive = event.aggressor.opposite
        self._clear_better(passive, event.price_ticks, None)
        key = (passive, event.price_ticks)
        self._note_taken(key, self._background(key))
        order_id, events = self._engine.background_limit(self._symbol, event.aggressor, event.price_ticks, event.lots, self._now_ns)
        if order_id:
            self._engine.background_cancel(order_id, self._now_ns)
        self._mirrored[key] = _lots(self._background(key))
        if events:
            self._sink(self._symbol, events)

    # ---- levels

    def _clear_better(self, side: Side, ticks: int, receive_ns: int | None) -> None:
        """Levels of a side better than `ticks` are empty; with a time, decreases where accounts wait are held."""
        better: list[int] = []
        for price in self._engine.resting_prices(self._symbol, side):
            if (price <= ticks) if side is Side.BUY else (price >= ticks):
                break
            better.append(price)
        for price in better:
            self._from_touch.add((side, price))
            self._set_level(side, price, 0, receive_ns)

    def _set_level(self, side: Side, ticks: int, lots: int, receive_ns: int | None) -> None:
        """The recorded level now shows `lots`. Without a time, or at a level without accounts, decreases are done at once."""
        key = (side, ticks)
        queue = self._engine.queue(self._symbol, side, ticks)
        background = [order for order in queue if order.account == BACKGROUND]
        taken = self._note_taken(key, background)
        if taken:
            taken = min(taken, lots)
            self._set_or_drop(self._taken, key, taken)
        present, wanted = _lots(background), lots - taken
        self._held.pop(key, None)
        if wanted > present:
            if len(background) > 1 and len(background) == len(queue):
                # Nobody of ours waits here, so that who came first matters no more: keep one order a level.
                self._decrease(background, present)
                present = 0
            wanted = present + self._increase(key, wanted - present)
        elif wanted < present:
            if receive_ns is not None and len(background) < len(queue):
                self._held[key] = (receive_ns + DECREASE_WAIT_NS, lots)
                self._mirrored[key] = present
                return
            self._decrease(background, present - wanted)
        self._set_or_drop(self._mirrored, key, wanted)

    def _increase(self, key: LevelKey, lots: int) -> int:
        """Queue `lots` behind everybody. Returns those that came to rest: fewer where they met orders of ours."""
        side, ticks = key
        for price in self._crossed_by(side, ticks):
            opposite = (side.opposite, price)
            self._from_touch.add(opposite)
            self._held.pop(opposite, None)
            background = self._background(opposite)
            self._decrease(background, _lots(background))
            self._mirrored.pop(opposite, None)
        _, events = self._engine.background_limit(self._symbol, side, ticks, lots, self._now_ns)
        met = 0
        if events:
            # It met orders of ours that a live market would have let it meet: the rest of it is what the recording shows.
            met = sum(event.lots for event in events if isinstance(event, TradePrint))
            self._taken[key] = self._taken.get(key, 0) + met
            self._sink(self._symbol, events)
        return lots - met

    def _crossed_by(self, side: Side, ticks: int) -> list[int]:
        crossed = []
        for price in self._engine.resting_prices(self._symbol, side.opposite):
            if (price > ticks) if side is Side.BUY else (price < ticks):
                break
            crossed.append(price)
        return crossed

    def _decrease(self, background: list[Order], lots: int) -> None:
        for order in reversed(background):
            if lots <= 0:
                return
            cut = min(lots, order.remaining_lots)
            self._engine.background_reduce(order.order_id, cut)
            lots -= cut

    def _release(self, receive_ns: int) -> None:
        """Do the decreases that no trade has explained in time."""
        if not self._held:
            return
        due = [(key, lots) for key, (until_ns, lots) in self._held.items() if until_ns <= receive_ns]
        for (side, ticks), lots in due:
            self._set_level(side, ticks, lots, None)

    def _note_taken(self, key: LevelKey, background: list[Order]) -> int:
        taken = self._taken.get(key, 0)
        missing = self._mirrored.get(key, 0) - _lots(background)
        if missing > 0:
            taken += missing
            self._taken[key] = taken
        return taken

    def _background(self, key: LevelKey) -> list[Order]:
        return [order for order in self._engine.queue(self._symbol, *key) if order.account == BACKGROUND]

    @staticmethod
    def _set_or_drop(values: dict[LevelKey, int], key: LevelKey, value: int) -> None:
        if value > 0:
            values[key] = value
        else:
            values.pop(key, None)


def _lots(orders: Sequence[Order]) -> int:
    return sum([order.lots - order.executed_lots for order in orders])


def _within(touch: TouchUpdate, side: Side, ticks: int) -> bool:
    """Whether a level stands at the touch or before it."""
    return ticks >= touch.bid_ticks if side is Side.BUY else ticks <= touch.ask_ticks
