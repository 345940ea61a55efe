"""What goes into the matching engine and what comes out of it: orders, refusals, and the events of every operation.

Prices in ticks, quantities in lots, money in atoms, times in UTC nanoseconds, as everywhere.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from mmd.types.market import Level, Side
from mmd.types.orders import OrderStatus

BACKGROUND = ""
"""Account of the simulated participants: it has no balances, passes no filters and gets no reports."""


class Refusal(Exception):
    """The venue says no: Binance's error code and its exact text, since clients match on the texts."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class OrderType(Enum):
    """Order types of the venue. LIMIT_MAKER is refused where it would take."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(Enum):
    """How long a LIMIT order may live: until cancelled, for one match, or for one match of all of it."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class SelfTradePrevention(Enum):
    """What happens where an order meets one of its own account: the taker's mode decides."""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"

    @property
    def expires_makers(self) -> bool:
        """Whether the resting order goes."""
        return self in (SelfTradePrevention.EXPIRE_MAKER, SelfTradePrevention.EXPIRE_BOTH)

    @property
    def expires_taker(self) -> bool:
        """Whether the incoming order goes."""
        return self in (SelfTradePrevention.EXPIRE_TAKER, SelfTradePrevention.EXPIRE_BOTH)


class ExecutionType:
    """Binance's `x` of an order report."""

    NEW = "NEW"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    REJECTED = "REJECTED"
    TRADE = "TRADE"
    EXPIRED = "EXPIRED"
    TRADE_PREVENTION = "TRADE_PREVENTION"


class NewOrder(msgspec.Struct, frozen=True, gc=False):
    """A request to place an order. A MARKET order has `price_ticks` 0, and either `lots` or `quote_atoms` (quoteOrderQty).

    With an empty `client_order_id` the engine makes one of the order id.
    """

    account: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce | None
    price_ticks: int
    lots: int
    quote_atoms: int = 0
    client_order_id: str = ""
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.EXPIRE_TAKER


class Order(msgspec.Struct, gc=False):
    """One order's present state. Kept by the engine: read it, never write it."""

    order_id: int
    account: str
    client_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    lots: int
    """Total quantity. Of a MARKET order by quote quantity: what that amount bought or sold."""
    executed_lots: int
    quote_executed_atoms: int
    status: OrderStatus
    created_ns: int
    updated_ns: int
    quote_atoms: int = 0
    """quoteOrderQty of a MARKET order, 0 of every other."""
    amends: int = 0
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.EXPIRE_TAKER
    prevented_lots: int = 0
    """What expired so as not to trade with an order of the same account."""
    prevented_match_id: int = -1

    @property
    def remaining_lots(self) -> int:
        """What is not executed."""
        return self.lots - self.executed_lots


class AccountTrade(msgspec.Struct, frozen=True, gc=False):
    """One trade of an account. `fee_atoms` is counted in `fee_asset`, the asset received; below zero it is a rebate."""

    trade_id: int
    order_id: int
    account: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    fee_atoms: int
    fee_asset: str
    is_maker: bool
    time_ns: int
    client_order_id: str


class OrderReport(msgspec.Struct, frozen=True, gc=False):
    """What happened to an order of an account, with the order's fields as they are after it (Binance's executionReport).

    `client_order_id` and `original_client_order_id` are Binance's `c` and `C`: of a cancel, the first is the cancel's own id (where
    it brought one) and the second the order's; of an amend, the new id and the one before; else the second is empty.
    """

    account: str
    symbol: str
    execution_type: str
    order_id: int
    client_order_id: str
    original_client_order_id: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price_ticks: int
    lots: int
    executed_lots: int
    quote_executed_atoms: int
    quote_atoms: int
    status: OrderStatus
    created_ns: int
    trade: AccountTrade | None
    time_ns: int
    reject_reason: str = "NONE"
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.EXPIRE_TAKER
    prevention: PreventedMatch | None = None


class PreventedMatch(msgspec.Struct, frozen=True, gc=False):
    """An order that met one of its own account, seen from one of the two: what of it expired, and who the other was."""

    match_id: int
    prevented_lots: int
    counter_order_id: int
    counter_lots: int
    price_ticks: int


class TradePrint(msgspec.Struct, frozen=True, gc=False):
    """One trade as the public sees it. `lots` at `price_ticks`; the buyer was the maker where `buyer_is_maker`."""

    symbol: str
    trade_id: int
    price_ticks: int
    lots: int
    buyer_is_maker: bool
    buyer_order_id: int
    seller_order_id: int
    time_ns: int


class BalancesChanged(msgspec.Struct, frozen=True, gc=False):
    """These assets of the account are not what they were before the operation; once per account and operation, at its end."""

    account: str
    assets: tuple[str, ...]
    time_ns: int


class BalanceTransferred(msgspec.Struct, frozen=True, gc=False):
    """A balance moved that was no trade: a deposit, or with `delta_atoms` below zero a withdrawal (Binance's balanceUpdate)."""

    account: str
    asset: str
    delta_atoms: int
    time_ns: int


EngineEvent = OrderReport | TradePrint | BalancesChanged | BalanceTransferred


class DepthChanges(msgspec.Struct, frozen=True, gc=False):
    """Levels that changed between two looks, best first, with their quantity now (0: gone). Update ids as Binance's `U` and `u`."""

    symbol: str
    first_update_id: int
    final_update_id: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class ReplaceResult(Enum):
    """What became of one half of a cancelReplace."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    NOT_ATTEMPTED = "NOT_ATTEMPTED"


class CancelReplaceOutcome(msgspec.Struct, frozen=True):
    """Both halves of a cancelReplace, and the events of both in order."""

    cancel_result: ReplaceResult
    new_order_result: ReplaceResult
    cancelled: Order | None
    placed: Order | None
    cancel_refusal: Refusal | None
    new_order_refusal: Refusal | None
    events: list[EngineEvent]

    @property
    def code(self) -> int:
        """0 where both succeeded, -2021 (HTTP 409) where one of the two did, -2022 (HTTP 400) where none did."""
        succeeded = (self.cancel_result is ReplaceResult.SUCCESS) + (self.new_order_result is ReplaceResult.SUCCESS)
        return (-2022, -2021, 0)[succeeded]


def report(
    order: Order,
    execution_type: str,
    time_ns: int,
    *,
    trade: AccountTrade | None = None,
    client_order_id: str = "",
    original_client_order_id: str = "",
    reject_reason: str = "NONE",
    prevention: PreventedMatch | None = None,
) -> OrderReport:
    """The report of an order as it is now, under `client_order_id` if one is given."""
    return OrderReport(
        order.account,
        order.symbol,
        execution_type,
        order.order_id,
        client_order_id or order.client_order_id,
        original_client_order_id,
        order.side,
        order.order_type,
        order.time_in_force,
        order.price_ticks,
        order.lots,
        order.executed_lots,
        order.quote_executed_atoms,
        order.quote_atoms,
        order.status,
        order.created_ns,
        trade,
        time_ns,
        reject_reason,
        order.self_trade_prevention,
        prevention,
    )
