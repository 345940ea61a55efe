"""The exchange of the simulation: the mock's matching engine, a market around it, its clock, and the truth about it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from mmd.exchanges.adapter import Event, OrderCommand
from mmd.exchanges.binance.order_messages import OrderNames
from mmd.exchanges.binance.replies import Envelope, ReplyDecoder, ReplyError
from mmd.execution.client_order_ids import ClientOrderIds
from mmd.execution.ledger import balance_changes
from mmd.mock.engine import (
    AccountTrade,
    EngineEvent,
    ExecutionType,
    MatchingEngine,
    NewOrder,
    OrderReport,
    OrderType,
    TimeInForce,
)
from mmd.mock.engine_commands import EngineCommands, fill_of, order_update
from mmd.simulation.settings import PREFIX, RECEIVE_WINDOW_MS, START_TICKS, Surroundings
from mmd.simulation.story import MS, NS, MarketStep
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument
from mmd.types.market import Level, Side
from mmd.types.orders import (
    AmendOrder,
    CancelOrder,
    OrderNotFound,
    OrderStatus,
    PlaceOrder,
    ReplaceOrder,
)

ACCOUNT = "account"
BAD_TIMESTAMP = -1021
TOO_MANY_ORDERS = -1015
CLOCK_LEAD_MS = 1_000
HALF_SPREAD_TICKS = 4
LEVEL_STEP_TICKS = 3
LEVELS = 6
START_ATOMS = 1_000_000 * ATOMS_PER_UNIT
EARLIER_NS = 3_600 * NS

LEFT_ALONE = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED)
"""What becomes of an order that nobody touches: a crash of the market may reach even one far below it."""

Touch = tuple[int, int, int, int]


class _Ladder:
    """The background's resting orders of one symbol: order ids by side and price."""

    def __init__(self) -> None:
        self.mid_ticks = START_TICKS
        self.orders: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}


