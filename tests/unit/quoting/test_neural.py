"""The neural quoter and its fallback: where fair comes from, what is pulled, how wide, and the online rescaling."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.quoting.avellaneda_stoikov import AvellanedaStoikovQuoter
from mmd.quoting.neural import NeuralQuoter
from mmd.quoting.prediction import Prediction, QuoteModel
from mmd.quoting.quote import QuoteContext, clamp
from mmd.quoting.rescale import OnlineRescale
from mmd.quoting.settings import QuotingSettings
from mmd.types.instrument import Instrument

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
SECOND = 1_000_000_000
MODEL = QuoteModel(
    microprice_weight=0.5,
    price_head_weight=0.8,
    spread_min=0.1,
    spread_max=10.0,
    pull_threshold=0.8,
    max_shift=2.0,
    max_target=0.25,
    horizon_ns=SECOND,
)


def context(**changes: float) -> QuoteContext:
    base = {
        "bid_ticks": 6_000_000,
        "bid_lots": 300,
        "ask_ticks": 6_000_020,
        "ask_lots": 100,
        "buy_room_lots": 10_000,
        "sell_room_lots": 10_000,
        "sigma_ticks": 100.0,
        "skew_sigma_ticks": 150.0,
    }
    return QuoteContext(**{**base, **changes})  # type: ignore[arg-type]


def quoter(model: QuoteModel = MODEL, *, pull: bool = False) -> NeuralQuoter:
    return NeuralQuoter(QuotingSettings(pull=pull), BTC, model)


def test_without_its_head_the_half_spread_is_what_the_market_reaches() -> None:
    settings = QuotingSettings(half_spread_reach=0.5, half_spread_sigmas=2.0, network_half_spread_factor=3.0)

    def half_spread(weight: float, reach_ticks: float) -> tuple[float, float]:
        model = msgspec.structs.replace(MODEL, spread_weight=weight)
        raw = NeuralQuoter(settings, BTC, model).quote(context(reach_ticks=reach_ticks), Prediction(optimal_spread=0.25))
        return raw.half_spread, raw.spread_shift

    assert half_spread(0.0, 40.0) == (60.0, 0.0)
    assert half_spread(0.0, 0.0) == (600.0, 0.0)
    # 0.1 x 100^0.25 of 100 ticks, halved; between the two it is their weighted mean in log scale.
    head = 5.0 * math.sqrt(10.0)
    assert half_spread(1.0, 40.0) == pytest.approx((head, head - 60.0))
    assert half_spread(0.5, 40.0)[0] == pytest.approx(math.sqrt(60.0 * head))


def test_fair_is_mid_plus_weighted_microprice_and_price_head() -> None:
    raw = quoter().quote(context(), Prediction(price_change=0.5))
    assert raw.microprice_shift == pytest.approx(0.5 * 5.0)
    assert raw.price_shift == pytest.approx(0.8 * 0.5 * 100)
    assert clamp(raw, context(), BTC, 1).fair_ticks == pytest.approx(6_000_010 + 2.5 + 40)


def test_the_shift_is_bounded_in_sigma_and_keeps_its_proportions() -> None:
    raw = quoter().quote(context(), Prediction(price_change=50.0))
    assert raw.microprice_shift + raw.price_shift == pytest.approx(200.0)
    assert raw.microprice_shift / raw.price_shift == pytest.approx(2.5 / 4000)


@pytest.mark.parametrize(("signal", "multiple"), [(0.0, 0.1), (0.5, 1.0), (1.0, 10.0)])
def test_the_spread_head_spans_the_card_s_range_in_log_scale(signal: float, multiple: float) -> None:
    raw = quoter().quote(context(), Prediction(optimal_spread=signal))
    assert raw.half_spread == pytest.approx(0.5 * 100 * multiple)


@pytest.mark.parametrize(("change", "pulled"), [(-1.5, "bid"), (1.5, "ask"), (0.2, "")])
def test_the_side_about_to_be_run_over_is_pulled(change: float, pulled: str) -> None:
    prediction = Prediction(price_change=change, optimal_spread=0.5)
    raw = quoter(pull=True).quote(context(), prediction)
    assert (raw.pull_bid, raw.pull_ask) == (pulled == "bid", pulled == "ask")
    patient = quoter().quote(context(), prediction)
    assert not patient.pull_bid
    assert not patient.pull_ask
    assert raw.predicted_direction == (1 if change > 0 else -1)
    assert 0 < raw.confidence < 1


def test_the_position_head_moves_the_target_not_the_spread() -> None:
    flat = quoter().quote(context(), Prediction())
    wants_long = quoter().quote(context(), Prediction(position_signal=1.0))
    assert wants_long.skew_shift > flat.skew_shift == 0
    assert wants_long.half_spread == flat.half_spread


@given(change=st.floats(-5, 5), spread=st.floats(0, 1), position=st.floats(-1, 1), inventory=st.floats(-1, 1))
def test_whatever_the_network_says_the_quote_is_post_only_and_outside_fair(
    change: float, spread: float, position: float, inventory: float
) -> None:
    where = context(inventory=inventory)
    prediction = Prediction(price_change=change, optimal_spread=spread, position_signal=position)
    quote = clamp(quoter().quote(where, prediction), where, BTC, 1)
    assert quote.bid_ticks < where.ask_ticks
    assert quote.ask_ticks > where.bid_ticks
    assert quote.bid_ticks <= quote.fair_ticks <= quote.ask_ticks


def test_avellaneda_stoikov_by_hand() -> None:
    settings = QuotingSettings(risk_aversion=0.5, arrival_decay=2.0)
    raw = AvellanedaStoikovQuoter(settings, BTC).quote(context(inventory=0.4), widening=2.0, source="fallback")
    assert raw.half_spread == pytest.approx(2.0 * 150 * (0.25 + math.log(1.25) / 0.5))
    assert raw.skew_shift == pytest.approx(-0.5 * 150 * 0.4)
    assert raw.source == "fallback"


def test_rescaling_learns_the_ratio_of_realised_to_predicted_and_forgets_nothing_over_gaps() -> None:
    rescale = OnlineRescale(SECOND, half_life_rows=1000)
    mid, now = 1000.0, 0
    pending = 0.0
    for row in range(4000):
        now += SECOND
        mid += 0.5 * pending
        pending = 10.0 if row % 3 else -20.0
        rescale.observe(now, mid, pending)
    assert rescale.scale == pytest.approx(0.5, abs=0.2)
    learnt = rescale.scale
    rescale.interrupt()
    rescale.observe(now + 100 * SECOND, mid + 1e6, 1.0)
    assert rescale.scale == learnt


def test_rescaling_starts_at_one_and_is_clipped() -> None:
    rescale = OnlineRescale(SECOND, half_life_rows=1000)
    assert rescale.scale == 1.0
    mid = 0.0
    for row in range(5000):
        rescale.observe(row * SECOND, mid, 1.0)
        mid -= 50.0
    assert rescale.scale == 0.0
