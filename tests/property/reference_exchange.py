"""A slow exchange that is obviously right: one plain list of resting orders, sorted anew for each match, and Decimal balances.

It knows nothing of the engine but its vocabulary of enums; prices, quantities and money are decimals throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

ATOM = Decimal("0.00000001")
INSUFFICIENT = (-2010, "Account has insufficient balance for requested action.")
DUPLICATE = (-2010, "Duplicate order sent.")
WOULD_MATCH = (-2010, "Order would immediately match and take.")


class Refused(Exception):
    """Code and text."""


@dataclass
class RefOrder:
    number: int
    account: str
    client_id: str
    side: str
    kind: str
    tif: str
    price: Decimal
    quantity: Decimal
    executed: Decimal = Decimal(0)
    quote_executed: Decimal = Decimal(0)
    status: str = "NEW"

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed


@dataclass
class RefTrade:
    number: int
    price: Decimal
    quantity: Decimal
    buyer: int
    seller: int
    fees: dict[str, tuple[Decimal, str]] = field(default_factory=dict)


class ReferenceExchange:
    """One symbol, BASE against QUOTE. Account "" is the background: no money, no rules."""

    def __init__(self, lot: Decimal, maker_fee: Decimal, taker_fee: Decimal) -> None:
        self.lot = lot
        self.fee = {True: maker_fee, False: taker_fee}
        self.free: dict[str, dict[str, Decimal]] = {}
        self.locked: dict[str, dict[str, Decimal]] = {}
        self.resting: list[RefOrder] = []
        self.all_orders: list[RefOrder] = []
        self.trades: list[RefTrade] = []
        self.numbers = 0

    def open_account(self, name: str, base: Decimal, quote: Decimal) -> None:
        self.free[name] = {"BASE": base, "QUOTE": quote}
        self.locked[name] = {"BASE": Decimal(0), "QUOTE": Decimal(0)}

    def queue(self, side: str) -> list[RefOrder]:
        """Resting orders of a side by price, then time."""
        orders = [order for order in self.resting if order.side == side]
        return sorted(orders, key=lambda order: (-order.price if side == "BUY" else order.price, order.number))

    def ahead(self, order: RefOrder) -> list[RefOrder]:
        """The orders that one meets before any of its own account, best first."""
        met = []
        for resting in self.queue("SELL" if order.side == "BUY" else "BUY"):
            if order.kind != "MARKET" and not acceptable(order, resting.price):
                break
            if order.account and resting.account == order.account:
                break
            met.append(resting)
        return met

    def place(
        self, account: str, client_id: str, side: str, kind: str, tif: str, price: Decimal, quantity: Decimal, spend: Decimal
    ) -> RefOrder:
        order = RefOrder(self.numbers + 1, account, client_id, side, kind, tif, price, quantity)
        if account:
            if any(open_order.account == account and open_order.client_id == client_id for open_order in self.resting):
                raise Refused(*DUPLICATE)
            if kind == "LIMIT_MAKER" and any(acceptable(order, other.price) for other in self.resting if other.side != side):
                raise Refused(*WOULD_MATCH)
            if spend:
                order.quantity = self.quantity_for(order, spend)
            self.reserve(order)
        self.numbers += 1
        self.all_orders.append(order)
        if tif != "FOK" or sum(other.remaining for other in self.ahead(order)) >= order.remaining:
            for resting in self.ahead(order):
                if order.remaining:
                    self.trade(order, resting)
        self.finish(order)
        return order

    def quantity_for(self, order: RefOrder, spend: Decimal) -> Decimal:
        """One lot after the other for as long as the money lasts; beyond the last order at its price."""
        met = self.ahead(order)
        if not met:
            raise Refused(-2010, "Order book liquidity is less than symbol minimum quantity.")
        quantity = Decimal(0)
        for resting in met:
            offered = resting.remaining
            while spend >= resting.price * self.lot and (offered > 0 or resting is met[-1]):
                spend -= resting.price * self.lot
                offered -= self.lot
                quantity += self.lot
            if offered > 0:
                break
        if not quantity:
            raise Refused(-1013, "Filter failure: LOT_SIZE")
        return quantity

    def reserve(self, order: RefOrder) -> None:
        asset, amount = ("QUOTE", order.price * order.quantity) if order.side == "BUY" else ("BASE", order.quantity)
        if order.kind == "MARKET" and order.side == "BUY":
            left = order.quantity
            for resting in self.ahead(order):
                amount += resting.price * min(left, resting.remaining)
                left -= min(left, resting.remaining)
        if self.free[order.account][asset] < amount:
            raise Refused(*INSUFFICIENT)
        if order.kind != "MARKET":
            self.move(order, asset, amount)

    def move(self, order: RefOrder, asset: str, to_locked: Decimal) -> None:
        self.free[order.account][asset] -= to_locked
        self.locked[order.account][asset] += to_locked

    def release(self, order: RefOrder, quantity: Decimal) -> None:
        if order.account and order.kind != "MARKET":
            asset, amount = ("QUOTE", order.price * quantity) if order.side == "BUY" else ("BASE", quantity)
            self.move(order, asset, -amount)

    def trade(self, taker: RefOrder, maker: RefOrder) -> None:
        quantity = min(taker.remaining, maker.remaining)
        value = quantity * maker.price
        buyer, seller = (taker, maker) if taker.side == "BUY" else (maker, taker)
        trade = RefTrade(len(self.trades) + 1, maker.price, quantity, buyer.number, seller.number)
        for order in (taker, maker):
            self.release(order, quantity)
            order.executed += quantity
            order.quote_executed += value
            order.status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
            if order.account:
                free = self.free[order.account]
                got, received, gave, given = ("BASE", quantity, "QUOTE", value)
                if order.side == "SELL":
                    got, received, gave, given = gave, given, got, received
                fee = (received * self.fee[order is maker]).quantize(ATOM, ROUND_DOWN)
                free[gave] -= given
                free[got] += received - fee
                trade.fees[order.account] = (fee, got)
        if not maker.remaining:
            self.resting.remove(maker)
        self.trades.append(trade)

    def finish(self, order: RefOrder) -> None:
        if not order.remaining:
            return
        opposite = self.queue("SELL" if order.side == "BUY" else "BUY")
        next_in_line = opposite[0] if opposite else None
        tried = order.tif != "FOK"
        if (
            tried
            and order.account
            and next_in_line
            and next_in_line.account == order.account
            and (order.kind == "MARKET" or acceptable(order, next_in_line.price))
        ):
            order.status = "EXPIRED_IN_MATCH"
        elif order.kind == "MARKET" or order.tif != "GTC":
            order.status = "EXPIRED"
        else:
            self.resting.append(order)
            return
        self.release(order, order.remaining)

    def cancel(self, account: str, number: int, refusal: tuple[int, str] = (-2011, "Unknown order sent.")) -> RefOrder:
        order = self.find_resting(account, number, refusal)
        self.resting.remove(order)
        self.release(order, order.remaining)
        order.status = "CANCELED"
        return order

    def amend(self, account: str, number: int, quantity: Decimal, client_id: str) -> RefOrder:
        order = self.find_resting(account, number, (-2038, "Unknown order sent."))
        if quantity > order.quantity:
            raise Refused(-2038, "Order amend (quantity increase) is not supported.")
        if quantity == order.quantity:
            raise Refused(-2038, "The requested action would change no state; rejecting.")
        if quantity <= order.executed:
            raise Refused(-2038, "Order amend (quantity at or below the executed quantity) is not supported.")
        if client_id and any(o.account == account and o.client_id == client_id and o is not order for o in self.resting):
            raise Refused(-2038, "Duplicate order sent.")
        self.release(order, order.quantity - quantity)
        order.quantity = quantity
        order.client_id = client_id or order.client_id
        return order

    def find_resting(self, account: str, number: int, refusal: tuple[int, str]) -> RefOrder:
        for order in self.resting:
            if order.account == account and order.number == number:
                return order
        raise Refused(*refusal)

    def depth(self, side: str) -> list[tuple[Decimal, Decimal]]:
        levels: dict[Decimal, Decimal] = {}
        for order in self.queue(side):
            levels[order.price] = levels.get(order.price, Decimal(0)) + order.remaining
        return list(levels.items())


def acceptable(order: RefOrder, price: Decimal) -> bool:
    """Whether an order's limit allows trading at a price."""
    return price <= order.price if order.side == "BUY" else price >= order.price
