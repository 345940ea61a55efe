"""Whoever is asked to leave as soon as it is back from a crash cancels what the run before it left, before it goes."""

from __future__ import annotations

from contextlib import nullcontext
from unittest.mock import patch

import msgspec
import pytest

from mmd import CORE
from mmd.simulation import process
from mmd.simulation.auditor import Auditor
from mmd.simulation.campaign import silence
from mmd.simulation.story import draw_story
from mmd.simulation.world import Outcome, run_story
from mmd.trader.accounts import ReconciliationRoutine

SEEDS = range(12)


def leave_anew(seed: int) -> Outcome:
    """Nothing goes wrong but that; and nobody sweeps behind the core."""
    story = msgspec.structs.replace(draw_story(seed), ending="leave_anew", faults=())
    with silence(), patch.object(process, "SWEEPS", 0):
        return run_story(story)


def test_it_leaves_only_when_what_an_earlier_run_left_is_gone() -> None:
    outcomes = [leave_anew(seed) for seed in SEEDS]
    assert [outcome.violation for outcome in outcomes] == [None] * len(SEEDS)
    assert all(outcome.counts["deaths"] == outcome.counts["exits"] == 1 for outcome in outcomes)


@pytest.mark.skipif(CORE.name == "compiled", reason="compiled code does not look a replaced function up")
@pytest.mark.parametrize(("blind", "text"), [(False, "has never asked"), (True, "can still trade")])
def test_without_asking_it_would_leave_orders_behind_and_be_noticed(blind: bool, text: str) -> None:
    unheard = patch.object(Auditor, "on_leaving", lambda auditor: None) if blind else nullcontext()
    with patch.object(ReconciliationRoutine, "compared", True), unheard:
        found = [outcome.violation for outcome in map(leave_anew, SEEDS) if outcome.violation is not None]
    assert found
    assert all(name == "alive" and text in told for name, told in found)
