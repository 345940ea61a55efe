"""Margin accounts in one-way mode: signed positions at their average entry, profit realised into the wallet, cross margin.

Money is exact: an entry is kept as its cost in quote atoms, of which closing releases a share, rounded toward zero; what is rounded
away stays in the cost.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmd.mock.accounts import Account
from mmd.mock.engine_events import AccountTrade, Order, Refusal
from mmd.mock.engine_settlement import FeeSchedule, Settlement
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import OrderStatus

MARGIN_INSUFFICIENT = "Margin is insufficient."
_REALISED_KEPT = 10_000


@dataclass(slots=True)
class MarginPosition:
    """One account's position in one perpetual. `cost_atoms` bears the sign of `lots`."""

    lots: int = 0
    cost_atoms: int = 0
    realised_atoms: int = 0
    updated_ns: int = 0

    def trade(self, signed_lots: int, price_ticks: int, notional_atoms: int) -> int:
        """Add to or take from the position; returns the profit realised, quote atoms."""
        realised = 0
        if self.lots * signed_lots < 0:
            closed = min(abs(signed_lots), abs(self.lots))
            sign = 1 if self.lots > 0 else -1
            released = sign * (abs(self.cost_atoms) * closed // abs(self.lots))
            realised = sign * closed * price_ticks * notional_atoms - released
            self.cost_atoms -= released
            self.lots -= sign * closed
            signed_lots += sign * closed
        self.lots += signed_lots
        self.cost_atoms += signed_lots * price_ticks * notional_atoms
        self.realised_atoms += realised
        return realised

    def unrealised_atoms(self, mark_ticks: int, notional_atoms: int) -> int:
        """Profit at a price."""
        return self.lots * mark_ticks * notional_atoms - self.cost_atoms

    def entry_ticks(self, notional_atoms: int) -> float:
        """Average entry price, 0 when flat."""
        return self.cost_atoms / (self.lots * notional_atoms) if self.lots else 0.0


class MarginSettlement(Settlement):
    """Fills change positions, profit and fees change the wallet (the account's free quote balance); nothing is ever locked."""

    def __init__(
        self,
        accounts: Mapping[str, Account],
        instruments: Mapping[str, Instrument],
        fees: FeeSchedule,
        leverage: int,
        mark_ticks: Callable[[str], int],
    ) -> None:
        super().__init__(accounts, fees)
        self._margin_accounts = accounts
        self._instruments = instruments
        self._fee_schedule = fees
        self._mark_ticks = mark_ticks
        self.leverage = leverage
        self.positions: dict[tuple[str, str], MarginPosition] = {}
        self.realised_by_trade: OrderedDict[tuple[str, str, int], int] = OrderedDict()
        """Profit that an account's trade realised, by (account, symbol, trade id): the newest."""

    def position(self, account: str, symbol: str) -> MarginPosition:
        """The account's position; a new one is flat."""
        return self.positions.setdefault((account, symbol), MarginPosition())

    def equity_atoms(self, account: str, quote_asset: str) -> int:
        """Wallet and unrealised profit at the marks."""
        unrealised = sum(
            position.unrealised_atoms(self._mark_ticks(symbol), self._instruments[symbol].notional_atoms)
            for (owner, symbol), position in self.positions.items()
            if owner == account
        )
        return self._margin_accounts[account].free.get(quote_asset, 0) + unrealised

    def initial_margin_atoms(self, account: str, besides: tuple[Order, int, int] | None = None) -> int:
        """What positions and open orders bind: of each symbol its larger side, at the mark or the limit, over the leverage.

        `besides` (order, price, lots) counts one order as if it stood so.
        """
        return sum(self._symbol_margin(account, symbol, besides) for symbol in self._instruments)

    def check(self, order: Order, price_ticks: int, lots: int) -> None:
        """Raise `Refusal` -2019 where the order, standing so, would bind more than there is. What binds no more always passes."""
        before = self.initial_margin_atoms(order.account)
        after = self.initial_margin_atoms(order.account, (order, price_ticks, lots))
        quote_asset = self._instruments[order.symbol].quote_asset
        if after > before and after > self.equity_atoms(order.account, quote_asset):
            raise Refusal(-2019, MARGIN_INSUFFICIENT)

    def reserve(self, order: Order, instrument: Instrument, market_cost_atoms: int) -> str:
        """Check the margin of a new order."""
        price_ticks = order.price_ticks or self._mark_ticks(order.symbol)
        self.check(order, price_ticks, order.lots)
        return instrument.quote_asset

    def release(self, order: Order, instrument: Instrument, lots: int) -> str:
        """Nothing was locked."""
        return instrument.quote_asset

    def settle(
        self, order: Order, instrument: Instrument, price_ticks: int, lots: int, trade_id: int, is_maker: bool, now_ns: int
    ) -> AccountTrade:
        """Book one fill: position, realised profit, fee, the order's totals and status, the account's trade list."""
        account = self._margin_accounts[order.account]
        notional = price_ticks * lots * instrument.notional_atoms
        position = self.position(order.account, order.symbol)
        realised = position.trade(order.side.sign * lots, price_ticks, instrument.notional_atoms)
        position.updated_ns = now_ns
        fee = self._fee_schedule.fee_atoms(notional, is_maker)
        account.credit(instrument.quote_asset, realised - fee)
        self.fees_collected[instrument.quote_asset] = self.fees_collected.get(instrument.quote_asset, 0) + fee
        order.quote_executed_atoms += notional
        order.status = OrderStatus.FILLED if order.executed_lots == order.lots else OrderStatus.PARTIALLY_FILLED
        order.updated_ns = now_ns
        self._remember(order, trade_id, realised)
        trade = AccountTrade(
            trade_id,
            order.order_id,
            order.account,
            order.symbol,
            order.side,
            price_ticks,
            lots,
            fee,
            instrument.quote_asset,
            is_maker,
            now_ns,
            order.client_order_id,
        )
        account.index(order.symbol).trades.append(trade)
        return trade

    def _remember(self, order: Order, trade_id: int, realised: int) -> None:
        self.realised_by_trade[order.account, order.symbol, trade_id] = realised
        if len(self.realised_by_trade) > _REALISED_KEPT:
            self.realised_by_trade.popitem(last=False)

    def _symbol_margin(self, account: str, symbol: str, besides: tuple[Order, int, int] | None) -> int:
        instrument, mark_ticks = self._instruments[symbol], self._mark_ticks(symbol)
        position = self.positions.get((account, symbol))
        held = position.lots * mark_ticks if position is not None else 0
        sides = {Side.BUY: 0, Side.SELL: 0}
        for order in self._margin_accounts[account].index(symbol).live.values():
            if besides is None or order.order_id != besides[0].order_id:
                sides[order.side] += order.remaining_lots * max(order.price_ticks, mark_ticks)
        if besides is not None and besides[0].symbol == symbol:
            order, price_ticks, lots = besides
            sides[order.side] += (lots - order.executed_lots) * max(price_ticks, mark_ticks)
        worst = max(abs(held + sides[Side.BUY]), abs(held - sides[Side.SELL]))
        return worst * instrument.notional_atoms // self.leverage
