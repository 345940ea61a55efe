"""What P(adverse), the risk score and P(up) do to a quote, and what is left of it when the gate refuses one of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmd.quoting.neural import NeuralQuoter
from mmd.quoting.prediction import LEAST_SIZE, Prediction, QuoteModel, size_share, widening
from mmd.quoting.quote import clamp
from mmd.quoting.settings import QuotingSettings
from tests.unit.quoting.test_neural import BTC, MODEL, context

ALL = msgspec.structs.replace(
    MODEL,
    order_flow_weight=0.4,
    cross_asset_weight=0.3,
    adverse_median=0.4,
    adverse_slope=1.5,
    adverse_pull=0.9,
    risk_sizes=True,
    risk_median=0.5,
)


def said(**changes: object) -> Prediction:
    used = {"order_flow_refusal": "", "adverse_refusal": "", "risk_refusal": "", "cross_refusal": "", "usable": True}
    return Prediction(**{**used, "p_adverse_bid": 0.4, "p_adverse_ask": 0.4, "risk": 0.0, **changes})  # type: ignore[arg-type]


def quoter(model: QuoteModel = ALL, *, pull: bool = False) -> NeuralQuoter:
    return NeuralQuoter(QuotingSettings(pull=pull), BTC, model)


def test_order_flow_and_cross_asset_join_fair_by_their_weights() -> None:
    raw = quoter().quote(context(), said(p_up=0.75, cross_move=0.2))
    assert raw.order_flow_shift == pytest.approx(0.4 * 0.5 * 100)
    assert raw.cross_shift == pytest.approx(0.3 * 0.2 * 100)
    quote = clamp(raw, context(), BTC, 1)
    parts = quote.attribution
    assert quote.fair_ticks == pytest.approx(parts.mid + parts.microprice + parts.price_head + parts.order_flow + parts.cross_asset)


def test_a_side_is_as_wide_as_ever_at_the_median_and_wider_above_it() -> None:
    calm, run_over = quoter().quote(context(), said()), quoter().quote(context(), said(p_adverse_bid=0.8))
    assert calm.adverse_bid == calm.adverse_ask == 0
    assert run_over.adverse_bid == pytest.approx(run_over.half_spread * 1.5 * 0.4)
    assert run_over.adverse_ask == 0
    assert clamp(run_over, context(), BTC, 1).bid_ticks < clamp(calm, context(), BTC, 1).bid_ticks


def test_the_risk_score_scales_the_size_and_a_tenth_always_stays() -> None:
    full, half, least = (quoter().quote(context(), said(risk=risk)) for risk in (0.0, 0.5, 1.0))
    assert half.bid_lots == pytest.approx(full.bid_lots / 2, abs=1)
    assert least.bid_lots == pytest.approx(full.bid_lots * LEAST_SIZE, abs=1)
    assert (full.size_share, half.size_share, least.size_share) == (1.0, 0.5, LEAST_SIZE)


def test_pulling_withholds_the_side_that_is_about_to_be_picked_off() -> None:
    raw = quoter(pull=True).quote(context(), said(p_adverse_ask=0.95))
    assert (raw.pull_bid, raw.pull_ask) == (False, True)
    assert not quoter().quote(context(), said(p_adverse_ask=0.95)).pull_ask, "pulling is off"


@pytest.mark.parametrize("name", ["order_flow", "adverse", "risk", "cross"])
def test_a_refused_network_adds_nothing_and_the_others_go_on(name: str) -> None:
    loud = {"p_up": 0.9, "p_adverse_bid": 0.8, "risk": 0.9, "cross_move": 0.5}
    whole = quoter().quote(context(), said(**loud))
    without = quoter().quote(context(), said(**loud, **{f"{name}_refusal": "out_of_range"}))
    parts = {
        "order_flow": lambda raw: raw.order_flow_shift,
        "adverse": lambda raw: raw.adverse_bid,
        "cross": lambda raw: raw.cross_shift,
        "risk": lambda raw: raw.size_share,
    }
    for part, of in parts.items():
        neutral = 0.5 if part == "risk" else 0.0  # a refused risk network counts as its median
        assert of(without) == pytest.approx(neutral if part == name else of(whole))
    beside = {"adverse": "adverse_selection", "cross": "cross_asset"}.get(name, name)
    assert clamp(without, context(), BTC, 1).refused == {beside: "out_of_range"}
    assert clamp(whole, context(), BTC, 1).refused == {}


def test_a_refused_quote_network_leaves_the_others_in_use_and_they_only_make_it_more_careful() -> None:
    plain = quoter().fallback(context(), said(usable=False, refusal="stale"))
    warned = quoter().fallback(context(), said(usable=False, refusal="stale", p_adverse_bid=0.8, p_adverse_ask=0.0, risk=0.6))
    assert plain.source == warned.source == "avellaneda-stoikov, for the prediction is refused: stale"
    assert warned.adverse_bid > 0 == warned.adverse_ask
    assert warned.bid_lots < plain.bid_lots
    assert plain.half_spread == warned.half_spread


def test_networks_that_a_bundle_lacks_change_nothing() -> None:
    assert quoter().quote(context(), Prediction()).size_share == 1.0
    assert clamp(quoter().quote(context(), Prediction()), context(), BTC, 1).refused == {}


@given(p=st.floats(0, 1), half=st.floats(0.5, 1e4), least=st.floats(0.5, 10), slope=st.floats(0, 50), median=st.floats(0, 1))
def test_no_side_is_ever_narrower_than_the_least(p: float, half: float, least: float, slope: float, median: float) -> None:
    model = msgspec.structs.replace(ALL, adverse_slope=slope, adverse_median=median)
    made = max(half, least)
    assert made + widening(model, p, made, least) >= least * (1 - 1e-12)


@given(risk=st.floats(0, 1))
def test_size_is_never_more_than_the_base(risk: float) -> None:
    assert LEAST_SIZE <= size_share(ALL, said(risk=risk)) <= 1.0
