"""The loss budget: no restart, no resume and no invalid mark refills it; only a new day does, and never the drawdown."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from mmd.risk.limits import RiskLimits
from mmd.risk.loss import LossBudget, LossState
from mmd.types.instrument import atoms

LIMITS = RiskLimits(max_daily_loss=Decimal(50), max_drawdown=Decimal(80))
DAY = 86_400 * 1_000_000_000
START = 20_000 * DAY


def restarted(budget: LossBudget) -> LossBudget:
    state: LossState = json.loads(json.dumps(budget.state()))
    again = LossBudget(LIMITS)
    again.restore(state)
    return again


def test_loss_is_measured_from_the_days_first_pnl_and_drawdown_from_the_peak() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(30))
    budget.on_mark(START + 1, atoms(-10))
    assert (budget.loss_used_atoms, budget.drawdown_atoms) == (atoms(10), atoms(40))
    budget.on_mark(START + 2, atoms(5))
    assert (budget.loss_used_atoms, budget.drawdown_atoms) == (0, atoms(25))


def test_an_invalid_mark_freezes_and_never_zeroes() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(-49))
    budget.on_mark(START + 1, None)
    assert (budget.loss_used_atoms, budget.drawdown_atoms, budget.frozen_marks) == (atoms(49), atoms(49), 1)


def test_breach_of_the_days_loss_and_of_the_drawdown() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(-49))
    assert budget.breach() is None
    budget.on_mark(START, atoms(-50))
    assert "max_daily_loss" in (budget.breach() or "")
    other = LossBudget(LIMITS)
    other.on_mark(START, atoms(79))
    other.on_mark(START, atoms(-1))
    assert "max_drawdown" in (other.breach() or "")


def test_a_new_day_rebases_the_loss_but_not_the_drawdown() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(-40))
    budget.on_mark(START + DAY - 1, atoms(-45))
    budget.on_mark(START + DAY, atoms(-48))
    assert (budget.loss_used_atoms, budget.drawdown_atoms) == (atoms(3), atoms(48)), "the fall over midnight is not lost"


def test_the_day_turns_even_while_marks_are_invalid() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(-40))
    budget.on_mark(START + DAY, None)
    assert budget.loss_used_atoms == 0
    budget.on_mark(START + DAY + 1, atoms(-44))
    assert budget.loss_used_atoms == atoms(4)


def test_the_days_first_hour_is_a_setting() -> None:
    budget = LossBudget(LIMITS.model_copy(update={"day_start_hour_utc": 8}))
    budget.on_mark(START, atoms(-10))
    budget.on_mark(START + DAY // 3 - 1, atoms(-20))
    assert budget.loss_used_atoms == atoms(20)
    budget.on_mark(START + DAY // 3, atoms(-21))
    assert budget.loss_used_atoms == atoms(1)


def test_a_clock_that_steps_back_over_midnight_does_not_refill() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(-10))
    budget.on_mark(START - 1, atoms(-30))
    budget.on_mark(START + 1, atoms(-30))
    assert budget.loss_used_atoms == atoms(30)


def test_a_restart_refills_nothing() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(20))
    assert budget.persist_due
    budget.on_mark(START + 1, atoms(-25))
    again = restarted(budget)
    step = atoms(80) // 100
    assert again.loss_used_atoms == atoms(25)
    assert again.drawdown_atoms == atoms(45) + step
    assert not again.persist_due
    again.on_mark(START + 2, atoms(-55))
    assert again.breach() is not None
    twice = restarted(restarted(again))
    assert twice.loss_used_atoms == atoms(55)
    assert twice.drawdown_atoms == atoms(75) + step, "restarts do not add up"


def test_a_new_peak_within_the_step_needs_no_checkpoint_and_is_covered_by_it() -> None:
    budget = LossBudget(LIMITS)
    budget.on_mark(START, atoms(10))
    state = budget.state()
    budget.on_mark(START + 1, atoms("10.8"))
    assert not budget.persist_due
    crashed = LossBudget(LIMITS)
    crashed.restore(state)
    crashed.on_mark(START + 2, atoms(1))
    budget.on_mark(START + 2, atoms(1))
    assert crashed.drawdown_atoms >= budget.drawdown_atoms
    budget.on_mark(START + 3, atoms("10.81"))
    assert budget.persist_due


def test_a_damaged_checkpoint_is_an_error() -> None:
    with pytest.raises(ValueError, match="damaged"):
        LossBudget(LIMITS).restore({"day": 1, "day_start_pnl_atoms": 0, "last_pnl_atoms": 0, "peak_pnl_atoms": -1})
