"""The futures mock's engine: positions against an independent ledger, margin, modification, reduce-only, funding."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmd.execution.ledger import PositionLedger
from mmd.mock.engine import AccountTrade, NewOrder, OrderReport, OrderType, Refusal, TimeInForce
from mmd.mock.futures.engine import FuturesEngine
from mmd.mock.futures.instruments import perpetuals
from mmd.types.instrument import ATOMS_PER_UNIT, InstrumentError, atoms
from mmd.types.market import Side
from mmd.types.orders import Fill, OrderStatus

SYMBOL = "BTCUSDT"
DEPOSIT = 100_000 * ATOMS_PER_UNIT


def engine(leverage: int = 20, deposit: int = DEPOSIT) -> FuturesEngine:
    made = FuturesEngine(perpetuals([SYMBOL]), maker_fee=Decimal("0.0002"), taker_fee=Decimal("0.0005"), leverage=leverage)
    for account in ("A", "B"):
        made.open_account(account, {"USDT": deposit})
    return made


def new(account: str, side: Side, price: int, lots: int, *, kind: OrderType = OrderType.LIMIT, name: str = "") -> NewOrder:
    time_in_force = TimeInForce.GTC if kind is OrderType.LIMIT else None
    return NewOrder(account, SYMBOL, side, kind, time_in_force, price, lots, 0, name)


def place(made: FuturesEngine, *args: object, **kwargs: object) -> list[AccountTrade]:
    _, events = made.place(new(*args, **kwargs), 1)  # type: ignore[arg-type]
    return [event.trade for event in events if isinstance(event, OrderReport) and event.trade is not None]


TRADES = st.lists(st.tuples(st.sampled_from(["A", "B"]), st.integers(500_000, 700_000), st.integers(2, 40)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(trades=TRADES, mark=st.integers(500_000, 700_000))
def test_wallet_and_position_agree_with_a_ledger_that_counts_otherwise(trades: list[tuple[str, int, int]], mark: int) -> None:
    """Each trade is A or B buying from the other. The ledger rounds shares of cost otherwise: an atom a trade at most."""
    made = engine(leverage=125, deposit=10**15)
    instrument = made.instruments[SYMBOL]
    ledgers = {account: PositionLedger(instrument) for account in ("A", "B")}
    for buyer, price, lots in trades:
        seller = "B" if buyer == "A" else "A"
        place(made, seller, Side.SELL, price, lots)
        for trade in place(made, buyer, Side.BUY, price, lots):
            ledgers[trade.account].book(
                Fill(1, SYMBOL, trade.trade_id, "", 1, trade.side, trade.price_ticks, trade.lots, trade.fee_atoms, "USDT", True, 1)
            )
    unit = instrument.notional_atoms
    for account, ledger in ledgers.items():
        position = made.position(account, SYMBOL)
        assert position.lots * instrument.lot_atoms == ledger.position_atoms
        wallet = made.balances(account)[0].total_atoms
        equity = wallet + position.unrealised_atoms(mark, unit) - 10**15
        assert abs(equity - ledger.pnl_atoms(mark)) <= len(trades) + 1
    # What one wins the other loses; the rest is fees.
    both = sum(made.balances(account)[0].total_atoms - made.position(account, SYMBOL).cost_atoms for account in "AB")
    assert both + made.fees_collected.get("USDT", 0) == 2 * 10**15


def test_a_position_turns_through_zero() -> None:
    made = engine()
    place(made, "B", Side.SELL, 600_000, 10)
    place(made, "A", Side.BUY, 600_000, 10)
    place(made, "B", Side.BUY, 601_000, 30)
    place(made, "A", Side.SELL, 601_000, 30)
    position = made.position("A", SYMBOL)
    assert (position.lots, position.entry_ticks(made.instruments[SYMBOL].notional_atoms)) == (-20, 601_000)
    # 0.01 BTC won 100.
    assert position.realised_atoms == atoms("1")


def test_margin_counts_the_worse_side_and_lets_reductions_through() -> None:
    made = engine(deposit=1_000 * ATOMS_PER_UNIT)
    # 1,000 at twenty times carries 20,000: a third of a bitcoin.
    place(made, "A", Side.BUY, 600_000, 300)
    with pytest.raises(Refusal, match="-2019 Margin is insufficient"):
        made.place(new("A", Side.BUY, 600_000, 40), 1)
    made.place(new("A", Side.SELL, 600_100, 300), 1)
    place(made, "B", Side.SELL, 600_000, 300)
    assert made.position("A", SYMBOL).lots == 300
    made.place(new("A", Side.SELL, 600_200, 200), 1)


def test_modify_queues_anew_and_says_what_binance_says() -> None:
    made = engine()
    order, _ = made.place(new("A", Side.BUY, 600_000, 10, name="a"), 1)
    made.place(new("B", Side.BUY, 600_000, 10, name="b"), 1)
    changed, events = made.modify("A", SYMBOL, 2, order_id=None, client_order_id="a", price_ticks=600_000, lots=8)
    assert changed is order
    assert [event.execution_type for event in events if isinstance(event, OrderReport)] == ["AMENDMENT"]
    assert [resting.client_order_id for resting in made.queue(SYMBOL, Side.BUY, 600_000)] == ["b", "a"]
    with pytest.raises(Refusal, match="-5027"):
        made.modify("A", SYMBOL, 3, order_id=None, client_order_id="a", price_ticks=600_000, lots=8)
    with pytest.raises(Refusal, match="-2013 Order does not exist"):
        made.modify("A", SYMBOL, 3, order_id=None, client_order_id="z", price_ticks=600_000, lots=8)
    with pytest.raises(Refusal, match="-2019"):
        made.modify("A", SYMBOL, 3, order_id=None, client_order_id="a", price_ticks=600_000, lots=100_000)
    assert (order.lots, order.price_ticks, order.status) == (8, 600_000, OrderStatus.NEW)


def test_a_modification_that_takes_trades_and_one_of_a_post_only_order_cancels() -> None:
    made = engine()
    made.place(new("B", Side.SELL, 600_100, 5), 1)
    plain, _ = made.place(new("A", Side.BUY, 600_000, 10, name="a"), 1)
    maker, _ = made.place(new("A", Side.BUY, 600_000, 10, kind=OrderType.LIMIT_MAKER, name="m"), 1)
    made.modify("A", SYMBOL, 2, order_id=maker.order_id, client_order_id=None, price_ticks=600_100, lots=10)
    assert maker.status is OrderStatus.CANCELED
    made.modify("A", SYMBOL, 3, order_id=plain.order_id, client_order_id=None, price_ticks=600_100, lots=10)
    assert (plain.executed_lots, plain.status) == (5, OrderStatus.PARTIALLY_FILLED)
    assert made.touch(SYMBOL)[1:3] == (600_100, 5)
    made.modify("A", SYMBOL, 4, order_id=plain.order_id, client_order_id=None, price_ticks=600_100, lots=5)
    assert plain.status is OrderStatus.CANCELED


def test_funding_moves_money_from_longs_to_shorts() -> None:
    made = engine()
    place(made, "B", Side.SELL, 600_000, 10)
    place(made, "A", Side.BUY, 600_000, 10)
    made.background_limit(SYMBOL, Side.BUY, 599_900, 1, 1)
    made.background_limit(SYMBOL, Side.SELL, 600_100, 1, 1)
    settled = made.settle_funding(SYMBOL, Decimal("0.0001"), 7)
    # 0.01 BTC at the mark of 60,000.
    assert {each.account: each.amount_atoms for each in settled} == {"A": -atoms("0.06"), "B": atoms("0.06")}
    assert len({each.funding_id for each in settled}) == 2


def test_what_is_no_usd_m_perpetual_is_not_listed() -> None:
    with pytest.raises(InstrumentError, match="no USD-M perpetual"):
        perpetuals(["ETHBTC"])
