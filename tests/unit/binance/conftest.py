"""Instruments as the venue lists them."""

from __future__ import annotations

import pytest

from mmd.types.instrument import Instrument


@pytest.fixture
def btc() -> Instrument:
    return Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")


@pytest.fixture
def eth() -> Instrument:
    return Instrument.create("ETHUSDT", "ETH", "USDT", tick_size="0.01", lot_size="0.0001", min_notional="5")


@pytest.fixture
def instruments(btc: Instrument, eth: Instrument) -> dict[str, Instrument]:
    return {"BTCUSDT": btc, "ETHUSDT": eth}
