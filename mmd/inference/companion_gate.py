"""May what the networks beside the quote network said be used? Each is judged for itself: one refused leaves the others in use."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING

from mmd.inference.card import Card
from mmd.inference.companion import NETWORKS, Companion, CompanionCard
from mmd.inference.refusals import GateRefusal

if TYPE_CHECKING:
    from mmd.inference.settings import GateSettings

Refusals = tuple[str, str, str]
"""Of order flow, adverse selection and risk: the code of the reason, empty where it may be used."""
NONE_REFUSED: Refusals = ("", "", "")


class CompanionGate:
    """One per symbol. The ranges are those of the bundle's market features, each network held to the ones it sees."""

    __slots__ = ("_budget_ns", "_max_score", "_ranges", "_steps", "passed", "refusals", "scores")

    def __init__(self, card: Card, companion: CompanionCard, settings: GateSettings) -> None:
        self._budget_ns = round(settings.inference_budget_us * 1e3)
        self._max_score = settings.max_out_of_range_score
        # Order flow alone carries a state that must be warm.
        self._steps = (companion.steps, 1, 1)
        inside = card.training_range
        bounds = {
            name: (place, low, high, (high - low) or 1.0)
            for place, (name, low, high) in enumerate(zip(card.feature_names, inside.market_low, inside.market_high, strict=True))
        }
        seen = (companion.order_flow_names, companion.adverse_names, companion.risk_names)
        # Signals are no features: what came in was held to its range at the door.
        self._ranges = tuple(tuple(bounds[name] for name in names if name in bounds) for names in seen)
        self.refusals: dict[str, dict[GateRefusal, int]] = {name: dict.fromkeys(GateRefusal, 0) for name in NETWORKS}
        self.passed = 0
        """Steps on which all were used."""
        self.scores = [0.0, 0.0, 0.0]
        """Out-of-range scores of the last step on which they were measured."""

    def judge(self, companion: Companion, row: Sequence[float], *, inside: bool, elapsed_ns: int) -> Refusals:
        """`inside` says that the whole row is known to lie within its ranges; `elapsed_ns` what the evaluation took."""
        if (
            inside
            and elapsed_ns <= self._budget_ns
            and companion.steps >= self._steps[0]
            and isfinite(companion.p_up + companion.p_adverse_bid + companion.p_adverse_ask + companion.risk)
        ):
            self.passed += 1
            return NONE_REFUSED
        heads = (companion.p_up, companion.p_adverse_bid + companion.p_adverse_ask, companion.risk)
        found = [self._judge(place, head, companion.steps, row, elapsed_ns) for place, head in enumerate(heads)]
        return found[0], found[1], found[2]

    def expire(self, refusals: Refusals) -> Refusals:
        """What was said is too old: those that were in use are refused as stale, and counted."""
        for name, before in zip(NETWORKS, refusals, strict=True):
            if not before:
                self.refusals[name][GateRefusal.STALE] += 1
        stale: str = GateRefusal.STALE.value
        return refusals[0] or stale, refusals[1] or stale, refusals[2] or stale

    def _judge(self, place: int, head: float, steps: int, row: Sequence[float], elapsed_ns: int) -> str:
        refusal = self._refusal(place, head, steps, row, elapsed_ns)
        if refusal is None:
            return ""
        self.refusals[NETWORKS[place]][refusal] += 1
        code: str = refusal.value
        return code

    def _refusal(self, place: int, head: float, steps: int, row: Sequence[float], elapsed_ns: int) -> GateRefusal | None:
        if not isfinite(head):
            return GateRefusal.NOT_FINITE
        if steps < self._steps[place]:
            return GateRefusal.COLD
        self.scores[place] = score = _score(row, self._ranges[place])
        if score > self._max_score:
            return GateRefusal.OUT_OF_RANGE
        return GateRefusal.OVER_BUDGET if elapsed_ns > self._budget_ns else None


def _score(row: Sequence[float], ranges: tuple[tuple[int, float, float, float], ...]) -> float:
    score = 0.0
    for place, low, high, width in ranges:
        value = row[place]
        if low <= value <= high:
            continue
        if not isfinite(value):
            return inf
        score += (low - value if value < low else value - high) / width
    return score
