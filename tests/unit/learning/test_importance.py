"""Importance finds the one input that foretells, and its group; what says nothing costs nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmd.inference.bundle import load_bundle
from mmd.inference.predictor import QuotePredictor
from mmd.learning.baselines import Stretch
from mmd.learning.evidence import label_settings
from mmd.learning.importance import EVERYTHING, FEATURE, GROUP, SHUFFLED, TAKEN_AWAY, ImportanceLine, groups, measure
from mmd.market.feature_table import MARKET_NAMES
from tests.unit.learning.made_sessions import drawn_session

BUNDLE = Path(__file__).resolve().parents[3] / "models" / "quote-v2"


@pytest.fixture(scope="module")
def lines() -> list[ImportanceLine]:
    """Of the shipped quote network on a market in which the imbalance of the touch says what comes, and nothing else does."""
    sessions = [drawn_session(1_500, seed, f"series {seed}", strength=1.5) for seed in (1, 2)]
    calm = [replace(each, market=np.clip(each.market, -1.0, 1.0)) for each in sessions]
    bundle = load_bundle(BUNDLE, feature_schema_hash=None)
    halves = [(Stretch(each, 0, 700), Stretch(each, 700, 1_400)) for each in calm]
    return measure(
        [test for _, test in halves],
        [train for train, _ in halves],
        QuotePredictor(bundle),
        None,
        label_settings(bundle),
        rows=500,
    )


def of(lines: list[ImportanceLine], kind: str, how: str) -> dict[str, ImportanceLine]:
    return {line.name: line for line in lines if (line.series, line.kind, line.how) == (EVERYTHING, kind, how)}


def test_the_one_input_that_foretells_is_the_most_important(lines: list[ImportanceLine]) -> None:
    lost = {name: line.price_ic_lost or 0.0 for name, line in of(lines, FEATURE, SHUFFLED).items()}
    assert max(lost, key=lambda name: lost[name]) == "touch_imbalance"
    assert lost["touch_imbalance"] > 0.1
    assert abs(lost["volatility_long"]) < 0.05


def test_so_is_its_group_shuffled_taken_away_and_for_a_ridge_without_it(lines: list[ImportanceLine]) -> None:
    for how in (SHUFFLED, TAKEN_AWAY):
        lost = {name: line.price_ic_lost or 0.0 for name, line in of(lines, GROUP, how).items()}
        assert max(lost, key=lambda name: lost[name]) == "book"
    ridge = {name: line.ridge_ic_lost or 0.0 for name, line in of(lines, GROUP, TAKEN_AWAY).items()}
    assert max(ridge, key=lambda name: ridge[name]) == "book"
    assert ridge["book"] > 0.2 > ridge["spread"]


def test_every_feature_is_in_one_group_and_every_line_says_what_it_is_about(lines: list[ImportanceLine]) -> None:
    places = [place for members in groups().values() for place in members]
    assert sorted(places) == list(range(len(MARKET_NAMES)))
    assert {line.series for line in lines} == {"series 1", "series 2", EVERYTHING}
    assert all(line.price_ic_lost is not None for line in lines)
    assert all(line.p_up_auc_lost is None for line in lines), "there is no companion"
    assert of(lines, FEATURE, SHUFFLED)["trend"].rows == 1_000
