"""The seeded simulation: a thousand stories in which nothing that must hold is broken, each the same every time it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmd import CORE
from mmd.simulation import evidence
from mmd.simulation.campaign import run_campaign, run_seeds, silence
from mmd.simulation.mutation_run import find, run_mutation, run_mutations
from mmd.simulation.mutations import MUTATIONS, Mutation
from mmd.simulation.shrink import Shrinker, explain_failure
from mmd.simulation.story import KINDS, draw_story
from mmd.simulation.world import run_story

SEEDS = 1_000
CHUNK = 50
MOST_EVENTS = 1_000
MEAN_EVENTS = 700
LONG_SEEDS = 10_000
MUTATION_SEEDS = 400
QUICK_SEEDS = 120
QUICK_MUTATIONS = (
    "sized_after_the_checks",
    "halt_does_not_latch",
    "reconciling_ignored",
    "lost_is_dead",
    "nothing_redacted",
    "others_adopted",
    "fills_doubled",
    "checkpoint_torn",
    "stale_ignored",
    "book_kept_over_disconnect",
    "finished_kept_for_ever",
)
"""At least one of each rule that a few seeds tell; the others take longer (`make mutations`)."""
EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_that_must_hold_is_broken(first: int) -> None:
    tally = run_seeds(range(first, first + CHUNK))
    if tally.violations:
        seed, invariant, _ = tally.violations[0]
        with silence():
            pytest.fail(explain_failure(draw_story(seed), invariant), pytrace=False)
    assert tally.most_events <= MOST_EVENTS
    assert tally.events / tally.seeds <= MEAN_EVENTS
    # A world in which nothing happens breaks nothing.
    assert tally.counts["orders"] > 10 * CHUNK
    assert tally.counts["fills"] > 2 * CHUNK
    assert tally.counts["starts"] > CHUNK
    assert tally.counts["halted"]


def test_every_kind_of_fault_strikes() -> None:
    assert set(run_seeds(range(120)).injected) == set(KINDS)


@pytest.mark.parametrize("seed", [8, 11, 42])
def test_the_same_seed_is_the_same_story(seed: int) -> None:
    with silence():
        one, two = (run_story(draw_story(seed), telling=True) for _ in range(2))
    assert one == two
    assert len(one.told) > 50


needs_pure_core = pytest.mark.skipif(CORE.name == "compiled", reason="compiled code does not look a replaced function up")


@needs_pure_core
@pytest.mark.parametrize("name", QUICK_MUTATIONS)
def test_a_broken_rule_is_noticed_within_a_few_seeds(name: str) -> None:
    result = run_mutation(name, QUICK_SEEDS)
    assert result.seeds is not None, f"{find(name).breaks}: nobody noticed"


def test_every_safety_rule_is_broken_by_some_mutation() -> None:
    assert {mutation.rule for mutation in MUTATIONS} == set(evidence.RULES)
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_breaks_what_is_there_and_puts_it_back(mutation: Mutation) -> None:
    with mutation.applied(), silence():
        run_story(draw_story(1))
    with silence():
        assert run_story(draw_story(1)).violation is None


@needs_pure_core
@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("no_position_check", "exposure"),
        ("no_gross_check", "gross"),
        ("no_collar", "order"),
        ("no_order_rate", "rate"),
        ("no_open_orders_check", "rate"),
        ("no_self_trade_check", "order"),
        ("loss_refilled", "loss"),
        ("ledger_not_kept", "ledger"),
    ],
)
def test_a_blinded_check_is_noticed_by_what_it_guards(name: str, invariant: str) -> None:
    assert run_mutation(name, QUICK_SEEDS).invariant == invariant


def test_stories_whose_market_turns_see_profit_and_a_crash() -> None:
    turning = [story for story in map(draw_story, range(100)) if story.turns]
    assert len(turning) > 3
    with silence():
        outcomes = [run_story(story) for story in turning]
    assert all(outcome.injected.get("crash") for outcome in outcomes)
    assert any(outcome.counts["fills"] > 10 and outcome.counts["starts"] > 1 for outcome in outcomes)


def test_a_failure_is_shrunk_and_told() -> None:
    with find("fills_doubled").applied(), silence():
        seed = next(seed for seed in range(50) if run_story(draw_story(seed)).violation)
        story = draw_story(seed)
        shrinker = Shrinker(story, "ledger")
        shortest = shrinker.shrink()
        text = explain_failure(shortest, "ledger")
    assert len(shortest.faults) <= 2
    assert len(shortest.market) < len(story.market)
    assert shrinker.runs <= 400
    assert f"seed {seed}: ledger" in text
    assert "VIOLATION" in text


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_thousand_seeds() -> None:
    """Writes docs/evidence/sim.md."""
    tally = run_campaign(0, LONG_SEEDS)
    assert not tally.violations
    (EVIDENCE / "sim.md").write_text(evidence.simulation_page(tally, 0))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_mutation_is_noticed() -> None:
    """Writes docs/evidence/mutations.md."""
    results = [result for result, _ in run_mutations(MUTATION_SEEDS)]
    assert not [result.name for result in results if result.seeds is None]
    (EVIDENCE / "mutations.md").write_text(evidence.mutation_page(results, MUTATION_SEEDS))