class SimulatedExchange:
    """One account is ours, shared with strangers. `now_ns` is the world's time; the exchange's own is `offset_ns` ahead of it."""

    def __init__(self, surroundings: Surroundings, random: Random) -> None:
        self._surroundings = surroundings
        self._random = random
        self.instruments: Mapping[str, Instrument] = surroundings.instruments
        self.symbols = tuple(self.instruments)
        self.offset_ns = surroundings.exchange_offset_ns
        self.is_down = False
        self.life = 0
        """Times that it came up without what it was; part of every key to the truth."""
        self.touches: dict[tuple[int, str, int], Touch] = {}
        self.books: dict[tuple[int, str, int], tuple[dict[int, int], dict[int, int]]] = {}
        self.true_volume_atoms: Counter[str] = Counter()
        """Notional of every trade of ours that ever was."""
        self.deposited_atoms: Counter[str] = Counter()
        """Base that came (went, below zero) and is not ours: deposits, and what strangers' orders traded in our account."""
        self.strangers: dict[str, tuple[str, int]] = {}
        """Orders of others in our account: symbol and lots, by client id."""
        self.reset_count = 0
        self.opened_ns = 0
        """Its clock when the story began: trades before are of an earlier life of ours, and in no ledger."""
        self._earlier_atoms: Counter[str] = Counter()
        self._replies = ReplyDecoder(self.instruments, OrderNames())
        self._interval_orders: Counter[int] = Counter()
        self._ladders = {symbol: _Ladder() for symbol in self.symbols}
        self.engine: MatchingEngine
        self._commands: EngineCommands
        self._open(None)

    # ---- coming and going

    def _open(self, saved: bytes | None) -> None:
        instruments, fee = self.instruments.values(), self._surroundings.maker_fee
        if saved is None:
            self.engine = MatchingEngine(instruments, maker_fee=fee)
            assets = {instrument.base_asset for instrument in instruments} | {"USDT"}
            self.engine.open_account(ACCOUNT, dict.fromkeys(assets, START_ATOMS))
        else:
            self.engine = MatchingEngine.restore(saved, instruments, maker_fee=fee)
        self._commands = EngineCommands(self.engine, ACCOUNT)

    def open_market(self, now_ns: int) -> None:
        """The background puts its orders in."""
        self.opened_ns = self.clock_ns(now_ns)
        for symbol in self.symbols:
            self._ladders[symbol] = _Ladder()
            self._lay(symbol, now_ns)
            self._trade_earlier(symbol)

    def _trade_earlier(self, symbol: str) -> None:
        """What an installation of ours traded whose state is long gone: its balance is neutral, its trades are still listed."""
        lots, name = self._surroundings.earlier_lots, ClientOrderIds(PREFIX, "earlier").make()
        if lots:
            side = Side.BUY if lots > 0 else Side.SELL
            new = NewOrder(ACCOUNT, symbol, side, OrderType.MARKET, None, 0, abs(lots), client_order_id=name)
            self.engine.place(new, self.opened_ns - EARLIER_NS)
            self.note(symbol, ())
        self._earlier_atoms[symbol] = self._base_atoms(symbol) - START_ATOMS

    def go_down(self) -> None:
        """Nobody is answered any more."""
        self.is_down = True

    def come_up(self, now_ns: int, *, keep_state: bool) -> list[tuple[str, list[EngineEvent]]]:
        """With what it was, or with what it was before the story. The background begins anew. Returns what that did, by symbol."""
        self.is_down = False
        self.life += 1
        if not keep_state:
            self.reset_count += 1
            self.deposited_atoms.clear()
            self.strangers.clear()
        mids = {symbol: ladder.mid_ticks for symbol, ladder in self._ladders.items()}
        self._open(self.engine.snapshot() if keep_state else None)
        happened: list[tuple[str, list[EngineEvent]]] = []
        for symbol in self.symbols:
            ladder = self._ladders[symbol] = _Ladder()
            ladder.mid_ticks = mids[symbol]
            happened.append((symbol, self._lay(symbol, now_ns)))
            if not keep_state:
                self._trade_earlier(symbol)
        return happened

    def clock_ns(self, now_ns: int) -> int:
        """Its clock."""
        return now_ns + self.offset_ns

    # ---- the market

    def act(self, step: MarketStep, now_ns: int) -> tuple[str, list[EngineEvent]]:
        """The market does something."""
        symbol = self.symbols[step.symbol % len(self.symbols)]
        if step.kind == "move":
            return symbol, self.move(symbol, step.amount, now_ns)
        side = Side.BUY if step.amount > 0 else Side.SELL
        lots = abs(step.amount) * (6 if step.kind == "sweep" else 1)
        events = self.engine.background_market(symbol, side, lots, self.clock_ns(now_ns))
        self.note(symbol, events)
        return symbol, events + self._lay(symbol, now_ns)

    def move(self, symbol: str, ticks: int, now_ns: int) -> list[EngineEvent]:
        """The background's prices go."""
        ladder = self._ladders[symbol]
        ladder.mid_ticks = max(START_TICKS // 2, ladder.mid_ticks + ticks)
        return self._lay(symbol, now_ns)

    def _lay(self, symbol: str, now_ns: int) -> list[EngineEvent]:
        """Bring the background's orders to where they should stand; what of ours is in the way, trades."""
        engine, ladder, clock_ns = self.engine, self._ladders[symbol], self.clock_ns(now_ns)
        events: list[EngineEvent] = []
        wanted = {
            side: [ladder.mid_ticks - side.sign * (HALF_SPREAD_TICKS + LEVEL_STEP_TICKS * level) for level in range(LEVELS)]
            for side in Side
        }
        for side, prices in wanted.items():
            standing = ladder.orders[side]
            for price in [price for price in standing if price not in prices]:
                engine.background_cancel(standing.pop(price), clock_ns)
        for side, prices in wanted.items():
            standing = ladder.orders[side]
            resting = engine.resting_prices(symbol, side)
            there = set(resting)
            for price in prices:
                if price not in standing or price not in there:
                    order_id, traded = engine.background_limit(symbol, side, price, self._random.randrange(60, 250), clock_ns)
                    events += traded
                    if order_id:
                        standing[price] = order_id
        self.note(symbol, events)
        return events

    # ---- the truth

    def note(self, symbol: str, events: Sequence[EngineEvent]) -> None:
        """Keep what an operation did."""
        update_id, *touch = self.engine.touch(symbol)
        self.touches[self.life, symbol, update_id] = (touch[0], touch[1], touch[2], touch[3])
        for event in events:
            if isinstance(event, OrderReport) and event.account == ACCOUNT and event.trade is not None:
                self._note_trade(symbol, event.trade)

    def _note_trade(self, symbol: str, trade: AccountTrade) -> None:
        instrument = self.instruments[symbol]
        if trade.client_order_id in self.strangers:
            # No trade of ours: to our ledger it is a balance that moves without one.
            self.deposited_atoms[symbol] += balance_changes(fill_of(trade, 0), instrument)[instrument.base_asset]
        else:
            self.true_volume_atoms[symbol] += trade.price_ticks * trade.lots * instrument.notional_atoms

    def note_book(self, symbol: str) -> None:
        """Keep the whole book as it is."""
        update_id, bids, asks = self.depth(symbol)
        self.books[self.life, symbol, update_id] = (dict(bids), dict(asks))

    def depth(self, symbol: str) -> tuple[int, list[Level], list[Level]]:
        """Update id and all levels."""
        return self.engine.depth(symbol, 1_000)

    def position_atoms(self, symbol: str) -> int:
        """By what we traded since the story began, as the balance tells."""
        return self._base_atoms(symbol) - START_ATOMS - self._earlier_atoms[symbol] - self.deposited_atoms[symbol]

    def _base_atoms(self, symbol: str) -> int:
        base = self.instruments[symbol].base_asset
        return next((each.total_atoms for each in self.engine.balances(ACCOUNT) if each.asset == base), 0)

    def open_lots(self, symbol: str, side: Side) -> int:
        """What of our orders can still trade."""
        return sum(order.remaining_lots for order in self.ours(symbol) if order.side is side)

    def ours(self, symbol: str | None = None) -> list[Any]:
        """Our open orders, without strangers'."""
        return [order for order in self.engine.open_orders(ACCOUNT, symbol) if order.client_order_id not in self.strangers]

    # ---- requests

    def carry_out(self, command: OrderCommand, stamp_ms: int, now_ns: int) -> tuple[list[EngineEvent], list[Event]]:
        """What it does, and the answer. `stamp_ms` is the request's timestamp, on this clock if all is well."""
        clock_ms = self.clock_ns(now_ns) // MS
        if not clock_ms - RECEIVE_WINDOW_MS <= stamp_ms < clock_ms + CLOCK_LEAD_MS:
            return [], self.refusal(
                command, 400, BAD_TIMESTAMP, "Timestamp for this request is outside of the recvWindow.", stamp_ms
            )
        if isinstance(command, PlaceOrder | ReplaceOrder):
            interval = self.clock_ns(now_ns) // (10 * NS)
            if self._interval_orders[interval] >= self._surroundings.orders_per_10s:
                return [], self.refusal(command, 429, TOO_MANY_ORDERS, "Too many new orders.", stamp_ms)
            self._interval_orders[interval] += 1
        events, answers = self._commands.carry_out(command, self.clock_ns(now_ns), 0)
        self.note(command.symbol, events)
        return list(events), [*self._fates(command, events), *self._stamped(answers, stamp_ms)]

    def orders_counted(self, now_ns: int) -> int:
        """Orders of this interval of 10 s."""
        return self._interval_orders[self.clock_ns(now_ns) // (10 * NS)]

    def refusal(self, command: OrderCommand, status: int, code: int, message: str, stamp_ms: int) -> list[Event]:
        """An error, as the adapter's own reading of replies understands it."""
        return self._replies.outcome(command, Envelope(status=status, error=ReplyError(code, message)), stamp_ms, 0)

    def account_events(self, event: EngineEvent) -> list[Any]:
        """What the user stream says of it."""
        return self._commands.account_events(event, 0) if isinstance(event, OrderReport) else []

    def _stamped(self, answers: Sequence[Any], stamp_ms: int) -> list[Any]:
        return [
            msgspec.structs.replace(answer, query_exchange_ms=stamp_ms) if isinstance(answer, OrderNotFound) else answer
            for answer in answers
        ]

    def _fates(self, command: OrderCommand, events: Sequence[EngineEvent]) -> list[Event]:
        """What the answer says of the order that was cancelled or amended."""
        old = command.cancel_client_order_id if isinstance(command, ReplaceOrder) else command.client_order_id
        for event in events:
            if isinstance(event, OrderReport) and event.original_client_order_id == old:
                if isinstance(command, CancelOrder | ReplaceOrder) and event.execution_type is ExecutionType.CANCELED:
                    order = self.engine.find_order(ACCOUNT, command.symbol, order_id=event.order_id)
                    return [msgspec.structs.replace(order_update(order, 0), client_order_id=old)]
                if isinstance(command, AmendOrder):
                    order = self.engine.find_order(ACCOUNT, command.symbol, order_id=event.order_id)
                    return [msgspec.structs.replace(order_update(order, 0), replaced_client_order_id=old)]
        return []

    # ---- others

    def stranger(self, resembling: bool, now_ns: int) -> tuple[str, list[EngineEvent]]:
        """Somebody places an order far from the market into our account, by hand."""
        number = len(self.strangers) + 1
        name = f"{PREFIX}-by-hand-{number}" if resembling else f"web_{number}"
        symbol, lots = self.symbols[0], 50
        new = NewOrder(ACCOUNT, symbol, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, START_TICKS // 4, lots, client_order_id=name)
        _, events = self.engine.place(new, self.clock_ns(now_ns))
        self.strangers[name] = (symbol, lots)
        self.note(symbol, events)
        return symbol, events

    def missing_strangers(self) -> list[str]:
        """Orders of others that are not as they were."""
        missing = []
        for name, (symbol, lots) in self.strangers.items():
            order = self.engine.find_order(ACCOUNT, symbol, client_order_id=name)
            if order.status not in LEFT_ALONE or order.lots != lots:
                missing.append(name)
        return missing

    def deposit(self, amount_atoms: int, now_ns: int) -> tuple[str, str]:
        """Base comes, or goes. Symbol and asset."""
        symbol = self.symbols[0]
        asset = self.instruments[symbol].base_asset
        self.engine.transfer(ACCOUNT, asset, amount_atoms, self.clock_ns(now_ns))
        self.deposited_atoms[symbol] += amount_atoms
        return symbol, asset

    def cancel(self, symbol: str, client_order_id: str, now_ns: int) -> tuple[str, list[EngineEvent]]:
        """By the guard's own key."""
        _, events = self.engine.cancel(ACCOUNT, symbol, self.clock_ns(now_ns), client_order_id=client_order_id)
        self.note(symbol, events)
        return symbol, events
