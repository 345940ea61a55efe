"""Accounts of the mock exchange: balances with locks, open orders, and a bounded history of closed orders and trades."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from itertools import islice

from mmd.mock.engine_events import AccountTrade, Order, Refusal
from mmd.mock.engine_filters import INSUFFICIENT_BALANCE, NO_SUCH_ORDER, UNKNOWN_ORDER
from mmd.mock.engine_snapshot import AccountState, IndexState
from mmd.types.orders import Balance


class OrderIndex:
    """Orders and trades of one account on one symbol. Closed orders and trades are kept up to `history_limit` each."""

    __slots__ = ("closed", "history_limit", "live", "newest_by_client_id", "trades")

    def __init__(self, history_limit: int) -> None:
        self.history_limit = history_limit
        self.live: dict[int, Order] = {}
        self.closed: OrderedDict[int, Order] = OrderedDict()
        self.newest_by_client_id: dict[str, Order] = {}
        self.trades: deque[AccountTrade] = deque(maxlen=history_limit)

    def open(self, order: Order) -> None:
        """Enter an order that is about to match or rest."""
        self.live[order.order_id] = order
        self.newest_by_client_id[order.client_order_id] = order

    def close(self, order: Order) -> None:
        """Move an order that can no longer trade to the history, forgetting the oldest of a full one."""
        del self.live[order.order_id]
        self.closed[order.order_id] = order
        if len(self.closed) > self.history_limit:
            _, oldest = self.closed.popitem(last=False)
            if self.newest_by_client_id.get(oldest.client_order_id) is oldest:
                del self.newest_by_client_id[oldest.client_order_id]

    def rename(self, order: Order, client_order_id: str) -> None:
        """Give an open order another client id (an amend does)."""
        if self.newest_by_client_id.get(order.client_order_id) is order:
            del self.newest_by_client_id[order.client_order_id]
        order.client_order_id = client_order_id
        self.newest_by_client_id[client_order_id] = order

    def is_live(self, client_order_id: str) -> bool:
        """Whether an open order bears this client id."""
        order = self.newest_by_client_id.get(client_order_id)
        return order is not None and order.order_id in self.live

    def find(self, order_id: int | None, client_order_id: str | None) -> Order:
        """The order of that id; with both ids, they must belong together. Raises `Refusal` -2013."""
        if order_id is not None:
            order = self.live.get(order_id) or self.closed.get(order_id)
        else:
            order = self.newest_by_client_id.get(client_order_id or "")
        if order is None or (client_order_id is not None and order.client_order_id != client_order_id):
            raise Refusal(-2013, NO_SUCH_ORDER)
        return order

    def find_live(self, order_id: int | None, client_order_id: str | None, refusal_code: int) -> Order:
        """As `find`, among open orders. Raises `Refusal` with that code and 'Unknown order sent.'"""
        try:
            order = self.find(order_id, client_order_id)
        except Refusal as refusal:
            raise Refusal(refusal_code, UNKNOWN_ORDER) from refusal
        if order.order_id not in self.live:
            raise Refusal(refusal_code, UNKNOWN_ORDER)
        return order

    def orders(self) -> list[Order]:
        """All orders there are, oldest first."""
        return sorted([*self.closed.values(), *self.live.values()], key=lambda order: order.order_id)

    def select_trades(self, from_id: int | None, order_id: int | None, limit: int) -> list[AccountTrade]:
        """Oldest first: the first `limit` trades from `from_id` on, or without it the newest `limit`; of one order if given."""
        chosen: list[AccountTrade] = []
        for trade in reversed(self.trades):
            if from_id is not None and trade.trade_id < from_id:
                break
            if order_id is None or trade.order_id == order_id:
                chosen.append(trade)
                if from_id is None and len(chosen) == limit:
                    break
        return list(islice(reversed(chosen), limit))

    def state(self) -> IndexState:
        """For the snapshot."""
        return IndexState(list(self.live.values()), list(self.closed.values()), list(self.trades))

    @classmethod
    def of_state(cls, state: IndexState, history_limit: int) -> OrderIndex:
        """As the snapshot left it."""
        index = cls(history_limit)
        for order in state.closed[-history_limit:]:
            index.closed[order.order_id] = order
        for order in [*state.live, *index.closed.values()]:
            newest = index.newest_by_client_id.get(order.client_order_id)
            if newest is None or newest.order_id < order.order_id:
                index.newest_by_client_id[order.client_order_id] = order
        index.live.update((order.order_id, order) for order in state.live)
        index.trades.extend(state.trades)
        return index


class Account:
    """One account. `free` and `locked` are atoms by asset; both are always at or above zero."""

    __slots__ = ("free", "history_limit", "indexes", "locked", "name")

    def __init__(self, name: str, balances: Mapping[str, int], history_limit: int) -> None:
        self.name = name
        self.free = dict(balances)
        self.locked = dict.fromkeys(balances, 0)
        self.history_limit = history_limit
        self.indexes: dict[str, OrderIndex] = {}

    def index(self, symbol: str) -> OrderIndex:
        """The orders of this account on a symbol."""
        index = self.indexes.get(symbol)
        if index is None:
            index = self.indexes[symbol] = OrderIndex(self.history_limit)
        return index

    def require(self, asset: str, amount_atoms: int) -> None:
        """Raise `Refusal` -2010 where less than this amount is free."""
        if self.free.get(asset, 0) < amount_atoms:
            raise Refusal(-2010, INSUFFICIENT_BALANCE)

    def credit(self, asset: str, amount_atoms: int) -> None:
        """Add to (or with a negative amount take from) the free balance."""
        self.free[asset] = self.free.get(asset, 0) + amount_atoms

    def lock(self, asset: str, amount_atoms: int) -> None:
        """Set a free amount aside for an order. Raises `Refusal` -2010."""
        self.require(asset, amount_atoms)
        self.free[asset] = self.free.get(asset, 0) - amount_atoms
        self.locked[asset] = self.locked.get(asset, 0) + amount_atoms

    def unlock(self, asset: str, amount_atoms: int) -> None:
        """Give a locked amount back."""
        self.locked[asset] -= amount_atoms
        self.free[asset] += amount_atoms

    def spend_locked(self, asset: str, locked_atoms: int, spent_atoms: int) -> None:
        """Pay `spent_atoms` out of a lock; what was locked beyond it is free again (a buyer at a better price than its limit)."""
        self.locked[asset] -= locked_atoms
        self.free[asset] += locked_atoms - spent_atoms

    def balances(self) -> list[Balance]:
        """Every asset the account ever held, by name."""
        return [Balance(asset, self.free[asset], self.locked.get(asset, 0)) for asset in sorted(self.free)]

    def state(self) -> AccountState:
        """For the snapshot."""
        indexes = {symbol: index.state() for symbol, index in self.indexes.items() if index.live or index.closed}
        return AccountState(self.name, self.free, self.locked, indexes)

    @classmethod
    def of_state(cls, state: AccountState, history_limit: int) -> Account:
        """As the snapshot left it."""
        account = cls(state.name, state.free, history_limit)
        account.locked = dict(state.locked)
        for symbol, index_state in state.indexes.items():
            account.indexes[symbol] = OrderIndex.of_state(index_state, history_limit)
        return account
