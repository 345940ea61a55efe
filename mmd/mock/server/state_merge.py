"""A checkpoint brought up to date with the journal records that follow it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mmd.mock.engine import AccountTrade, Order
from mmd.mock.engine_snapshot import AccountState, EngineState, IndexState, SymbolState
from mmd.types.orders import Balance

CRASH_MARGIN = 1_000_000
"""Ids skipped after a crash. The market uses ids without recording each; a checkpoint is due long before it has used so many."""


class JournalRecord(msgspec.Struct, frozen=True):
    """What one operation did to accounts: the orders as they are after it, its trades, and the balances that changed."""

    orders: list[Order]
    trades: list[AccountTrade]
    balances: dict[str, list[Balance]]


class _Account:
    def __init__(self, name: str, free: dict[str, int], locked: dict[str, int]) -> None:
        self.name = name
        self.free = free
        self.locked = locked
        self.orders: dict[str, dict[int, Order]] = {}
        # An account that traded with itself has the same trade twice, once for each order.
        self.trades: dict[str, dict[tuple[int, int], AccountTrade]] = {}

    @classmethod
    def of(cls, state: AccountState) -> _Account:
        account = cls(state.name, dict(state.free), dict(state.locked))
        for symbol, index in state.indexes.items():
            account.orders[symbol] = {order.order_id: order for order in (*index.closed, *index.live)}
            account.trades[symbol] = {(trade.trade_id, trade.order_id): trade for trade in index.trades}
        return account

    def state(self) -> AccountState:
        indexes: dict[str, IndexState] = {}
        for symbol in self.orders.keys() | self.trades.keys():
            orders = self.orders.get(symbol, {}).values()
            indexes[symbol] = IndexState(
                live=[order for order in orders if order.status.is_open],
                closed=[order for order in orders if not order.status.is_open],
                trades=sorted(self.trades.get(symbol, {}).values(), key=lambda trade: trade.trade_id),
            )
        return AccountState(self.name, self.free, self.locked, indexes)


def merge(state: EngineState, records: Iterable[JournalRecord], *, after_crash: bool) -> EngineState:
    """The engine's state after these records; `after_crash` moves every id counter beyond what may have been used unrecorded."""
    accounts = {account.name: _Account.of(account) for account in state.accounts}
    fees = dict(state.fees_collected)
    last_order_id, last_prevented_id = state.last_order_id, state.last_prevented_match_id
    last_trade_ids = {symbol: counters.last_trade_id for symbol, counters in state.symbols.items()}
    for record in records:
        for order in record.orders:
            orders = accounts[order.account].orders.setdefault(order.symbol, {})
            # An order enters the history when it closes, so it moves to the end.
            orders.pop(order.order_id, None)
            orders[order.order_id] = order
            last_order_id = max(last_order_id, order.order_id)
            last_prevented_id = max(last_prevented_id, order.prevented_match_id)
        for trade in record.trades:
            accounts[trade.account].trades.setdefault(trade.symbol, {})[trade.trade_id, trade.order_id] = trade
            fees[trade.fee_asset] = fees.get(trade.fee_asset, 0) + trade.fee_atoms
            last_trade_ids[trade.symbol] = max(last_trade_ids[trade.symbol], trade.trade_id)
        for name, balances in record.balances.items():
            for balance in balances:
                accounts[name].free[balance.asset] = balance.free_atoms
                accounts[name].locked[balance.asset] = balance.locked_atoms
    margin = CRASH_MARGIN if after_crash else 0
    symbols = {
        symbol: SymbolState(counters.update_id + margin, last_trade_ids[symbol] + margin, counters.last_price_ticks)
        for symbol, counters in state.symbols.items()
    }
    states = [account.state() for account in accounts.values()]
    return EngineState(state.version, last_order_id + margin, fees, symbols, states, last_prevented_id)
