"""The networks beside the quote network in a symbol's perception: stepped on every row, each judged for itself.

A graph takes part by a seat: it steps when the symbol steps, and writes what it says and the gate's word into the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from mmd.inference.card import Card
from mmd.inference.companion import Companion
from mmd.inference.companion_gate import CompanionGate
from mmd.inference.refusals import GateRefusal
from mmd.inference.settings import GateSettings
from mmd.market.signals import ExternalSignals
from mmd.quoting.prediction import Prediction
from mmd.types.stages import Stage, StageTimer

COMPANION: Final = Stage.COMPANION


class Seat(Protocol):
    """One graph beside the quote network, of one symbol. Never called while the book is invalid."""

    def step(self, row: Sequence[float], receive_ns: int, said: Prediction, *, inside: bool) -> None:
        """A new feature row; `inside` where all of it is known to lie within the training's ranges."""

    def reset(self) -> None:
        """A gap: everything begins anew."""

    def warm(self, window: NDArray[Any]) -> None:
        """After an interruption or a swap: recurrent state from the rows at hand, oldest first."""

    def refuse(self, said: Prediction, reason: str) -> None:
        """Nothing it said may be used until its next step."""

    def expire(self, said: Prediction) -> None:
        """What it said is too old: what was in use is refused as stale, and counted."""

    def refusals(self) -> Mapping[str, Mapping[GateRefusal, int]]:
        """By network, how often each reason struck."""

    def take_rows(self, others: Sequence[Seat]) -> None:
        """What one of its like among them has kept to be warmed with."""

    def keep_counts(self, before: Seat) -> None:
        """Go on counting where the one in this seat before a swap left off."""


class CompanionSeat:
    """Order flow, adverse selection and risk, in one evaluation; the signals of outside go into the risk."""

    __slots__ = ("_news", "_risk", "_signals", "_stages", "companion", "gate")

    def __init__(
        self, card: Card, companion: Companion, settings: GateSettings, signals: ExternalSignals, stages: StageTimer
    ) -> None:
        self.companion = companion
        self.gate = CompanionGate(card, companion.card, settings)
        self._signals = signals
        self._stages = stages
        self._news = self._risk = 0.0
        companion.signals[:] = 0.0

    def step(self, row: Sequence[float], receive_ns: int, said: Prediction, *, inside: bool) -> None:
        """One evaluation, and the gate's word on each of the three."""
        companion, signals = self.companion, self._signals
        if signals.speaking:
            news, risk = signals.value("news_sentiment", receive_ns), signals.value("macro_risk", receive_ns)
            if news != self._news or risk != self._risk:
                self._news, self._risk = news, risk
                companion.signals[:] = news, risk
        companion.step_on(row)
        elapsed_ns = self._stages.lap(COMPANION)
        said.order_flow_refusal, said.adverse_refusal, said.risk_refusal = self.gate.judge(
            companion, row, inside=inside, elapsed_ns=elapsed_ns
        )
        said.p_up, said.risk = companion.p_up, companion.risk
        said.p_adverse_bid, said.p_adverse_ask = companion.p_adverse_bid, companion.p_adverse_ask

    def reset(self) -> None:
        """A gap."""
        self.companion.reset()

    def warm(self, window: NDArray[Any]) -> None:
        """Rows at hand."""
        self.companion.warm(window)

    def refuse(self, said: Prediction, reason: str) -> None:
        """All three."""
        said.order_flow_refusal = said.adverse_refusal = said.risk_refusal = reason

    def expire(self, said: Prediction) -> None:
        """Those that were in use."""
        before = (said.order_flow_refusal, said.adverse_refusal, said.risk_refusal)
        said.order_flow_refusal, said.adverse_refusal, said.risk_refusal = self.gate.expire(before)

    def refusals(self) -> Mapping[str, Mapping[GateRefusal, int]]:
        """Of the three."""
        return self.gate.refusals

    def take_rows(self, others: Sequence[Seat]) -> None:
        """The rows of the symbol are all it needs."""

    def keep_counts(self, before: Seat) -> None:
        """Only of its like."""
        if isinstance(before, CompanionSeat):
            self.gate.refusals, self.gate.passed = before.gate.refusals, before.gate.passed
