"""Orders and what becomes of them: commands that the core gives, and events in which the venue answers.

An order is confirmed, rejected, denied locally, or *unknown*: unknown is a state, never read as failure.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from mmd.types.market import Side


class OrderStatus(Enum):
    """The venue's own word for an order's state."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def is_open(self) -> bool:
        """Whether the order can still trade."""
        return self in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


# ---- commands: what the core wants done. `decided_ns` is the receive time of the event that caused it; the rim derives the
# ---- request's timestamp from it, so that a replay encodes the same bytes.


class PlaceOrder(msgspec.Struct, frozen=True, gc=False):
    """Send one limit order. `post_only` makes it LIMIT_MAKER; without it the order is IOC (flattening only)."""

    decided_ns: int
    client_order_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int
    post_only: bool = True


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    """Cancel one of ours by client id."""

    decided_ns: int
    client_order_id: str
    symbol: str


class ReplaceOrder(msgspec.Struct, frozen=True, gc=False):
    """Cancel `cancel_client_order_id` and place the new order in one message (cancelReplace, STOP_ON_FAILURE)."""

    decided_ns: int
    cancel_client_order_id: str
    client_order_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int


class AmendOrder(msgspec.Struct, frozen=True, gc=False):
    """Reduce a resting order's quantity to `lots` (its new total), keeping its priority. It gets `new_client_order_id`."""

    decided_ns: int
    client_order_id: str
    new_client_order_id: str
    symbol: str
    lots: int


class ModifyOrder(msgspec.Struct, frozen=True, gc=False):
    """Give a resting order another price and another total quantity (what is filled included). It keeps its ids, not its place.

    The venue cancels it instead where the quantity is filled already, or where it is post-only and would take at the new price.
    """

    decided_ns: int
    client_order_id: str
    symbol: str
    side: Side
    price_ticks: int
    lots: int


class QueryOrder(msgspec.Struct, frozen=True, gc=False):
    """Ask what became of an order whose outcome is unknown."""

    decided_ns: int
    client_order_id: str
    symbol: str


class RequestDepthSnapshot(msgspec.Struct, frozen=True, gc=False):
    """Fetch the book by REST: the sync of `symbol` needs it."""

    decided_ns: int
    symbol: str


class RequestReconciliation(msgspec.Struct, frozen=True, gc=False):
    """Fetch balances, open orders and the trades after `after_trade_ids` (symbol, last trade id we booked; -1 for none).

    Of perpetuals also positions, and the funding since `funding_since_ns` (symbol, UTC ns of the newest booked; 0 for none).
    """

    decided_ns: int
    reason: str
    after_trade_ids: tuple[tuple[str, int], ...]
    funding_since_ns: tuple[tuple[str, int], ...] = ()


# ---- events: what the venue (through an adapter) says about orders.


class OrderAccepted(msgspec.Struct, frozen=True, gc=False):
    """The request was acknowledged: the order rests (or rested) at the venue."""

    receive_ns: int
    symbol: str
    client_order_id: str
    exchange_order_id: int


class OrderRejected(msgspec.Struct, frozen=True, gc=False):
    """The venue refused a placement; no such order lives. `code` and `message` are the venue's.

    `would_take`: a post-only order that the market had run into by then, which is no error of anybody's.
    """

    receive_ns: int
    symbol: str
    client_order_id: str
    code: int
    message: str
    would_take: bool = False


class CancelRejected(msgspec.Struct, frozen=True, gc=False):
    """The venue refused a cancel or amend (-2011, -2038): the order may be filled, cancelled or never arrived. Query decides."""

    receive_ns: int
    symbol: str
    client_order_id: str
    code: int
    message: str


class OutcomeUnknown(msgspec.Struct, frozen=True, gc=False):
    """A request was written but its outcome is not known (connection lost, 5xx, -1007, no answer in time)."""

    receive_ns: int
    symbol: str
    client_order_id: str
    detail: str


class OrderUpdate(msgspec.Struct, frozen=True, gc=False):
    """State of one order as the venue sees it: from the user data stream or the answer to a query. Fills come as `Fill`.

    `replaced_client_order_id` is the id the order bore before an amend, or of which this one is the cancellation (Binance `C`).
    """

    receive_ns: int
    symbol: str
    client_order_id: str
    exchange_order_id: int
    side: Side
    price_ticks: int
    lots: int
    filled_lots: int
    status: OrderStatus
    exchange_ns: int
    replaced_client_order_id: str = ""


