"""One symbol's order book: price levels with first-in-first-out queues. It knows lots and priority, and nothing of money.

Each side keeps its prices in one sorted list with the best price last, so that a change near the touch moves few entries; each
price keeps its orders in a dictionary ordered by arrival, so that a cancel finds its order without a search.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from mmd.mock.engine_events import BACKGROUND, DepthChanges, Order, SelfTradePrevention
from mmd.types.market import Level, Side

BookFill = tuple[Order, int, int]
"""The resting order, the price in ticks (its price) and the lots that traded; 0 lots where it left the book so as not to trade."""
_EXPIRE_TAKER = SelfTradePrevention.EXPIRE_TAKER


class PriceLevel:
    """All orders at one price, oldest first, and the sum of their remaining lots."""

    __slots__ = ("lots", "orders", "price_ticks")

    def __init__(self, price_ticks: int) -> None:
        self.price_ticks = price_ticks
        self.lots = 0
        self.orders: OrderedDict[int, Order] = OrderedDict()


class BookSide:
    """The levels of one side. `keys` are prices times `sign`, ascending: the last is the best bid, or the best ask negated."""

    __slots__ = ("changed", "keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, PriceLevel] = {}
        self.changed: set[int] = set()

    def best_ticks(self) -> int:
        """The best price, 0 where the side is empty."""
        return self.keys[-1] * self.sign if self.keys else 0

    def best_first(self, limit: int | None = None) -> Iterator[PriceLevel]:
        """The levels from the best one on, at most `limit`."""
        keys = self.keys if limit is None else self.keys[max(0, len(self.keys) - limit) :]
        for key in reversed(keys):
            yield self.levels[key * self.sign]

    def open_level(self, price_ticks: int) -> PriceLevel:
        """The level at a price, made if there is none."""
        level = self.levels.get(price_ticks)
        if level is None:
            level = self.levels[price_ticks] = PriceLevel(price_ticks)
            insort(self.keys, price_ticks * self.sign)
        return level

    def drop_level(self, price_ticks: int) -> None:
        """Forget the (empty) level at a price."""
        del self.levels[price_ticks]
        del self.keys[bisect_left(self.keys, price_ticks * self.sign)]

    def take_changed(self) -> tuple[Level, ...]:
        """The levels that changed since the last call, best first, as they are now."""
        levels = self.levels
        prices = sorted(self.changed, reverse=self.sign > 0)
        self.changed.clear()
        return tuple((price, levels[price].lots if price in levels else 0) for price in prices)


class Book:
    """Both sides of a symbol. Every change of a level raises `update_id` by one."""

    __slots__ = ("asks", "bids", "last_price_ticks", "last_trade_id", "symbol", "taken_update_id", "update_id")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids = BookSide(1)
        self.asks = BookSide(-1)
        self.update_id = 0
        self.taken_update_id = 0
        self.last_trade_id = 0
        self.last_price_ticks = 0

    def side(self, side: Side) -> BookSide:
        """The levels on which orders of this side rest."""
        return self.bids if side is Side.BUY else self.asks

    def rest(self, order: Order) -> None:
        """Queue an order behind all others at its price."""
        side = self.side(order.side)
        level = side.open_level(order.price_ticks)
        level.orders[order.order_id] = order
        level.lots += order.lots - order.executed_lots
        self._changed(side, order.price_ticks)

    def remove(self, order: Order) -> None:
        """Take a resting order out."""
        side = self.side(order.side)
        level = side.levels[order.price_ticks]
        del level.orders[order.order_id]
        level.lots -= order.lots - order.executed_lots
        if not level.orders:
            side.drop_level(order.price_ticks)
        self._changed(side, order.price_ticks)

    def reduce(self, order: Order, lots: int) -> None:
        """Take `lots` (fewer than remain) off a resting order, which keeps its place in the queue."""
        side = self.side(order.side)
        order.lots -= lots
        side.levels[order.price_ticks].lots -= lots
        self._changed(side, order.price_ticks)

    def first(self, side: Side) -> Order | None:
        """The resting order of a side that would trade next."""
        level = next(self.side(side).best_first(1), None)
        return None if level is None else next(iter(level.orders.values()))

    def fill(self, order: Order, lots: int) -> None:
        """Execute `lots` of a resting order where it stands; filled, it leaves the book."""
        side = self.side(order.side)
        level = side.levels[order.price_ticks]
        order.executed_lots += lots
        level.lots -= lots
        if order.executed_lots == order.lots:
            del level.orders[order.order_id]
            if not level.orders:
                side.drop_level(order.price_ticks)
        self._changed(side, order.price_ticks)

    def crosses(self, side: Side, price_ticks: int) -> bool:
        """Whether an order of `side` at this price would trade now."""
        best = self.side(side.opposite).best_ticks()
        if best == 0:
            return False
        return price_ticks >= best if side is Side.BUY else price_ticks <= best

    def reachable(
        self, side: Side, limit_ticks: int | None, account: str, prevention: SelfTradePrevention = _EXPIRE_TAKER
    ) -> Iterator[Level]:
        """Price and lots of each resting order that a taker of `side` would trade with, in order, as `match` would."""
        opposite = self.side(side.opposite)
        for level in opposite.best_first():
            if limit_ticks is not None and level.price_ticks * opposite.sign < limit_ticks * opposite.sign:
                return
            for order in level.orders.values():
                if account != BACKGROUND and order.account == account and prevention is not SelfTradePrevention.NONE:
                    if prevention.expires_taker:
                        return
                    continue
                yield level.price_ticks, order.lots - order.executed_lots

    def match(
        self, side: Side, limit_ticks: int | None, lots: int, account: str, prevention: SelfTradePrevention = _EXPIRE_TAKER
    ) -> tuple[list[BookFill], bool]:
        """Trade up to `lots` against the other side, best price first, oldest order first; a limit of None takes any price.

        The resting orders' `executed_lots` grow, and those that are filled leave the book. So do resting orders of the same
        account where `prevention` expires makers. The second value says that the match ended at such an order.
        """
        opposite = self.side(side.opposite)
        keys, sign = opposite.keys, opposite.sign
        fills: list[BookFill] = []
        blocked = False
        while lots and keys and not blocked:
            if limit_ticks is not None and keys[-1] < limit_ticks * sign:
                break
            level = opposite.levels[keys[-1] * sign]
            fills_before = len(fills)
            lots, blocked = _match_level(level, lots, account, prevention, fills)
            if len(fills) > fills_before:
                if not level.orders:
                    opposite.drop_level(level.price_ticks)
                self._changed(opposite, level.price_ticks)
        return fills, blocked

    def take_changes(self) -> DepthChanges | None:
        """What changed since the last call; None where nothing did."""
        if self.update_id == self.taken_update_id:
            return None
        first = self.taken_update_id + 1
        self.taken_update_id = self.update_id
        return DepthChanges(self.symbol, first, self.update_id, self.bids.take_changed(), self.asks.take_changed())

    def resume(self, update_id: int, last_trade_id: int, last_price_ticks: int) -> None:
        """Go on counting from a snapshot; nothing counts as changed since."""
        self.take_changes()
        self.update_id = self.taken_update_id = update_id
        self.last_trade_id = last_trade_id
        self.last_price_ticks = last_price_ticks

    def _changed(self, side: BookSide, price_ticks: int) -> None:
        self.update_id += 1
        side.changed.add(price_ticks)


def _match_level(
    level: PriceLevel, lots: int, account: str, prevention: SelfTradePrevention, fills: list[BookFill]
) -> tuple[int, bool]:
    """Trade at one level; returns the lots left over and whether an order of the same account ended the match."""
    orders, price_ticks = level.orders, level.price_ticks
    while lots and orders:
        resting = next(iter(orders.values()))
        remaining = resting.lots - resting.executed_lots
        if account != BACKGROUND and resting.account == account and prevention is not SelfTradePrevention.NONE:
            if prevention.expires_makers:
                del orders[resting.order_id]
                level.lots -= remaining
                fills.append((resting, price_ticks, 0))
            if prevention.expires_taker:
                return lots, True
            continue
        traded = remaining if remaining <= lots else lots
        resting.executed_lots += traded
        if traded == remaining:
            del orders[resting.order_id]
        level.lots -= traded
        lots -= traded
        fills.append((resting, price_ticks, traded))
    return lots, False
