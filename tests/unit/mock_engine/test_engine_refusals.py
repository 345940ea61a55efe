"""What the engine refuses, with Binance's code and exact text; a refusal moves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from mmd.mock.engine import BACKGROUND, MatchingEngine, NewOrder, Refusal, TimeInForce
from mmd.mock.engine_filters import MAX_NUM_ORDERS, parse_price, parse_quantity
from mmd.mock.instruments import listed, opening_price
from mmd.types.instrument import InstrumentError, atoms
from tests.unit.mock_engine.engine_helpers import (
    BTC,
    BUY,
    SELL,
    SYMBOL,
    background,
    funded,
    limit,
    maker,
    market,
    refusal_of,
)

FILTERS: list[tuple[NewOrder, str]] = [
    (replace(limit(BUY, "100", "1"), price_ticks=0), "PRICE_FILTER"),
    (replace(limit(BUY, "100", "1"), price_ticks=BTC.max_price_ticks + 1), "PRICE_FILTER"),
    (replace(limit(BUY, "100", "1"), lots=0), "LOT_SIZE"),
    (limit(BUY, "100", "9001"), "LOT_SIZE"),
    (limit(BUY, "100", "0.04999"), "NOTIONAL"),
    (limit(SELL, "1000000", "9.1"), "NOTIONAL"),
    (limit(BUY, "19.99", "1"), "PERCENT_PRICE_BY_SIDE"),
    (limit(SELL, "500.01", "1"), "PERCENT_PRICE_BY_SIDE"),
    (market(BUY, "9001"), "LOT_SIZE"),
    (market(BUY, "0.04999"), "NOTIONAL"),
    (market(SELL, spend="4.99"), "NOTIONAL"),
]


@pytest.mark.parametrize(("new", "name"), FILTERS)
def test_filters(new: NewOrder, name: str) -> None:
    engine = funded()
    background(engine, SELL, "100.00", "1")
    assert refusal_of(engine, new) == (-1013, f"Filter failure: {name}")
    with pytest.raises(Refusal):
        engine.check(new)


@pytest.mark.parametrize("new", [limit(BUY, "100", "0.05"), limit(BUY, "20", "1"), limit(SELL, "500", "1"), market(BUY, "0.05")])
def test_the_bounds_of_filters_are_inside(new: NewOrder) -> None:
    engine = funded()
    background(engine, SELL, "100.00", "1")
    engine.check(new)
    assert engine.open_orders("alice") == []


def test_open_orders_are_limited() -> None:
    engine = funded()
    for _ in range(MAX_NUM_ORDERS):
        engine.place(limit(BUY, "100", "0.05"), 1)
    assert refusal_of(engine, limit(BUY, "100", "0.05")) == (-1013, "Filter failure: MAX_NUM_ORDERS")
    engine.place(market(SELL, "0.05", account="bob"), 1)
    engine.place(limit(BUY, "100", "0.05"), 1)


PARAMETERS: list[tuple[NewOrder, int, str]] = [
    (
        replace(limit(BUY, "100", "1"), time_in_force=None),
        -1102,
        "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
    ),
    (
        replace(maker(BUY, "100", "1"), time_in_force=TimeInForce.GTC),
        -1106,
        "Parameter 'timeInForce' sent when not required.",
    ),
    (replace(market(BUY, "1"), price_ticks=5), -1106, "Parameter 'price' sent when not required."),
    (market(BUY, "1", spend="10"), -1106, "Parameter 'quoteOrderQty' sent when not required."),
    (market(BUY), -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
    (replace(limit(BUY, "100", "1"), quote_atoms=1), -1106, "Parameter 'quoteOrderQty' sent when not required."),
    (replace(limit(BUY, "100", "1"), symbol="DOGEUSDT"), -1121, "Invalid symbol."),
]


@pytest.mark.parametrize(("new", "code", "message"), PARAMETERS)
def test_parameters(new: NewOrder, code: int, message: str) -> None:
    assert refusal_of(funded(), new) == (code, message)


@pytest.mark.parametrize("price", ["100.00", "100.01"])
def test_limit_maker_that_would_take(price: str) -> None:
    engine = funded()
    background(engine, SELL, "100.00", "1")
    assert refusal_of(engine, maker(BUY, price, "1")) == (-2010, "Order would immediately match and take.")


def test_a_client_id_that_is_live() -> None:
    engine = funded()
    order, _ = engine.place(limit(BUY, "100", "1", client_id="same"), 1)
    assert refusal_of(engine, limit(BUY, "99", "1", client_id="same")) == (-2010, "Duplicate order sent.")
    engine.place(limit(BUY, "99", "1", client_id="same", account="bob"), 1)
    engine.cancel("alice", SYMBOL, 2, order_id=order.order_id)
    again, _ = engine.place(limit(BUY, "99", "1", client_id="same"), 3)
    assert engine.find_order("alice", SYMBOL, client_order_id="same") is again


@pytest.mark.parametrize(
    "new",
    [limit(SELL, "110", "10.00001"), limit(BUY, "110", "8999"), market(SELL, "10.00001"), market(BUY, "4500", account="poor")],
)
def test_too_small_a_balance(new: NewOrder) -> None:
    engine = funded()
    engine.open_account("poor", {"USDT": atoms("1000")})
    for price in ("100.00", "110.00"):
        background(engine, SELL, price, "9")
    new = replace(new, lots=min(new.lots, BTC.max_lots))
    if new.account == "alice" and new.side is BUY:
        engine.transfer("alice", "USDT", -atoms("900000"), 0)
    assert refusal_of(engine, new) == (-2010, "Account has insufficient balance for requested action.")


def test_a_market_buyer_needs_the_cost_of_its_fills_and_no_more() -> None:
    engine = funded()
    engine.open_account("exact", {"USDT": atoms("205")})
    background(engine, SELL, "100.00", "1")
    background(engine, SELL, "105.00", "5")
    assert refusal_of(engine, market(BUY, "2.00001", account="exact"))[0] == -2010
    engine.place(market(BUY, "2", account="exact"), 1)
    assert {held.asset: held.free_atoms for held in engine.balances("exact")} == {"BTC": atoms("2"), "USDT": 0}


def test_quote_quantity_without_a_book() -> None:
    assert refusal_of(funded(), market(BUY, spend="100")) == (
        -2010,
        "Order book liquidity is less than symbol minimum quantity.",
    )


def test_cancel_and_query_of_what_is_not_there() -> None:
    engine = funded()
    closed, _ = engine.place(market(SELL, "1", client_id="gone"), 1)
    other, _ = engine.place(limit(BUY, "100", "1", account="bob"), 1)
    lookups: list[dict[str, object]] = [
        {"order_id": 99},
        {"client_order_id": "nobody"},
        {"order_id": other.order_id},
        {},
    ]
    for ids in lookups:
        with pytest.raises(Refusal, match="-2011 Unknown order sent"):
            engine.cancel("alice", SYMBOL, 1, **ids)  # type: ignore[arg-type]
        with pytest.raises(Refusal, match="-2013 Order does not exist"):
            engine.find_order("alice", SYMBOL, **ids)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="-2011 Unknown order sent"):
        engine.cancel("alice", SYMBOL, 1, order_id=closed.order_id)
    assert engine.find_order("alice", SYMBOL, client_order_id="gone") is closed


def test_both_ids_must_agree() -> None:
    engine = funded()
    order, _ = engine.place(limit(BUY, "100", "1", client_id="mine"), 1)
    with pytest.raises(Refusal, match="-2011"):
        engine.cancel("alice", SYMBOL, 1, order_id=order.order_id, client_order_id="other")
    engine.cancel("alice", SYMBOL, 1, order_id=order.order_id, client_order_id="mine")


def test_texts_of_prices_and_quantities() -> None:
    assert (parse_price(BTC, "28165.47000000"), parse_quantity(BTC, "0.10")) == (2816547, 10000)
    refused: list[tuple[Callable[..., int], str, int, str]] = [
        (parse_price, "100.001", -1013, "Filter failure: PRICE_FILTER"),
        (parse_quantity, "0.000001", -1013, "Filter failure: LOT_SIZE"),
        (parse_price, "1.123456789", -1111, "Parameter 'price' has too much precision."),
        (
            parse_quantity,
            "-1",
            -1100,
            "Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
        ),
    ]
    for parse, text, code, message in refused:
        with pytest.raises(Refusal) as caught:
            parse(BTC, text)
        assert (caught.value.code, caught.value.message) == (code, message)


def test_accounts_are_opened_once_and_with_money_that_can_be() -> None:
    engine = funded()
    for name, balances in (("alice", {}), (BACKGROUND, {}), ("carol", {"BTC": -1})):
        with pytest.raises(ValueError, match="cannot be opened"):
            engine.open_account(name, balances)
    with pytest.raises(ValueError, match="open_account"):
        engine.balances("nobody")
    with pytest.raises(Refusal, match="insufficient balance"):
        engine.transfer("alice", "BTC", -atoms("10.1"), 1)


def test_symbols_are_listed_by_name() -> None:
    assert MatchingEngine(listed(["ETHUSDT"])).instruments["ETHUSDT"].lot_atoms == 10_000
    doge, unheard_of, cross = listed(["DOGEUSDT", "ZZZUSDT", "ETHBTC"])
    assert (doge.base_asset, doge.quote_asset, str(doge.tick_size), str(doge.lot_size)) == ("DOGE", "USDT", "0.00001", "1")
    assert (str(unheard_of.tick_size), str(unheard_of.lot_size)) == ("0.0001", "0.1")
    assert (cross.base_asset, cross.quote_asset, cross.notional_atoms, cross.min_notional_atoms) == ("ETH", "BTC", 1, 10_000)
    assert opening_price(cross) == pytest.approx(3_500 / 60_000)
    for nonsense in ("btcusdt", "USDT", "BTC-USDT", "BTCXYZ"):
        with pytest.raises(InstrumentError, match="a base asset followed by one of USDT"):
            listed([nonsense])
