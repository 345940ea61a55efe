"""A funded engine of BTCUSDT and short ways to send it orders, for the tests of this folder."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, OrderReport, OrderType, Refusal, TimeInForce, TradePrint
from mmd.mock.instruments import INSTRUMENTS
from mmd.types.instrument import atoms
from mmd.types.market import Side
from mmd.types.orders import Balance

SYMBOL = "BTCUSDT"
BTC = INSTRUMENTS[SYMBOL]
BUY, SELL = Side.BUY, Side.SELL
GTC, IOC, FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK


def funded(maker_fee: str = "0", taker_fee: str = "0", **options: int) -> MatchingEngine:
    """An engine with two accounts, each of 10 BTC and 1,000,000 USDT."""
    engine = MatchingEngine(INSTRUMENTS.values(), maker_fee=Decimal(maker_fee), taker_fee=Decimal(taker_fee), **options)
    for name in ("alice", "bob"):
        engine.open_account(name, {"BTC": atoms("10"), "USDT": atoms("1000000")})
    return engine


def limit(
    side: Side, price: str, quantity: str, *, account: str = "alice", tif: TimeInForce = GTC, client_id: str = ""
) -> NewOrder:
    return NewOrder(account, SYMBOL, side, OrderType.LIMIT, tif, BTC.ticks(price), BTC.lots(quantity), 0, client_id)


def maker(side: Side, price: str, quantity: str, *, account: str = "alice", client_id: str = "") -> NewOrder:
    return NewOrder(account, SYMBOL, side, OrderType.LIMIT_MAKER, None, BTC.ticks(price), BTC.lots(quantity), 0, client_id)


def market(side: Side, quantity: str = "0", *, spend: str = "0", account: str = "alice", client_id: str = "") -> NewOrder:
    return NewOrder(account, SYMBOL, side, OrderType.MARKET, None, 0, BTC.lots(quantity), atoms(spend), client_id)


def background(engine: MatchingEngine, side: Side, price: str, quantity: str) -> int:
    return engine.background_limit(SYMBOL, side, BTC.ticks(price), BTC.lots(quantity), 0)[0]


def reports(events: list[EngineEvent], account: str = "alice") -> list[tuple[str, str]]:
    """Execution type and status of an account's reports."""
    return [(e.execution_type, e.status.value) for e in events if isinstance(e, OrderReport) and e.account == account]


def prints(events: list[EngineEvent]) -> list[tuple[str, str]]:
    """Price and quantity of the trades."""
    return [(BTC.price_text(e.price_ticks), BTC.quantity_text(e.lots)) for e in events if isinstance(e, TradePrint)]


def balance(engine: MatchingEngine, asset: str, account: str = "alice") -> Balance:
    return next(held for held in engine.balances(account) if held.asset == asset)


def refusal_of(engine: MatchingEngine, new: NewOrder) -> tuple[int, str]:
    """Code and text with which an order is refused; nothing may have moved."""
    before = engine.snapshot()
    with pytest.raises(Refusal) as caught:
        engine.place(new, 1)
    assert engine.snapshot() == before
    return caught.value.code, caught.value.message
