"""What a fill does to money: who pays, who receives, what fee the venue takes, and which balances changed in an operation."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from mmd.mock.accounts import Account
from mmd.mock.engine_events import AccountTrade, BalancesChanged, EngineEvent, Order, OrderType
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import OrderStatus


class FeeSchedule:
    """Maker and taker fee as exact fractions of what the order receives; below zero a rebate."""

    __slots__ = ("maker", "taker")

    def __init__(self, maker: Decimal, taker: Decimal) -> None:
        self.maker = maker.as_integer_ratio()
        self.taker = taker.as_integer_ratio()

    def fee_atoms(self, received_atoms: int, is_maker: bool) -> int:
        """The fee on an amount received, rounded toward zero to whole atoms of the same asset."""
        numerator, denominator = self.maker if is_maker else self.taker
        if numerator >= 0:
            return received_atoms * numerator // denominator
        return -(received_atoms * -numerator // denominator)


class TouchedBalances:
    """Collects, over one operation, which assets of which accounts changed."""

    __slots__ = ("_assets",)

    def __init__(self) -> None:
        self._assets: dict[str, dict[str, None]] = {}

    def note(self, account: str, *assets: str) -> None:
        """These assets of the account changed."""
        self._assets.setdefault(account, {}).update(dict.fromkeys(assets))

    def events(self, now_ns: int) -> list[EngineEvent]:
        """One event per account, in the order in which they were first touched."""
        return [BalancesChanged(account, tuple(assets), now_ns) for account, assets in self._assets.items()]


class Settlement:
    """Moves balances. Invariant: the balances of all accounts and `fees_collected` together are what was deposited."""

    __slots__ = ("_accounts", "_fees", "fees_collected")

    def __init__(self, accounts: Mapping[str, Account], fees: FeeSchedule) -> None:
        self._accounts = accounts
        self._fees = fees
        self.fees_collected: dict[str, int] = {}
        """Net fees by asset, in atoms; below zero where rebates outweigh."""

    def reserve(self, order: Order, instrument: Instrument, market_cost_atoms: int) -> str:
        """Lock what a limit order may cost; for a market order only require what it will cost. Returns the asset.

        Raises `Refusal` -2010 where the account has not enough of it free.
        """
        account = self._accounts[order.account]
        asset, amount = reserved(order, instrument)
        if order.order_type is OrderType.MARKET:
            account.require(asset, market_cost_atoms if order.side is Side.BUY else amount)
        else:
            account.lock(asset, amount)
        return asset

    def release(self, order: Order, instrument: Instrument, lots: int) -> str:
        """Unlock what `lots` of a limit order still hold. Returns the asset."""
        asset, amount = reserved(order, instrument, lots)
        if order.order_type is not OrderType.MARKET:
            self._accounts[order.account].unlock(asset, amount)
        return asset

    def settle(
        self, order: Order, instrument: Instrument, price_ticks: int, lots: int, trade_id: int, is_maker: bool, now_ns: int
    ) -> AccountTrade:
        """Book one fill of an account's order: balances, fee, the order's totals and status, the account's trade list.

        `executed_lots` must already hold the fill.
        """
        account = self._accounts[order.account]
        quote_atoms = price_ticks * lots * instrument.notional_atoms
        base_atoms = lots * instrument.lot_atoms
        if order.side is Side.BUY:
            paid_asset, paid, received_asset, received = instrument.quote_asset, quote_atoms, instrument.base_asset, base_atoms
        else:
            paid_asset, paid, received_asset, received = instrument.base_asset, base_atoms, instrument.quote_asset, quote_atoms
        if order.order_type is OrderType.MARKET:
            account.credit(paid_asset, -paid)
        else:
            account.spend_locked(paid_asset, reserved(order, instrument, lots)[1], paid)
        fee = self._fees.fee_atoms(received, is_maker)
        account.credit(received_asset, received - fee)
        self.fees_collected[received_asset] = self.fees_collected.get(received_asset, 0) + fee
        order.quote_executed_atoms += quote_atoms
        order.status = OrderStatus.FILLED if order.executed_lots == order.lots else OrderStatus.PARTIALLY_FILLED
        order.updated_ns = now_ns
        trade = AccountTrade(
            trade_id,
            order.order_id,
            order.account,
            order.symbol,
            order.side,
            price_ticks,
            lots,
            fee,
            received_asset,
            is_maker,
            now_ns,
            order.client_order_id,
        )
        account.index(order.symbol).trades.append(trade)
        return trade


def reserved(order: Order, instrument: Instrument, lots: int | None = None) -> tuple[str, int]:
    """Asset and atoms that `lots` (default: all remaining) of an order lock: quote at its limit for a buyer, base for a seller."""
    quantity = order.lots - order.executed_lots if lots is None else lots
    if order.side is Side.BUY:
        return instrument.quote_asset, order.price_ticks * quantity * instrument.notional_atoms
    return instrument.base_asset, quantity * instrument.lot_atoms
