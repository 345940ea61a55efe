"""Between ccxt's words and ours, and what its exceptions mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from mmd.daemon.settings_sources import SettingsError, load_settings
from mmd.exchanges.adapter import AdapterError, CredentialsError
from mmd.exchanges.ccxt.adapter import CcxtAdapter
from mmd.exchanges.ccxt.clients import make_client
from mmd.exchanges.ccxt.markets import amount_atoms, balances_of, fill_of, instrument_of, order_update, whole_id
from mmd.exchanges.ccxt.orders import _exact
from mmd.exchanges.ccxt.settings import CcxtSettings
from mmd.exchanges.ccxt.verdicts import Verdict, verdict
from mmd.types.instrument import Instrument, InstrumentError, Replacement
from mmd.types.orders import OrderStatus

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ccxt.NetworkError, Verdict.UNKNOWN),
        (ccxt.RequestTimeout, Verdict.UNKNOWN),
        (ccxt.ExchangeNotAvailable, Verdict.UNKNOWN),
        (ccxt.OnMaintenance, Verdict.UNKNOWN),
        (ccxt.BadResponse, Verdict.UNKNOWN),
        (ccxt.NullResponse, Verdict.UNKNOWN),
        (ccxt.OperationFailed, Verdict.UNKNOWN),
        (ccxt.BaseError, Verdict.UNKNOWN),
        (ccxt.DuplicateOrderId, Verdict.UNKNOWN),
        (ccxt.RateLimitExceeded, Verdict.LIMITED),
        (ccxt.DDoSProtection, Verdict.LIMITED),
        (ccxt.InvalidNonce, Verdict.CLOCK),
        (ccxt.ExchangeError, Verdict.REFUSED),
        (ccxt.InvalidOrder, Verdict.REFUSED),
        (ccxt.InsufficientFunds, Verdict.REFUSED),
        (ccxt.OrderNotFound, Verdict.REFUSED),
        (ccxt.OrderImmediatelyFillable, Verdict.REFUSED),
        (ccxt.NotSupported, Verdict.REFUSED),
    ],
)
def test_what_an_exception_says(error: type[Exception], expected: Verdict) -> None:
    assert verdict(error("text"), ccxt) is expected


def test_whatever_is_no_exchange_error_and_no_refusal_on_the_way_is_unknown() -> None:
    """Over every class there is: nothing is ever taken for a refusal because we do not know it."""
    certain = (ccxt.ExchangeError, ccxt.RateLimitExceeded, ccxt.DDoSProtection, ccxt.InvalidNonce)
    kinds = [getattr(ccxt, name) for name in dir(ccxt)]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, ccxt.BaseError) and not issubclass(kind, certain):
            assert verdict(kind("text"), ccxt) is Verdict.UNKNOWN, kind


def test_ids_are_numbers_that_grow_with_time() -> None:
    assert whole_id("12345") == 12345
    first, later = whole_id("a1b2-x", 1_700_000_000_000), whole_id("00aa-y", 1_700_000_000_001)
    assert 0 < first < later < 1 << 63
    assert whole_id("a1b2-x") == whole_id("a1b2-x") != whole_id("a1b2-z")


@given(st.integers(0, 10**13), st.integers(0, 8))
def test_what_ccxt_is_handed_is_the_amount_to_the_digit(digits: int, decimals: int) -> None:
    amount = Decimal(digits).scaleb(-decimals)
    assert Decimal(repr(_exact(amount))) == amount


def test_an_amount_that_no_float_bears_is_refused() -> None:
    with pytest.raises(ValueError, match="exactly"):
        _exact(Decimal("12345678901234567.89"))


def order(**changes: Any) -> dict[str, Any]:
    base = {"id": "7", "side": "buy", "price": "28165.47", "amount": "0.00100", "filled": "0", "status": "open", "timestamp": 5}
    return {**base, **changes}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, OrderStatus.NEW),
        ({"filled": "0.0005"}, OrderStatus.PARTIALLY_FILLED),
        ({"filled": "0.001", "status": "closed"}, OrderStatus.FILLED),
        ({"filled": "0.0005", "status": "closed"}, OrderStatus.CANCELED),
        ({"status": "canceled"}, OrderStatus.CANCELED),
        ({"status": "expired"}, OrderStatus.EXPIRED),
        ({"status": "rejected"}, OrderStatus.REJECTED),
    ],
)
def test_orders(changes: dict[str, Any], status: OrderStatus) -> None:
    update = order_update(order(**changes), BTC, 9, client_order_id="m-1")
    assert (update.price_ticks, update.lots, update.status, update.exchange_ns) == (2_816_547, 100, status, 5_000_000)


def test_off_the_grid_is_an_error() -> None:
    with pytest.raises(InstrumentError):
        order_update(order(price="28165.475"), BTC, 9, client_order_id="m-1")


def test_fills_and_balances() -> None:
    trade = {
        "id": "11", "order": "7", "timestamp": 5, "side": "sell", "price": "28165.47", "amount": "0.00040",
        "takerOrMaker": "maker", "fee": {"cost": "0.00012345", "currency": "USDT"},
    }  # fmt: skip
    fill = fill_of(trade, BTC, 9, client_order_id="m-1")
    assert (fill.trade_id, fill.lots, fill.fee_atoms, fill.fee_asset, fill.is_maker) == (11, 40, 12_345, "USDT", True)
    assert amount_atoms(None) == 0
    (held,) = balances_of({"free": {"BTC": "0.1", "ETH": "0"}, "used": {"BTC": "0.2"}})
    assert (held.asset, held.free_atoms, held.locked_atoms) == ("BTC", 10_000_000, 20_000_000)


@pytest.mark.parametrize(("mode", "price", "amount"), [(4, 0.01, 1e-05), (2, 2, 5)], ids=["steps", "decimal places"])
def test_filters_in_either_notation(mode: int, price: float, amount: float) -> None:
    client = make_client(CcxtSettings(api_key="K"), lambda: 0, with_key=False)
    client.precisionMode = mode
    market = {
        "base": "BTC", "quote": "USDT", "precision": {"price": price, "amount": amount},
        "limits": {"amount": {"min": 1e-05, "max": 9000.0}, "price": {"min": 0.01, "max": 1e6}, "cost": {"min": 5.0}},
    }  # fmt: skip
    found = instrument_of(client, "BTCUSDT", market)
    assert (found.tick_size, found.lot_size) == (Decimal("0.01"), Decimal("0.00001"))
    assert found.min_notional_atoms == 5 * 10**8
    assert found.replacement is Replacement.CANCEL_FIRST


def made(**options: str) -> CcxtAdapter:
    from random import Random

    settings = CcxtSettings(profile="live", api_key="K", api_secret=SecretStr("S"), options=options)
    return CcxtAdapter(settings, ("BTCUSDT",), clock_ns=lambda: 0, on_failure=lambda *_: None, random=Random(1))


def test_capabilities_are_what_ccxt_says_of_the_exchange() -> None:
    for exchange_id in ("binance", "okx", "kraken", "bybit"):
        capabilities = made(exchange_id=exchange_id).capabilities
        assert (capabilities.post_only, capabilities.pushed_user_data) == (True, True), exchange_id
    assert not made(exchange_id="binance", streams="false").capabilities.pushed_user_data


def test_mistakes_are_named() -> None:
    with pytest.raises(AdapterError, match="ccxt knows no exchange 'binanse'"):
        made(exchange_id="binanse")
    with pytest.raises(AdapterError, match="no test network of kraken"):
        make_client(CcxtSettings(profile="testnet", options={"exchange_id": "kraken"}), lambda: 0, with_key=False)
    from random import Random

    with pytest.raises(CredentialsError, match="no key for binance"):
        CcxtAdapter(CcxtSettings(), ("BTCUSDT",), clock_ns=lambda: 0, on_failure=lambda *_: None, random=Random(1))


def test_settings_of_the_daemon(tmp_path: Any) -> None:
    chosen = {"MMD_VENUE": "ccxt", "MMD_EXCHANGE__OPTIONS__EXCHANGE_ID": "kraken", "MMD_MODE": "paper"}
    settings = load_settings(environment=chosen, directory=tmp_path)
    assert isinstance(settings.exchange, CcxtSettings)
    assert settings.exchange.ccxt.exchange_id == "kraken"
    assert settings.account == "ccxt/kraken/live/paper"
    for name, why in (("EXCHANGE", "it has exchange_id, poll_seconds"), ("POLL_SECONDS", "greater than or equal")):
        with pytest.raises(SettingsError, match=why):
            load_settings(environment={**chosen, f"MMD_EXCHANGE__OPTIONS__{name}": "0"}, directory=tmp_path)
