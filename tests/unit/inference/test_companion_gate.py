"""Order flow, adverse selection and risk are judged each for itself."""

from __future__ import annotations

from math import nan

import msgspec
import pytest

from mmd.inference.bundle import Bundle
from mmd.inference.companion import NETWORKS, CompanionCard
from mmd.inference.companion_gate import NONE_REFUSED, CompanionGate
from mmd.inference.refusals import GateRefusal
from mmd.inference.settings import GateSettings


class Said(msgspec.Struct):
    """What a companion would have said."""

    steps: int = 1_000
    p_up: float = 0.5
    p_adverse_bid: float = 0.5
    p_adverse_ask: float = 0.5
    risk: float = 0.5


@pytest.fixture
def gate(tiny_bundle: Bundle) -> CompanionGate:
    names = tiny_bundle.card.feature_names
    card = CompanionCard(
        variants=(), steps=100, horizon_seconds=1.0, fees_bps=0.0, risk_window_seconds=10.0, order_flow_names=names[:2],
        adverse_names=names[1:3], risk_names=(*names[3:5], "news_sentiment"),
    )  # fmt: skip
    return CompanionGate(tiny_bundle.card, card, GateSettings(inference_budget_us=100.0, max_out_of_range_score=1.0))


@pytest.fixture
def row(tiny_bundle: Bundle) -> list[float]:
    inside = tiny_bundle.card.training_range
    return [(low + high) / 2 for low, high in zip(inside.market_low, inside.market_high, strict=True)]


def judge(gate: CompanionGate, said: Said, row: list[float], *, inside: bool = False, elapsed_ns: int = 0) -> tuple[str, ...]:
    return gate.judge(said, row, inside=inside, elapsed_ns=elapsed_ns)  # type: ignore[arg-type]


def test_all_pass(gate: CompanionGate, row: list[float]) -> None:
    assert judge(gate, Said(), row) == NONE_REFUSED
    assert judge(gate, Said(), row, inside=True) == NONE_REFUSED


def test_only_order_flow_carries_a_state_that_may_be_cold(gate: CompanionGate, row: list[float]) -> None:
    assert judge(gate, Said(steps=99), row, inside=True) == ("cold", "", "")
    assert gate.refusals["order_flow"][GateRefusal.COLD] == 1
    assert not any(gate.refusals["risk"].values())


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (Said(p_up=nan), ("not_finite", "", "")),
        (Said(p_adverse_ask=nan), ("", "not_finite", "")),
        (Said(risk=nan), ("", "", "not_finite")),
    ],
)
def test_a_head_that_is_no_number_is_refused_alone(
    gate: CompanionGate, row: list[float], said: Said, refused: tuple[str, ...]
) -> None:
    assert judge(gate, said, row, inside=True) == refused


@pytest.mark.parametrize(
    ("place", "refused"),
    [
        (0, ("out_of_range", "", "")),
        (1, ("out_of_range", "out_of_range", "")),
        (4, ("", "", "out_of_range")),
        (9, ("", "", "")),
    ],
)
def test_a_network_is_held_to_the_ranges_of_what_it_sees(
    gate: CompanionGate, row: list[float], tiny_bundle: Bundle, place: int, refused: tuple[str, ...]
) -> None:
    inside = tiny_bundle.card.training_range
    row[place] = inside.market_high[place] + 2 * ((inside.market_high[place] - inside.market_low[place]) or 1.0)
    assert judge(gate, Said(), row) == refused


def test_one_evaluation_over_its_time_refuses_all_that_it_gave(gate: CompanionGate, row: list[float]) -> None:
    assert judge(gate, Said(), row, inside=True, elapsed_ns=100_001) == ("over_budget",) * 3
    assert [gate.refusals[name][GateRefusal.OVER_BUDGET] for name in NETWORKS] == [1, 1, 1]


def test_what_grew_old_is_counted_once_and_keeps_its_own_reason(gate: CompanionGate) -> None:
    assert gate.expire(("", "cold", "")) == ("stale", "cold", "stale")
    assert [gate.refusals[name][GateRefusal.STALE] for name in NETWORKS] == [1, 0, 1]
    assert gate.expire(("stale", "cold", "stale")) == ("stale", "cold", "stale")
    assert gate.refusals["order_flow"][GateRefusal.STALE] == 1
