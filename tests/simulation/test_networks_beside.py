"""The shipped networks beside the quote network in a whole session of virtual time: warm-up, signals from outside, swap, shadow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmd.daemon.bundles import load_networks
from mmd.inference.bundle import Bundle
from mmd.inference.companion import Companion
from mmd.inference.predictor import QuotePredictor
from mmd.market.signals import external_signal
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.trader.desk import SymbolDesk
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.types.instrument import atoms

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "quote-v2"
SYMBOL = "BTCUSDT"
SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
Networks = tuple[Bundle, dict[str, QuotePredictor]]


@pytest.fixture
def networks() -> Networks:
    return load_networks(SHIPPED, (SYMBOL,), "auto")


def session(networks: Networks, seconds: float) -> tuple[VirtualVenue, Trader, SymbolDesk]:
    parameters = SimulationParameters()
    engine = MatchingEngine(listed((SYMBOL,)))
    market = SimulatedMarket(engine, parameters.model_copy(update={"symbols": parameters.symbols[:1]}), seed=4, start_ns=START_NS)
    engine.open_account("A", {"BTC": atoms("5"), "USDT": atoms("1000000")})
    bundle, predictors = networks
    config = TraderConfig(session="t", quoting=QuotingSettings(strategy="neural"))
    trader = Trader(config, engine.instruments, bundle=bundle, predictors=predictors)
    venue = VirtualVenue(engine, market, "A")
    venue.connect(trader)
    venue.run(START_NS + round(seconds * SECOND_NS))
    return venue, trader, trader.desks[SYMBOL]


def companion_of(networks: Networks) -> Companion:
    companion = networks[1][SYMBOL].companion
    assert companion is not None
    return companion


def test_order_flow_alone_waits_for_a_warm_state_and_all_say_what_their_graph_says(networks: Networks) -> None:
    venue, trader, desk = session(networks, 20.0)
    counts = trader.report(venue.now_ns).network_refusals
    assert counts["order_flow"]["cold"] == companion_of(networks).card.steps - 1
    assert "cold" not in counts["adverse_selection"]
    assert "cold" not in counts["risk"]
    # The same graph on the same rows, by itself.
    alone = companion_of(load_networks(SHIPPED, (SYMBOL,), "auto"))
    served = companion_of(networks)
    assert served.steps == desk.perception.stream.features.steps
    alone.market[:] = served.market
    alone.step()
    said = desk.perception.prediction
    assert (said.p_adverse_bid, said.p_adverse_ask, said.risk) == (alone.p_adverse_bid, alone.p_adverse_ask, alone.risk)
    assert said.p_up != alone.p_up, "order flow remembers"


def test_a_signal_raises_the_risk_and_takes_size_until_its_time_is_over(networks: Networks) -> None:
    venue, trader, desk = session(networks, 20.0)
    assert companion_of(networks).signals.tolist() == [0.0, 0.0]
    trader.on_event(external_signal(venue.now_ns, "macro_risk", 1.0, 5.0))
    venue.run(venue.now_ns + SECOND_NS)
    said, companion = desk.perception.prediction, companion_of(networks)
    assert companion.signals.tolist() == [0.0, 1.0]
    alarmed = said.risk
    assert desk.quote is not None, trader.report(venue.now_ns)
    assert desk.quote.raw.size_share == pytest.approx(max(0.1, 1.0 - alarmed))
    companion_calm = companion_of(load_networks(SHIPPED, (SYMBOL,), "auto"))
    companion_calm.market[:] = companion.market
    companion_calm.step()
    assert alarmed > companion_calm.risk + 0.05
    venue.run(venue.now_ns + 6 * SECOND_NS)
    assert companion.signals.tolist() == [0.0, 0.0], "stale is neutral"


def test_a_swap_refuses_all_until_the_next_step_and_keeps_counting(networks: Networks) -> None:
    venue, trader, desk = session(networks, 20.0)
    before = trader.report(venue.now_ns).network_refusals["order_flow"]["cold"]
    fresh = load_networks(SHIPPED, (SYMBOL,), "auto")
    trader.on_event(SwapNetworks(venue.now_ns, *fresh))
    said = desk.perception.prediction
    assert said.order_flow_refusal == said.adverse_refusal == said.risk_refusal == "networks swapped"
    venue.run(venue.now_ns + 2 * SECOND_NS)
    assert not said.adverse_refusal
    assert not said.risk_refusal
    # The ring holds fewer rows than the order flow wants, so it waits for the rest of them.
    rows = desk.perception.stream.ring.rows
    assert trader.report(venue.now_ns).network_refusals["order_flow"]["cold"] == before + companion_of(fresh).card.steps - rows - 1
    assert not np.isnan(said.p_up)


def test_networks_in_shadow_say_what_they_would_in_service(networks: Networks) -> None:
    venue, trader, desk = session(networks, 20.0)
    trader.on_event(ChallengeNetworks(venue.now_ns, *load_networks(SHIPPED, (SYMBOL,), "auto")))
    venue.run(venue.now_ns + 10 * SECOND_NS)
    challenger = desk.challenger
    assert challenger is not None
    served, shadow = desk.perception.prediction, challenger.prediction
    assert not shadow.adverse_refusal
    assert not shadow.order_flow_refusal
    # Evaluated on the timer, so a few steps may still wait.
    while desk.perception.prediction.made_ns != challenger.prediction.made_ns:
        venue.run(venue.now_ns + SECOND_NS // 20)
    assert (shadow.p_adverse_bid, shadow.p_adverse_ask, shadow.risk) == (served.p_adverse_bid, served.p_adverse_ask, served.risk)
    assert shadow.p_up == pytest.approx(served.p_up, abs=0.05), "a state warmed from fewer rows"
    report = trader.report(venue.now_ns)
    assert [line.quotes > 10 for line in report.shadow] == [True, True]


def test_a_rehearsal_leaves_states_and_signals_alone(networks: Networks) -> None:
    _, _, desk = session(networks, 20.0)
    real = companion_of(networks)
    rehearsed = networks[1][SYMBOL].rehearsing().companion
    assert rehearsed is not None
    states = [state.copy() for state, _ in real._states]
    steps = real.steps
    rehearsed.signals[:] = 1.0
    rehearsed.step_on([0.5] * real.market.size)
    assert np.isfinite(rehearsed.risk)
    assert all(np.array_equal(state, kept) for (state, _), kept in zip(real._states, states, strict=True))
    assert (real.steps, real.signals.tolist()) == (steps, [0.0, 0.0])
    assert desk.perception.prediction.usable
