"""The matching engine against a slow exchange that is obviously right, and its conservation laws, over random sequences."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.mock.engine import (
    BACKGROUND,
    BalancesChanged,
    BalanceTransferred,
    EngineEvent,
    MatchingEngine,
    NewOrder,
    Order,
    OrderReport,
    OrderType,
    Refusal,
    TimeInForce,
    TradePrint,
)
from mmd.types.instrument import Instrument, atoms, units
from mmd.types.market import Side
from tests.property.reference_exchange import ReferenceExchange, RefOrder, Refused

SYMBOL = "BASEQUOTE"
INSTRUMENT = Instrument.create(SYMBOL, "BASE", "QUOTE", tick_size="0.5", lot_size="0.001")
FUNDS = {"alice": ("0.04", "2"), "bob": ("0.02", "1")}
Operation = tuple[Any, ...]


def limit_prices() -> st.SearchStrategy[int]:
    return st.integers(90, 102)


def sequences(*, background: bool = True, max_size: int = 40) -> st.SearchStrategy[list[Operation]]:
    """Operations, mostly on a book that is not empty to begin with."""
    ladder: list[Operation] = []
    for distance in range(4):
        ladder += [("background_limit", Side.BUY, 95 - distance, 3), ("background_limit", Side.SELL, 97 + distance, 3)]
    starts = st.sampled_from([ladder, ladder, []]) if background else st.just([])
    lengths = st.sampled_from([3, max_size // 2, max_size])
    rest = lengths.flatmap(lambda length: st.lists(operations(background=background), min_size=length, max_size=length))
    return st.tuples(starts, rest).map(lambda parts: parts[0] + parts[1])


def operations(*, background: bool) -> st.SearchStrategy[Operation]:
    accounts = st.sampled_from(sorted(FUNDS))
    sides = st.sampled_from(list(Side))
    lots = st.integers(1, 12)
    amounts = st.one_of(st.integers(5_000_000, 60_000_000), st.integers(1, 500_000_000))
    client_ids = st.sampled_from(["", "", "", "red", "blue"])
    kinds = st.sampled_from(
        [
            (OrderType.LIMIT, TimeInForce.GTC),
            (OrderType.LIMIT, TimeInForce.GTC),
            (OrderType.LIMIT, TimeInForce.IOC),
            (OrderType.LIMIT, TimeInForce.FOK),
            (OrderType.LIMIT_MAKER, None),
        ]
    )
    own = [
        st.tuples(st.just("limit"), accounts, sides, kinds, limit_prices(), lots, client_ids),
        st.tuples(st.just("limit"), accounts, sides, kinds, limit_prices(), lots, client_ids),
        st.tuples(st.just("market"), accounts, sides, lots),
        st.tuples(st.just("market_quote"), accounts, sides, amounts),
        st.tuples(st.just("cancel"), accounts, st.integers(0, 9)),
        st.tuples(st.just("amend"), accounts, st.integers(0, 9), lots, client_ids),
        st.tuples(st.just("replace"), accounts, st.integers(0, 9), sides, kinds, limit_prices(), lots, client_ids, st.booleans()),
    ]
    own += own  # the background must not crowd out the accounts
    simulated = [
        st.tuples(st.just("background_limit"), sides, limit_prices(), lots),
        st.tuples(st.just("background_limit"), sides, limit_prices(), lots),
        st.tuples(st.just("background_market"), sides, lots),
        st.tuples(st.just("background_cancel"), st.integers(0, 9)),
    ]
    return st.one_of(*own, *(simulated if background else []))


class Session:
    """Drives an engine by operations. A cancel, amend or replace names its order by a choice among the open ones (see `target`)."""

    def __init__(self, engine: MatchingEngine) -> None:
        self.engine = engine
        self.now_ns = 0
        self.last_number = 0
        self.background_ids: list[int] = []
        self.events: list[EngineEvent] = []

    def target(self, account: str, choice: int) -> int:
        """An order id: for choice 0 the newest there is, whosever it is and whatever its state, else one that is open."""
        if account:
            open_ids = [order.order_id for order in self.engine.open_orders(account)]
        else:
            open_ids = self.background_ids[-5:]
        return open_ids[choice % len(open_ids)] if choice and open_ids else self.last_number

    def new_order(self, operation: Operation) -> NewOrder:
        match operation:
            case ("limit", account, side, (kind, tif), price, lots, client_id):
                return NewOrder(account, SYMBOL, side, kind, tif, price, lots, 0, client_id)
            case ("market", account, side, lots):
                return NewOrder(account, SYMBOL, side, OrderType.MARKET, None, 0, lots)
            case ("market_quote", account, side, quote_atoms):
                return NewOrder(account, SYMBOL, side, OrderType.MARKET, None, 0, 0, quote_atoms)
            case ("replace", account, _, side, (kind, tif), price, lots, client_id, _):
                return NewOrder(account, SYMBOL, side, kind, tif, price, lots, 0, client_id)
        raise AssertionError(operation)

    def apply(self, operation: Operation) -> tuple[int, str] | None:
        """Carry out one operation; returns the refusal, if it was refused. The events are in `events`."""
        self.now_ns += 1
        self.events = []
        engine, now = self.engine, self.now_ns
        try:
            match operation:
                case ("limit" | "market" | "market_quote", *_):
                    order, self.events = engine.place(self.new_order(operation), now)
                    self.last_number = order.order_id
                case ("cancel", account, choice):
                    _, self.events = engine.cancel(account, SYMBOL, now, order_id=self.target(account, choice))
                case ("amend", account, choice, lots, client_id):
                    number = self.target(account, choice)
                    _, self.events = engine.amend(account, SYMBOL, now, order_id=number, lots=lots, new_client_order_id=client_id)
                case ("replace", account, choice, *_, stop):
                    return self.replace(account, self.target(account, choice), self.new_order(operation), stop)
                case ("background_limit", side, price, lots):
                    self.last_number += 1
                    order_id, self.events = engine.background_limit(SYMBOL, side, price, lots, now)
                    assert order_id in (0, self.last_number)
                    self.background_ids += [order_id] if order_id else []
                case ("background_market", side, lots):
                    self.last_number += 1
                    self.events = engine.background_market(SYMBOL, side, lots, now)
                case ("background_cancel", choice):
                    gone = engine.background_cancel(self.target(BACKGROUND, choice), now)
                    return None if gone else (-2011, "Unknown order sent.")
        except Refusal as refusal:
            return refusal.code, refusal.message
        return None

    def replace(self, account: str, number: int, new: NewOrder, stop: bool) -> tuple[int, str] | None:
        outcome = self.engine.cancel_replace(account, SYMBOL, self.now_ns, cancel_order_id=number, new=new, stop_on_failure=stop)
        self.events = outcome.events
        if outcome.placed:
            self.last_number = outcome.placed.order_id
        assert outcome.code == {(True, True): 0, (False, False): -2022}.get(
            (outcome.cancelled is not None, outcome.placed is not None), -2021
        )
        if outcome.new_order_refusal:
            return outcome.new_order_refusal.code, outcome.new_order_refusal.message
        if outcome.cancel_refusal and outcome.placed is None:
            return outcome.cancel_refusal.code, outcome.cancel_refusal.message
        return None


class Pair:
    """Engine and reference, kept in step and compared after every operation."""

    def __init__(self, maker_fee: Decimal, taker_fee: Decimal) -> None:
        self.session = Session(funded_engine(maker_fee, taker_fee))
        self.engine = self.session.engine
        self.reference = ReferenceExchange(Decimal("0.001"), maker_fee, taker_fee)
        self.orders: dict[int, Order] = {}
        for name, (base, quote) in FUNDS.items():
            self.reference.open_account(name, Decimal(base), Decimal(quote))

    def reference_apply(self, operation: Operation) -> tuple[int, str] | None:
        reference, target = self.reference, self.session.target
        try:
            match operation:
                case ("limit", account, side, (kind, tif), price, lots, client_id):
                    self.reference_place(account, client_id, side, kind, tif, price, lots)
                case ("market", account, side, lots):
                    self.reference_place(account, "", side, OrderType.MARKET, None, 0, lots)
                case ("market_quote", account, side, quote_atoms):
                    self.reference_place(account, "", side, OrderType.MARKET, None, 0, 0, units(quote_atoms))
                case ("cancel", account, choice):
                    reference.cancel(account, target(account, choice))
                case ("amend", account, choice, lots, client_id):
                    reference.amend(account, target(account, choice), lots * Decimal("0.001"), client_id)
                case ("replace", account, choice, side, (kind, tif), price, lots, client_id, stop):
                    try:
                        reference.cancel(account, target(account, choice))
                    except Refused:
                        if stop:
                            raise
                    self.reference_place(account, client_id, side, kind, tif, price, lots)
                case ("background_limit", side, price, lots):
                    self.reference_place("", "", side, OrderType.LIMIT, None, price, lots)
                case ("background_market", side, lots):
                    self.reference_place("", "", side, OrderType.MARKET, None, 0, lots)
                case ("background_cancel", choice):
                    reference.cancel("", target(BACKGROUND, choice))
        except Refused as refused:
            return refused.args  # type: ignore[return-value]
        return None

    def reference_place(
        self,
        account: str,
        client_id: str,
        side: Side,
        kind: OrderType,
        tif: TimeInForce | None,
        price: int,
        lots: int,
        spend: Decimal = Decimal(0),
    ) -> RefOrder:
        client_id = client_id or f"order-{self.reference.numbers + 1}"
        tif_text = tif.value if tif else "GTC"
        amount = lots * Decimal("0.001")
        return self.reference.place(account, client_id, side.name, kind.value, tif_text, price * Decimal("0.5"), amount, spend)

    def step(self, operation: Operation) -> None:
        trades_before = len(self.reference.trades)
        expected = self.reference_apply(operation)
        assert self.session.apply(operation) == expected
        self.compare_trades(trades_before)
        self.compare_books()
        self.compare_accounts()

    def compare_trades(self, first: int) -> None:
        prints = [event for event in self.session.events if isinstance(event, TradePrint)]
        assert [
            (t.trade_id, INSTRUMENT.price(t.price_ticks), INSTRUMENT.quantity(t.lots), t.buyer_order_id, t.seller_order_id)
            for t in prints
        ] == [(t.number, t.price, t.quantity, t.buyer, t.seller) for t in self.reference.trades[first:]]
        fees = {
            (event.trade.trade_id, event.account): (units(event.trade.fee_atoms), event.trade.fee_asset)
            for event in self.session.events
            if isinstance(event, OrderReport) and event.trade is not None
        }
        assert fees == {(t.number, name): fee for t in self.reference.trades[first:] for name, fee in t.fees.items()}

    def compare_books(self) -> None:
        _, bids, asks = self.engine.depth(SYMBOL, 1000)
        assert [(INSTRUMENT.price(price), INSTRUMENT.quantity(lots)) for price, lots in bids] == self.reference.depth("BUY")
        assert [(INSTRUMENT.price(price), INSTRUMENT.quantity(lots)) for price, lots in asks] == self.reference.depth("SELL")

    def compare_accounts(self) -> None:
        for name in FUNDS:
            for balance in self.engine.balances(name):
                assert units(balance.free_atoms) == self.reference.free[name][balance.asset]
                assert units(balance.locked_atoms) == self.reference.locked[name][balance.asset]
                assert balance.free_atoms >= 0
                assert balance.locked_atoms >= 0
            assert [
                (
                    order.order_id,
                    order.client_order_id,
                    order.status.value,
                    INSTRUMENT.quantity(order.lots),
                    INSTRUMENT.quantity(order.executed_lots),
                    units(order.quote_executed_atoms),
                )
                for order in self.engine.orders(name, SYMBOL)
            ] == [
                (order.number, order.client_id, order.status, order.quantity, order.executed, order.quote_executed)
                for order in self.reference.all_orders
                if order.account == name
            ]


def funded_engine(maker_fee: Decimal, taker_fee: Decimal) -> MatchingEngine:
    engine = MatchingEngine([INSTRUMENT], maker_fee=maker_fee, taker_fee=taker_fee)
    for name, (base, quote) in FUNDS.items():
        engine.open_account(name, {"BASE": atoms(base), "QUOTE": atoms(quote)})
    return engine


FEES = st.sampled_from([(Decimal(0), Decimal("0.0005")), (Decimal("-0.0001234"), Decimal("0.0007531"))])


@settings(max_examples=250, deadline=None)
@given(FEES, sequences(max_size=40))
def test_the_engine_agrees_with_the_reference(fees: tuple[Decimal, Decimal], sequence: list[Operation]) -> None:
    pair = Pair(*fees)
    for operation in sequence:
        pair.step(operation)


def background_flows(events: list[EngineEvent], account_orders: dict[int, Order]) -> dict[str, int]:
    """What the background gained, by asset in atoms."""
    gained = {"BASE": 0, "QUOTE": 0}
    for event in events:
        if isinstance(event, TradePrint):
            base, quote = event.lots * INSTRUMENT.lot_atoms, event.price_ticks * event.lots * INSTRUMENT.notional_atoms
            if event.buyer_order_id not in account_orders:
                gained["BASE"] += base
                gained["QUOTE"] -= quote
            if event.seller_order_id not in account_orders:
                gained["BASE"] -= base
                gained["QUOTE"] += quote
    return gained


@settings(max_examples=100, deadline=None)
@given(FEES, sequences(max_size=60))
def test_money_is_conserved(fees: tuple[Decimal, Decimal], sequence: list[Operation]) -> None:
    session = Session(funded_engine(*fees))
    engine = session.engine
    total = {"BASE": 0, "QUOTE": 0}
    for name in FUNDS:
        for balance in engine.balances(name):
            total[balance.asset] += balance.total_atoms
    outside = {"BASE": 0, "QUOTE": 0}
    for operation in sequence:
        session.apply(operation)
        own = {order.order_id: order for name in FUNDS for order in engine.orders(name, SYMBOL)}
        for asset, gained in background_flows(session.events, own).items():
            outside[asset] += gained
        for asset, expected in total.items():
            held = sum(b.total_atoms for name in FUNDS for b in engine.balances(name) if b.asset == asset)
            assert held + engine.fees_collected.get(asset, 0) + outside[asset] == expected
        for name in FUNDS:
            locked = {"BASE": 0, "QUOTE": 0}
            for order in engine.open_orders(name):
                if order.side is Side.BUY:
                    locked["QUOTE"] += order.price_ticks * order.remaining_lots * INSTRUMENT.notional_atoms
                else:
                    locked["BASE"] += order.remaining_lots * INSTRUMENT.lot_atoms
            assert {b.asset: b.locked_atoms for b in engine.balances(name)} == locked


@settings(max_examples=100, deadline=None)
@given(sequences(max_size=60), st.integers(1, 5))
def test_depth_changes_turn_the_old_depth_into_the_new(sequence: list[Operation], every: int) -> None:
    session = Session(funded_engine(Decimal(0), Decimal(0)))
    engine = session.engine
    levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    update_id = 0
    for count, operation in enumerate(sequence, start=1):
        session.apply(operation)
        if count % every and count < len(sequence):
            continue
        changes = engine.take_depth_changes(SYMBOL)
        depth_id, bids, asks = engine.depth(SYMBOL, 1000)
        if changes is None:
            assert depth_id == update_id
            continue
        assert changes.first_update_id == update_id + 1
        assert changes.final_update_id == depth_id
        update_id = depth_id
        for side, changed in ((Side.BUY, changes.bids), (Side.SELL, changes.asks)):
            assert [price for price, _ in changed] == sorted({price for price, _ in changed}, reverse=side is Side.BUY)
            levels[side].update(dict(changed))
        assert sorted(((p, q) for p, q in levels[Side.BUY].items() if q), reverse=True) == bids
        assert sorted((p, q) for p, q in levels[Side.SELL].items() if q) == asks
        best_bid, best_ask = bids[0] if bids else (0, 0), asks[0] if asks else (0, 0)
        assert engine.touch(SYMBOL) == (depth_id, *best_bid, *best_ask)
        assert not bids or not asks or best_bid[0] < best_ask[0]


def observable(engine: MatchingEngine) -> list[Any]:
    """Everything an account can ask for, copied."""
    return [
        engine.depth(SYMBOL, 1000)[1:],
        engine.last_price_ticks(SYMBOL),
        dict(engine.fees_collected),
        [
            (engine.balances(name), engine.trades(name, SYMBOL, limit=1000), [str(o) for o in engine.orders(name, SYMBOL)])
            for name in FUNDS
        ],
        [[str(order) for order in engine.open_orders(name)] for name in FUNDS],
    ]


@settings(max_examples=100, deadline=None)
@given(FEES, sequences(background=False), st.lists(operations(background=False), min_size=1, max_size=20))
def test_a_restored_engine_goes_on_as_the_old_one(
    fees: tuple[Decimal, Decimal], before: list[Operation], after: list[Operation]
) -> None:
    session = Session(funded_engine(*fees))
    for operation in before:
        session.apply(operation)
    data = session.engine.snapshot()
    restored = Session(MatchingEngine.restore(data, [INSTRUMENT], maker_fee=fees[0], taker_fee=fees[1]))
    restored.now_ns, restored.last_number = session.now_ns, session.last_number
    assert observable(restored.engine) == observable(session.engine)
    assert restored.engine.touch(SYMBOL)[0] == session.engine.touch(SYMBOL)[0] + 1
    assert restored.engine.take_depth_changes(SYMBOL) is None
    for operation in after:
        assert restored.apply(operation) == session.apply(operation)
        assert restored.events == session.events
        assert observable(restored.engine) == observable(session.engine)


@settings(max_examples=60, deadline=None)
@given(sequences(max_size=40))
def test_a_snapshot_leaves_out_the_background_alone(sequence: list[Operation]) -> None:
    session = Session(funded_engine(Decimal(0), Decimal("0.001")))
    engine = session.engine
    for operation in sequence:
        session.apply(operation)
    restored = MatchingEngine.restore(engine.snapshot(), [INSTRUMENT])
    assert observable(restored)[2:] == observable(engine)[2:]
    own: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    for name in FUNDS:
        for order in engine.open_orders(name):
            own[order.side][order.price_ticks] = own[order.side].get(order.price_ticks, 0) + order.remaining_lots
    _, bids, asks = restored.depth(SYMBOL, 1000)
    assert dict(bids) == own[Side.BUY]
    assert dict(asks) == own[Side.SELL]
    order_id, _ = restored.background_limit(SYMBOL, Side.BUY, 1, 1, 0)
    assert order_id == session.last_number + 1


@settings(max_examples=100, deadline=None)
@given(sequences(max_size=40))
def test_events_tell_the_whole_story(sequence: list[Operation]) -> None:
    """Whoever replays reports and balance events knows every order's state and when to look at balances."""
    session = Session(funded_engine(Decimal(0), Decimal("0.0005")))
    engine = session.engine
    told: dict[int, OrderReport] = {}
    seen = {name: engine.balances(name) for name in FUNDS}
    for operation in sequence:
        session.apply(operation)
        for event in session.events:
            assert not isinstance(event, OrderReport | BalancesChanged | BalanceTransferred) or event.account != BACKGROUND
            if isinstance(event, OrderReport) and event.order_id >= 0:
                told[event.order_id] = event
            elif isinstance(event, BalancesChanged):
                now = {balance.asset: balance for balance in engine.balances(event.account)}
                seen[event.account] = [now[b.asset] if b.asset in event.assets else b for b in seen[event.account]]
        assert seen == {name: engine.balances(name) for name in FUNDS}
        orders = [order for name in FUNDS for order in engine.orders(name, SYMBOL)]
        assert {order.order_id for order in orders} == set(told)
        for order in orders:
            last = told[order.order_id]
            assert (order.status, order.lots, order.executed_lots) == (last.status, last.lots, last.executed_lots)
            assert order.quote_executed_atoms == last.quote_executed_atoms
