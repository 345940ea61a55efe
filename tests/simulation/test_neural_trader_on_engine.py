"""The neural path in virtual time, with a tiny bundle of random weights: what is tested is the way, not the wisdom."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from mmd import CORE
from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.drift import reference_bins
from mmd.inference.predictor import QuotePredictor
from mmd.market.feature_settings import FeatureSettings, served_schemas
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.trader.commands import OrderCommand
from mmd.trader.swap import ChallengeNetworks, SwapNetworks
from mmd.types.control import Timer
from mmd.types.instrument import atoms
from mmd.types.orders import AmendOrder, Fill, PlaceOrder, ReplaceOrder

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def wide_open(bundle: Bundle) -> Bundle:
    """The same bundle as if it had been trained on everything: its ranges are random, and the gate would refuse all."""
    card = bundle.card
    inside = msgspec.structs.replace(
        card.training_range,
        market_low=(-100.0,) * len(card.feature_names),
        market_high=(100.0,) * len(card.feature_names),
        inventory_low=(-100.0,) * len(card.inventory_names),
        inventory_high=(100.0,) * len(card.inventory_names),
    )
    return msgspec.structs.replace(bundle, card=msgspec.structs.replace(card, training_range=inside))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    folder = Path(__file__).parents[1] / "fixtures" / "tiny_bundle"
    return wide_open(load_bundle(folder, feature_schema_hash=None))


def make_world(bundle: Bundle | None, seed: int = 3, strategy: str = "neural") -> tuple[VirtualVenue, Trader]:
    engine = MatchingEngine(listed(SYMBOLS))
    market = SimulatedMarket(engine, SimulationParameters(), seed=seed, start_ns=START_NS)
    engine.open_account("A", {"BTC": atoms("5"), "ETH": atoms("100"), "USDT": atoms("1000000")})
    predictors = {} if bundle is None else {symbol: QuotePredictor(bundle) for symbol in SYMBOLS}
    config = TraderConfig(session="t", quoting=QuotingSettings(strategy=strategy))  # type: ignore[arg-type]
    trader = Trader(config, engine.instruments, bundle=bundle, predictors=predictors)
    return VirtualVenue(engine, market, "A"), trader


def test_every_step_is_one_evaluation_and_the_same_again_gives_the_same_session(bundle: Bundle) -> None:
    runs = []
    for _ in range(2):
        venue, trader = make_world(bundle)
        venue.connect(trader)
        venue.run(START_NS + 30 * SECOND_NS)
        desk = trader.desks["BTCUSDT"]
        assert desk.steps > 500
        assert desk.perception.predictor is not None
        assert desk.perception.predictor.steps == desk.perception.stream.features.steps
        report = trader.report(venue.now_ns)
        line = report.symbols[0]
        assert line.predictions["usable"] == 1.0
        assert line.quote is not None
        assert line.quote.source == "neural"
        runs.append((venue.checkpoint, report.quotes, report.orders_sent, tuple(line.predictions.items())))
    assert runs[0] == runs[1]


def test_nothing_is_quoted_before_features_are_warm(bundle: Bundle) -> None:
    venue, trader = make_world(bundle)
    venue.connect(trader)
    venue.run(START_NS + 10 * SECOND_NS)
    assert not trader.desks["BTCUSDT"].perception.warm
    assert trader.orders.orders_sent == 0
    venue.run(START_NS + 25 * SECOND_NS)
    assert trader.orders.orders_sent > 0


def test_a_refused_prediction_falls_back_to_avellaneda_stoikov_wider_and_says_so(bundle: Bundle) -> None:
    narrow = msgspec.structs.replace(
        bundle,
        card=msgspec.structs.replace(
            bundle.card,
            training_range=msgspec.structs.replace(
                bundle.card.training_range,
                market_low=(50.0,) * len(bundle.card.feature_names),
                market_high=(51.0,) * len(bundle.card.feature_names),
            ),
        ),
    )
    venue, trader = make_world(narrow)
    venue.connect(trader)
    venue.run(START_NS + 25 * SECOND_NS)
    report = trader.report(venue.now_ns)
    assert report.gate_refusals["out_of_range"] > 100
    quote = report.symbols[0].quote
    assert quote is not None
    assert "avellaneda-stoikov" in quote.source
    assert "out_of_range" in quote.source
    plain_venue, plain = make_world(None, strategy="avellaneda-stoikov")
    plain_venue.connect(plain)
    plain_venue.run(START_NS + 25 * SECOND_NS)
    plain_quote = plain.report(plain_venue.now_ns).symbols[0].quote
    assert plain_quote is not None
    assert quote.attribution_ticks["half_spread"] > plain_quote.attribution_ticks["half_spread"]


def test_a_short_interruption_warms_the_state_again_from_the_ring_and_a_long_one_begins_anew(bundle: Bundle) -> None:
    venue, trader = make_world(bundle)
    venue.connect(trader)
    venue.run(START_NS + 20 * SECOND_NS)
    desk = trader.desks["BTCUSDT"]
    perception = desk.perception
    assert perception.predictor is not None
    before = np.array(perception.stream.ring.window())
    for length, warm_after in ((1, True), (30, False)):
        venue.cut_feed()
        assert not desk.book.valid
        venue.run(venue.now_ns + length * SECOND_NS)
        venue.restore_feed()
        steps = perception.stream.features.steps
        venue.run(venue.now_ns + SECOND_NS)
        assert desk.book.valid
        if warm_after:
            assert perception.stream.features.steps > steps
            assert perception.predictor.steps < perception.stream.features.steps
        else:
            assert perception.stream.features.steps < steps
            assert not perception.warm
    assert not np.array_equal(before, perception.stream.ring.window())


def test_without_a_bundle_the_neural_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="no bundle"):
        make_world(None)


@pytest.mark.skipif(CORE.name == "compiled", reason="puts a function in the place of a method, which compiled classes refuse")
def test_every_fill_is_at_or_outside_fair_as_it_was_when_the_order_was_quoted() -> None:
    shipped = Path(__file__).parents[2] / "models" / "quote-v1"
    venue, trader = make_world(load_bundle(shipped, feature_schema_hash=served_schemas(FeatureSettings())), seed=11)
    fair_ticks: dict[str, float] = {}
    sources: set[str] = set()
    fills: list[Fill] = []
    send = trader.orders.send

    def watch(command: OrderCommand) -> None:
        quote = trader.desks[command.symbol].quote
        if isinstance(command, PlaceOrder | ReplaceOrder | AmendOrder) and quote is not None:
            new_id = command.new_client_order_id if isinstance(command, AmendOrder) else command.client_order_id
            kept = fair_ticks.get(command.client_order_id, quote.fair_ticks)
            fair_ticks[new_id] = kept if isinstance(command, AmendOrder) else quote.fair_ticks
            sources.add(quote.source)
        send(command)

    trader.orders.send = watch  # type: ignore[method-assign]
    venue.on_event = lambda event: fills.append(event) if isinstance(event, Fill) else None
    venue.connect(trader)
    venue.run(START_NS + 90 * SECOND_NS)
    assert "neural" in sources
    assert len(fills) > 20
    for fill in fills:
        assert (fair_ticks[fill.client_order_id] - fill.price_ticks) * fill.side.sign >= 0, fill


def test_a_swap_is_between_two_ticks_and_the_new_state_is_warm(bundle: Bundle) -> None:
    venue, trader = make_world(bundle)
    venue.connect(trader)
    venue.run(START_NS + 30 * SECOND_NS)
    passed = {symbol: desk.perception.gate.passed for symbol, desk in trader.desks.items() if desk.perception.gate is not None}
    fresh = {symbol: QuotePredictor(bundle) for symbol in SYMBOLS}
    assert not trader.on_event(SwapNetworks(venue.now_ns, bundle, fresh)), "a swap sends nothing by itself"
    for symbol, desk in trader.desks.items():
        assert desk.perception.predictor is fresh[symbol]
        assert fresh[symbol].warm_enough
        assert not desk.perception.prediction.usable, "what the old networks said is not quoted on any more"
        assert np.array_equal(fresh[symbol].market, desk.perception.stream.ring.recent()[-1][: len(bundle.card.feature_names)])
    venue.run(START_NS + 33 * SECOND_NS)
    report = trader.report(venue.now_ns)
    assert all(line.quote is not None and line.quote.source == "neural" for line in report.symbols)
    for symbol, desk in trader.desks.items():
        assert desk.perception.gate is not None
        assert desk.perception.gate.passed > passed[symbol], "the gate's counts go on"


def test_a_swap_early_in_a_session_falls_back_until_the_state_is_warm(bundle: Bundle) -> None:
    venue, trader = make_world(bundle)
    venue.connect(trader)
    venue.run(START_NS + SECOND_NS // 4)
    fresh = {symbol: QuotePredictor(bundle) for symbol in SYMBOLS}
    trader.on_event(SwapNetworks(venue.now_ns, bundle, fresh))
    assert not fresh["ETHUSDT"].warm_enough
    venue.run(START_NS + SECOND_NS)
    for desk in trader.desks.values():
        assert desk.perception.predictor is not None
        assert desk.perception.prediction.usable <= desk.perception.predictor.warm_enough


def test_the_champion_s_own_copy_as_a_challenger_says_and_would_do_the_same(bundle: Bundle) -> None:
    venue, trader = make_world(bundle)
    venue.connect(trader)
    venue.run(START_NS + 20 * SECOND_NS)
    twins = {symbol: QuotePredictor(bundle) for symbol in SYMBOLS}
    assert not trader.on_event(ChallengeNetworks(venue.now_ns, bundle, twins))
    for symbol, desk in trader.desks.items():
        own = desk.perception.predictor
        assert own is not None
        twins[symbol].restore_recurrent_state(own.recurrent_state(), own.steps)
    venue.run(START_NS + 80 * SECOND_NS)
    trader.on_event(Timer(venue.now_ns))
    for symbol, desk in trader.desks.items():
        own, challenger = desk.perception.predictor, desk.challenger
        assert own is not None
        assert challenger is not None
        assert twins[symbol].steps == own.steps, "every step, in service and in shadow"
        assert np.array_equal(twins[symbol].recurrent_state(), own.recurrent_state())
        assert challenger.prediction.price_change == desk.perception.prediction.price_change
        assert challenger.overflows == 0
    lines = {(line.symbol, line.who): line for line in trader.report(venue.now_ns).shadow}
    assert len(lines) == 4
    for symbol in SYMBOLS:
        champion, challenger_line = lines[symbol, "champion"], lines[symbol, "challenger"]
        assert champion.quotes > 200
        assert champion.fills > 0
        assert abs(champion.quotes - challenger_line.quotes) <= 0.05 * champion.quotes
        assert abs(champion.fills - challenger_line.fills) <= 0.3 * champion.fills + 3


def test_a_challenger_changes_nothing_that_is_sent(bundle: Bundle) -> None:
    outcomes = []
    for challenged in (False, True):
        venue, trader = make_world(bundle)
        venue.connect(trader)
        venue.run(START_NS + 10 * SECOND_NS)
        if challenged:
            trader.on_event(ChallengeNetworks(venue.now_ns, bundle, {symbol: QuotePredictor(bundle) for symbol in SYMBOLS}))
        venue.run(START_NS + 40 * SECOND_NS)
        report = trader.report(venue.now_ns)
        outcomes.append((venue.checkpoint, report.quotes, report.orders_sent, report.fills))
    assert outcomes[0] == outcomes[1]
    trader.on_event(ChallengeNetworks(venue.now_ns, None, {}))
    assert trader.report(venue.now_ns).shadow == ()


def test_drift_is_told_of_a_market_that_the_networks_were_not_trained_on(bundle: Bundle) -> None:
    normal = np.random.default_rng(1).normal(size=10_000)
    elsewhere = (reference_bins(normal + 1000.0),) * len(bundle.card.feature_names)
    drifted = msgspec.structs.replace(bundle, card=msgspec.structs.replace(bundle.card, drift_reference=elsewhere))
    venue, trader = make_world(drifted)
    venue.connect(trader)
    assert trader.report(venue.now_ns).symbols[0].drift == {}
    venue.run(START_NS + 60 * SECOND_NS)
    drift = trader.report(venue.now_ns).symbols[0].drift
    assert set(drift) == set(trader.desks["BTCUSDT"].perception.stream.features.NAMES[: len(bundle.card.feature_names)])
    assert all(value > 1.0 for value in drift.values())