class OrderNotFound(msgspec.Struct, frozen=True, gc=False):
    """A query answered 'Order does not exist.' `query_exchange_ms` is the query's timestamp on the venue's clock."""

    receive_ns: int
    symbol: str
    client_order_id: str
    query_exchange_ms: int


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One trade of ours. `fee_atoms` (1e-8 of `fee_asset`) is negative for a rebate. Booked once, by `trade_id`."""

    receive_ns: int
    symbol: str
    trade_id: int
    client_order_id: str
    exchange_order_id: int
    side: Side
    price_ticks: int
    lots: int
    fee_atoms: int
    fee_asset: str
    is_maker: bool
    exchange_ns: int


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One asset of the account, in atoms."""

    asset: str
    free_atoms: int
    locked_atoms: int

    @property
    def total_atoms(self) -> int:
        """Free and locked."""
        return self.free_atoms + self.locked_atoms


class BalanceReport(msgspec.Struct, frozen=True, gc=False):
    """Balances pushed by the user data stream (only the assets that changed)."""

    receive_ns: int
    exchange_ns: int
    balances: tuple[Balance, ...]


class ExternalBalanceChange(msgspec.Struct, frozen=True, gc=False):
    """A balance moved that was no trade (deposit, transfer): an event of its own, which pauses."""

    receive_ns: int
    asset: str
    delta_atoms: int


class FundingPaid(msgspec.Struct, frozen=True, gc=False):
    """One funding payment of a perpetual position. `amount_atoms` (1e-8 of `asset`) is below zero where we paid.

    Booked once, by `funding_id`, which grows with time within a symbol.
    """

    receive_ns: int
    symbol: str
    funding_id: int
    amount_atoms: int
    asset: str
    exchange_ns: int


class Position(msgspec.Struct, frozen=True, gc=False):
    """A perpetual position as the venue states it. `mark_ticks` is the venue's mark price, `leverage` what it lets us borrow."""

    symbol: str
    base_atoms: int
    mark_ticks: int
    leverage: int


class Margin(msgspec.Struct, frozen=True, gc=False):
    """Collateral of a futures account, atoms of the quote asset: all of it with unrealised profit, and what is free of it."""

    equity_atoms: int
    available_atoms: int


class DeadMansSwitchLapsed(msgspec.Struct, frozen=True, gc=False):
    """The venue's dead-man's switch has run out, or may have: it cancels everything of the symbol, and we were silent too long."""

    receive_ns: int
    symbol: str
    detail: str


class ForcedTrade(msgspec.Struct, frozen=True, gc=False):
    """The venue itself trades on our position: liquidation, auto-deleveraging, or settlement."""

    receive_ns: int
    symbol: str
    detail: str


class ReconciliationReport(msgspec.Struct, frozen=True):
    """The venue's view of the account, gathered between `requested_ns` (ours) and `receive_ns`.

    `open_orders` are all open orders of the symbols we trade, ours or not; `trades` those after the ids asked for, oldest first,
    with `client_order_id` empty where the venue's trade list names only its own order id. `positions` (a symbol that it lacks is
    flat), `funding` and `margin` are of perpetuals only.
    """

    receive_ns: int
    requested_ns: int
    balances: tuple[Balance, ...]
    open_orders: tuple[OrderUpdate, ...]
    trades: tuple[Fill, ...]
    positions: tuple[Position, ...] = ()
    funding: tuple[FundingPaid, ...] = ()
    margin: Margin | None = None


class ReconciliationFailed(msgspec.Struct, frozen=True, gc=False):
    """The venue's view could not be had; the core asks again."""

    receive_ns: int
    detail: str


class OrderChannelStatus(msgspec.Struct, frozen=True, gc=False):
    """Order entry (with the user data stream) came up or went down. Down: every request in flight is unknown."""

    receive_ns: int
    connected: bool
    detail: str = ""


class OrderBudgetReport(msgspec.Struct, frozen=True, gc=False):
    """The venue's own count of our orders in its interval (its rate-limit headers): `used` of `limit` in `interval_ns`."""

    receive_ns: int
    used: int
    limit: int
    interval_ns: int


class RateLimited(msgspec.Struct, frozen=True, gc=False):
    """The venue bids us wait (429, 418) until `until_ns` of our clock."""

    receive_ns: int
    until_ns: int
    detail: str


class ClockSync(msgspec.Struct, frozen=True, gc=False):
    """A measurement of the venue's clock: its time minus ours, in ns, and half the round trip."""

    receive_ns: int
    offset_ns: int
    uncertainty_ns: int


class InstrumentsLoaded(msgspec.Struct, frozen=True):
    """The venue's filters were read at start."""

    receive_ns: int
    symbols: tuple[str, ...]
