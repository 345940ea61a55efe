"""The fixed quoter and the clamps: rounding, post-only distance, skew's sign and bound, sizes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.quoting.fixed import FixedSpreadQuoter
from mmd.quoting.quote import QuoteContext, RawQuote, clamp, inventory_shift, quote_lots
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")


def context(**changes: float) -> QuoteContext:
    base = {
        "bid_ticks": 6_000_000,
        "bid_lots": 5,
        "ask_ticks": 6_000_010,
        "ask_lots": 5,
        "inventory": 0.0,
        "budget_left": 1.0,
        "buy_room_lots": 10_000,
        "sell_room_lots": 10_000,
    }
    return QuoteContext(**{**base, **changes})  # type: ignore[arg-type]


def raw(**changes: object) -> RawQuote:
    base: dict[str, object] = {
        "microprice_shift": 0.0,
        "price_shift": 0.0,
        "skew_shift": 0.0,
        "half_spread": 20.0,
        "adverse_bid": 0.0,
        "adverse_ask": 0.0,
        "bid_lots": 100,
        "ask_lots": 100,
        "confidence": 0.0,
        "predicted_direction": 0,
        "source": "test",
    }
    return RawQuote(**{**base, **changes})  # type: ignore[arg-type]


def test_fixed_half_spread_is_in_bps_of_the_mid() -> None:
    quoter = FixedSpreadQuoter(QuotingSettings(fixed_half_spread_bps=2.0, order_notional=600), BTC)
    quote = clamp(quoter.quote(context()), context(), BTC, 1)
    assert quote.fair_ticks == 6_000_005
    assert quote.bid_ticks == math.floor(6_000_005 - 1200.001)
    assert quote.ask_ticks == math.ceil(6_000_005 + 1200.001)
    assert quote.bid_lots == quote.ask_lots == int(600 / (60_000.05 * 0.00001))


@pytest.mark.parametrize(("inventory", "direction"), [(0.5, -1), (-0.5, 1)])
def test_long_inventory_moves_both_quotes_down_and_short_both_up(inventory: float, direction: int) -> None:
    quoter = FixedSpreadQuoter(QuotingSettings(), BTC)
    flat = clamp(quoter.quote(context()), context(), BTC, 1)
    leaned_context = context(inventory=inventory)
    leaned = clamp(quoter.quote(leaned_context), leaned_context, BTC, 1)
    assert (leaned.bid_ticks - flat.bid_ticks) * direction > 0
    assert (leaned.ask_ticks - flat.ask_ticks) * direction > 0


def test_shift_is_bounded_by_half_spreads() -> None:
    assert inventory_shift(1.0, 0.0, scale_ticks=1e9, half_spread_ticks=10, factor=1.0, max_half_spreads=1.5) == -15
    assert inventory_shift(-1.0, 0.0, scale_ticks=1e9, half_spread_ticks=10, factor=1.0, max_half_spreads=1.5) == 15
    assert inventory_shift(0.3, 0.3, scale_ticks=1e9, half_spread_ticks=10, factor=1.0, max_half_spreads=1.5) == 0


def test_size_follows_budget_and_room() -> None:
    full = quote_lots(BTC, 6_000_000, 600, 1.0, 0.1, 10_000)
    assert full == 1000
    assert quote_lots(BTC, 6_000_000, 600, 0.5, 0.1, 10_000) == 500
    assert quote_lots(BTC, 6_000_000, 600, 0.0, 0.1, 10_000) == 100
    assert quote_lots(BTC, 6_000_000, 600, 1.0, 0.1, 7) == 7


def test_a_side_below_the_minimum_notional_is_withheld_and_says_so() -> None:
    quote = clamp(raw(bid_lots=3), context(), BTC, 1)
    assert quote.bid_lots == 0
    assert quote.ask_lots == 100
    assert "bid: below minimum size" in quote.withheld


def test_a_pulled_side_is_withheld() -> None:
    quote = clamp(raw(pull_ask=True), context(), BTC, 1)
    assert quote.ask_lots == 0
    assert quote.bid_lots == 100
    assert "ask: pulled" in quote.withheld


@given(
    microprice=st.floats(-30, 30),
    price=st.floats(-30, 30),
    skew=st.floats(-200, 200),
    half_spread=st.floats(0.5, 500),
    adverse=st.floats(0, 50),
    touch=st.integers(1, 40),
)
def test_every_quote_is_post_only_outside_fair_and_explained_to_the_tick(
    microprice: float, price: float, skew: float, half_spread: float, adverse: float, touch: int
) -> None:
    where = context(ask_ticks=6_000_000 + touch)
    quote = clamp(
        raw(
            microprice_shift=microprice,
            price_shift=price,
            skew_shift=skew,
            half_spread=half_spread,
            adverse_bid=adverse,
            adverse_ask=adverse,
        ),
        where,
        BTC,
        1,
    )
    assert quote.bid_ticks <= where.ask_ticks - 1
    assert quote.ask_ticks >= where.bid_ticks + 1
    assert quote.bid_ticks <= quote.fair_ticks <= quote.ask_ticks
    assert quote.bid_ticks < quote.ask_ticks or quote.bid_ticks == quote.fair_ticks
    parts = quote.attribution
    reservation = parts.mid + parts.microprice + parts.price_head + parts.skew
    assert quote.bid_ticks == pytest.approx(reservation - parts.half_spread - parts.adverse_bid + parts.clamp_bid, abs=1e-6)
    assert quote.ask_ticks == pytest.approx(reservation + parts.half_spread + parts.adverse_ask + parts.clamp_ask, abs=1e-6)
