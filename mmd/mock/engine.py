"""The matching engine of the mock exchange: price-time priority, accounts with locked balances, fees, Binance's refusals.

A synchronous state machine: every operation takes the time it happens at and returns the events it caused, in order. It reads no
clock and draws no random numbers, so the same calls give the same exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

from mmd.mock.accounts import Account
from mmd.mock.engine_book import Book
from mmd.mock.engine_events import (
    BACKGROUND,
    AccountTrade,
    BalancesChanged,
    BalanceTransferred,
    CancelReplaceOutcome,
    DepthChanges,
    EngineEvent,
    ExecutionType,
    NewOrder,
    Order,
    OrderReport,
    OrderType,
    Refusal,
    ReplaceResult,
    SelfTradePrevention,
    TimeInForce,
    TradePrint,
    report,
)
from mmd.mock.engine_filters import DUPLICATE_ORDER, check_amend, check_filters, check_parameters
from mmd.mock.engine_matching import Matcher, rejection
from mmd.mock.engine_snapshot import VERSION, EngineState, SnapshotError, SymbolState, decode, encode
from mmd.types.instrument import Instrument
from mmd.types.market import Level, Side
from mmd.types.orders import Balance, OrderStatus

__all__ = [
    "BACKGROUND",
    "AccountTrade",
    "BalanceTransferred",
    "BalancesChanged",
    "CancelReplaceOutcome",
    "DepthChanges",
    "EngineEvent",
    "ExecutionType",
    "MatchingEngine",
    "NewOrder",
    "Order",
    "OrderReport",
    "OrderType",
    "Refusal",
    "ReplaceResult",
    "SelfTradePrevention",
    "SnapshotError",
    "TimeInForce",
    "TradePrint",
]


class MatchingEngine:
    """Books and accounts of some symbols.

    `maker_fee` and `taker_fee` are fractions of what an order receives, taken in that asset; below zero they are rebates. Each
    account keeps its newest `history_limit` closed orders and as many trades for each symbol.

    Operations on an unknown symbol raise `Refusal` -1121; on an unknown account `ValueError`, since keys are the server's business.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        maker_fee: Decimal = Decimal(0),
        taker_fee: Decimal = Decimal("0.0005"),
        history_limit: int = 10_000,
    ) -> None:
        self.maker_fee = maker_fee
        self.taker_fee = taker_fee
        self._history_limit = history_limit
        self._matcher = Matcher(instruments, maker_fee, taker_fee)
        self.instruments: Mapping[str, Instrument] = self._matcher.instruments
        self._books = self._matcher.books
        self._accounts = self._matcher.accounts

    @property
    def fees_collected(self) -> Mapping[str, int]:
        """Net fees that accounts paid, in atoms by asset; below zero where rebates outweigh."""
        return self._matcher.settlement.fees_collected

    @property
    def admit(self) -> Callable[[NewOrder], None] | None:
        """Asked before an account's order enters the book; raises a `Refusal` to keep it out. None: every order may."""
        return self._matcher.admit

    @admit.setter
    def admit(self, ask: Callable[[NewOrder], None] | None) -> None:
        self._matcher.admit = ask

    # ---- accounts

    def open_account(self, name: str, balances: Mapping[str, int]) -> None:
        """Open an account with free balances in atoms by asset. Raises `ValueError` for a name in use, or a negative balance."""
        if name == BACKGROUND or name in self._accounts:
            raise ValueError(f"account {name!r} cannot be opened: the name is {'reserved' if name == BACKGROUND else 'in use'}")
        if any(amount < 0 for amount in balances.values()):
            raise ValueError(f"account {name!r} cannot be opened with a balance below zero: {dict(balances)}")
        self._accounts[name] = Account(name, balances, self._history_limit)

    def accounts(self) -> list[str]:
        """Names of all accounts."""
        return list(self._accounts)

    def transfer(self, account: str, asset: str, delta_atoms: int, now_ns: int) -> list[EngineEvent]:
        """Deposit, or with an amount below zero withdraw. Raises `Refusal` -2010 where less is free."""
        holder = self._account(account)
        holder.require(asset, -delta_atoms)
        holder.credit(asset, delta_atoms)
        return [BalanceTransferred(account, asset, delta_atoms, now_ns), BalancesChanged(account, (asset,), now_ns)]

    def balances(self, account: str) -> list[Balance]:
        """Every asset the account ever held, by name."""
        return self._account(account).balances()

    # ---- orders of accounts

    def check(self, new: NewOrder) -> None:
        """Raise the `Refusal` of the first parameter rule or filter that the order fails; places nothing."""
        book = self._book(new.symbol)
        check_parameters(new)
        reference_ticks = book.last_price_ticks or book.bids.best_ticks() or book.asks.best_ticks()
        open_orders = len(self._account(new.account).index(new.symbol).live)
        check_filters(self.instruments[new.symbol], new, reference_ticks=reference_ticks, open_orders=open_orders)

    def place(self, new: NewOrder, now_ns: int) -> tuple[Order, list[EngineEvent]]:
        """Place an order for an account: match it, then rest or expire what remains.

        Raises `Refusal`: parameters and filters (see `check`), -2010 for a client id that is live, a LIMIT_MAKER that would take,
        too small a balance, or a quoteOrderQty that meets an empty book.
        """
        self.check(new)
        return self._matcher.place(new, now_ns)

    def cancel(
        self,
        account: str,
        symbol: str,
        now_ns: int,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        new_client_order_id: str = "",
    ) -> tuple[Order, list[EngineEvent]]:
        """Cancel an open order by either id (both must agree). Raises `Refusal` -2011."""
        order = self._live_order(account, symbol, order_id, client_order_id, -2011)
        self._books[symbol].remove(order)
        asset = self._matcher.close(order, OrderStatus.CANCELED, now_ns)
        events: list[EngineEvent] = [
            report(
                order,
                ExecutionType.CANCELED,
                now_ns,
                client_order_id=new_client_order_id,
                original_client_order_id=order.client_order_id,
            ),
            BalancesChanged(account, (asset,), now_ns),
        ]
        return order, events

    def cancel_replace(
        self,
        account: str,
        symbol: str,
        now_ns: int,
        *,
        cancel_order_id: int | None = None,
        cancel_client_order_id: str | None = None,
        new: NewOrder,
        stop_on_failure: bool,
        cancel_new_client_order_id: str = "",
    ) -> CancelReplaceOutcome:
        """Cancel one order and place another of the same account and symbol.

        The new order's filters come first: `Refusal` is raised for them before anything is cancelled. With `stop_on_failure` a
        failed cancel leaves the new order unattempted. A new order that is refused after the cancel is reported as REJECTED.
        """
        if (new.account, new.symbol) != (account, symbol):
            raise ValueError(f"cancelReplace of {account!r} {symbol} cannot place an order of {new.account!r} {new.symbol}")
        self.check(new)
        cancelled: Order | None = None
        cancel_refusal: Refusal | None = None
        events: list[EngineEvent] = []
        try:
            cancelled, events = self.cancel(
                account,
                symbol,
                now_ns,
                order_id=cancel_order_id,
                client_order_id=cancel_client_order_id,
                new_client_order_id=cancel_new_client_order_id,
            )
        except Refusal as refusal:
            cancel_refusal = refusal
        cancel_result = ReplaceResult.SUCCESS if cancelled else ReplaceResult.FAILURE
        if cancel_refusal and stop_on_failure:
            return CancelReplaceOutcome(cancel_result, ReplaceResult.NOT_ATTEMPTED, None, None, cancel_refusal, None, events)
        try:
            placed, place_events = self._matcher.place(new, now_ns)
        except Refusal as refusal:
            if cancelled:
                events.append(rejection(new, refusal, now_ns))
            return CancelReplaceOutcome(cancel_result, ReplaceResult.FAILURE, cancelled, None, cancel_refusal, refusal, events)
        events.extend(place_events)
        return CancelReplaceOutcome(cancel_result, ReplaceResult.SUCCESS, cancelled, placed, cancel_refusal, None, events)

    def amend(
        self,
        account: str,
        symbol: str,
        now_ns: int,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        lots: int,
        new_client_order_id: str = "",
    ) -> tuple[Order, list[EngineEvent]]:
        """Reduce an open order's total quantity to `lots`; it keeps its priority and order id.

        It keeps its client id too unless a new one is given. Raises `Refusal`: -2038, or -1013 where the quantity fails a filter.
        """
        order = self._live_order(account, symbol, order_id, client_order_id, -2038)
        instrument = self.instruments[symbol]
        index = self._accounts[account].index(symbol)
        check_amend(instrument, order, lots)
        previous_id = order.client_order_id
        if new_client_order_id and new_client_order_id != previous_id:
            if index.is_live(new_client_order_id):
                raise Refusal(-2038, DUPLICATE_ORDER)
            index.rename(order, new_client_order_id)
        asset = self._matcher.settlement.release(order, instrument, order.lots - lots)
        self._books[symbol].reduce(order, order.lots - lots)
        order.amends += 1
        order.updated_ns = now_ns
        events: list[EngineEvent] = [
            report(order, ExecutionType.REPLACED, now_ns, original_client_order_id=previous_id),
            BalancesChanged(account, (asset,), now_ns),
        ]
        return order, events

    def fill_resting(self, account: str, symbol: str, order_id: int, fraction: float, now_ns: int) -> list[EngineEvent]:
        """Let the background take a fraction of what remains of an account's resting order, at least a lot and never all of it.

        It trades at its own price, whatever stands before it. No events where it is gone or has but one lot left.
        """
        order = self._account(account).index(symbol).live.get(order_id)
        if order is None or order.remaining_lots < 2:
            return []
        lots = min(max(1, round(order.remaining_lots * fraction)), order.remaining_lots - 1)
        return self._matcher.fill_resting(order, lots, now_ns)

    def find_order(self, account: str, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None) -> Order:
        """An order, open or closed, by either id (both must agree). Raises `Refusal` -2013."""
        self._book(symbol)
        return self._account(account).index(symbol).find(order_id, client_order_id)

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """Open orders of one symbol or of all, oldest first."""
        holder = self._account(account)
        if symbol is not None:
            self._book(symbol)
            return list(holder.index(symbol).live.values())
        everywhere = [order for index in holder.indexes.values() for order in index.live.values()]
        return sorted(everywhere, key=lambda order: order.order_id)

    def orders(self, account: str, symbol: str) -> list[Order]:
        """Open orders and the closed ones that are remembered, oldest first."""
        self._book(symbol)
        return self._account(account).index(symbol).orders()

    def trades(
        self, account: str, symbol: str, *, from_id: int | None = None, order_id: int | None = None, limit: int = 500
    ) -> list[AccountTrade]:
        """Trades, oldest first: the first `limit` from trade id `from_id` on, or without it the newest `limit`."""
        self._book(symbol)
        return self._account(account).index(symbol).select_trades(from_id, order_id, limit)

    # ---- market data

    def touch(self, symbol: str) -> tuple[int, int, int, int, int]:
        """Update id, best bid (ticks, lots), best ask (ticks, lots); zeros where a side is empty."""
        book = self._books.get(symbol) or self._book(symbol)
        bids, asks = book.bids, book.asks
        bid = bids.keys[-1] if bids.keys else 0
        ask = -asks.keys[-1] if asks.keys else 0
        return book.update_id, bid, bids.levels[bid].lots if bid else 0, ask, asks.levels[ask].lots if ask else 0

    def depth(self, symbol: str, limit: int) -> tuple[int, list[Level], list[Level]]:
        """Update id and up to `limit` levels of bids and of asks, best first."""
        book = self._book(symbol)
        bids = [(level.price_ticks, level.lots) for level in book.bids.best_first(limit)]
        asks = [(level.price_ticks, level.lots) for level in book.asks.best_first(limit)]
        return book.update_id, bids, asks

    def take_depth_changes(self, symbol: str) -> DepthChanges | None:
        """The levels that changed since the last call, None where none did. Until called, one entry is kept per price touched."""
        return self._book(symbol).take_changes()

    def last_price_ticks(self, symbol: str) -> int:
        """Price of the last trade, 0 before the first."""
        return self._book(symbol).last_price_ticks

    def last_trade_id(self, symbol: str) -> int:
        """Id of the last trade, 0 before the first."""
        return self._book(symbol).last_trade_id

    # ---- the fast path of simulated participants

    def background_limit(self, symbol: str, side: Side, price_ticks: int, lots: int, now_ns: int) -> tuple[int, list[EngineEvent]]:
        """A GTC limit order of the background. Returns its order id (0 if it was filled at once) and the events of its trades."""
        order, events = self._matcher.place_background(symbol, side, price_ticks, lots, now_ns)
        return order.order_id if order.executed_lots < lots else 0, events

    def background_market(self, symbol: str, side: Side, lots: int, now_ns: int) -> list[EngineEvent]:
        """A market order of the background; what the book cannot fill is dropped."""
        return self._matcher.place_background(symbol, side, None, lots, now_ns)[1]

    def background_cancel(self, order_id: int, now_ns: int) -> bool:
        """Cancel a background order. False where it is gone (filled or cancelled)."""
        order = self._matcher.background.pop(order_id, None)
        if order is None:
            return False
        self._books[order.symbol].remove(order)
        return True

    def background_reduce(self, order_id: int, lots: int) -> bool:
        """Take `lots` off a background order, which keeps its place; all of it or more cancels it. False where it is gone."""
        order = self._matcher.background.get(order_id)
        if order is None:
            return False
        if lots < order.remaining_lots:
            self._books[order.symbol].reduce(order, lots)
            return True
        return self.background_cancel(order_id, 0)

    def queue(self, symbol: str, side: Side, price_ticks: int) -> list[Order]:
        """The resting orders at a price, oldest first."""
        level = self._book(symbol).side(side).levels.get(price_ticks)
        return list(level.orders.values()) if level is not None else []

    def resting_prices(self, symbol: str, side: Side) -> Iterator[int]:
        """Prices in ticks at which orders of a side rest, best first. The book must not change meanwhile."""
        return (level.price_ticks for level in self._book(symbol).side(side).best_first())

    # ---- snapshot

    def snapshot(self) -> bytes:
        """Accounts, their orders and trades, and all counters. Background orders are not in it."""
        return encode(
            EngineState(
                VERSION,
                self._matcher.last_order_id,
                dict(self._matcher.settlement.fees_collected),
                {
                    book.symbol: SymbolState(book.update_id, book.last_trade_id, book.last_price_ticks)
                    for book in self._books.values()
                },
                [account.state() for account in self._accounts.values()],
                self._matcher.last_prevented_match_id,
            )
        )

    @classmethod
    def restore(
        cls,
        data: bytes,
        instruments: Iterable[Instrument],
        *,
        maker_fee: Decimal = Decimal(0),
        taker_fee: Decimal = Decimal("0.0005"),
        history_limit: int = 10_000,
    ) -> MatchingEngine:
        """An engine as `snapshot` left it, the open orders of accounts back in the book by their old priority.

        Update ids go on one beyond the snapshot's, since a book without its background is another book. Raises `SnapshotError`.
        """
        state = decode(data)
        engine = cls(instruments, maker_fee=maker_fee, taker_fee=taker_fee, history_limit=history_limit)
        unlisted = set(state.symbols) - set(engine.instruments)
        if unlisted:
            raise SnapshotError(
                f"the snapshot holds {', '.join(sorted(unlisted))}, which the exchange does not list: list them too"
            )
        engine._matcher.last_order_id = state.last_order_id
        engine._matcher.last_prevented_match_id = state.last_prevented_match_id
        engine._matcher.settlement.fees_collected.update(state.fees_collected)
        for account_state in state.accounts:
            account = Account.of_state(account_state, history_limit)
            engine._accounts[account.name] = account
        live = [
            order for account in engine._accounts.values() for index in account.indexes.values() for order in index.live.values()
        ]
        for order in sorted(live, key=lambda order: order.order_id):
            engine._books[order.symbol].rest(order)
        for symbol, counters in state.symbols.items():
            engine._books[symbol].resume(counters.update_id + 1, counters.last_trade_id, counters.last_price_ticks)
        return engine

    # ---- look-up

    def _book(self, symbol: str) -> Book:
        book = self._books.get(symbol)
        if book is None:
            raise Refusal(-1121, "Invalid symbol.")
        return book

    def _account(self, name: str) -> Account:
        account = self._accounts.get(name)
        if account is None:
            raise ValueError(f"the mock exchange has no account {name!r}: open it with open_account first")
        return account

    def _live_order(self, account: str, symbol: str, order_id: int | None, client_order_id: str | None, refusal_code: int) -> Order:
        self._book(symbol)
        return self._account(account).index(symbol).find_live(order_id, client_order_id, refusal_code)
