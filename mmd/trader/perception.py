"""What one symbol's network sees and says: steps, feature rows, the ring, an evaluation for every step, the gate's word.

Every step moves the recurrent state, however the load is; only the quote is conflated. The state is zeroed at a resync and a gap:
after a short one it is warmed again from the ring, after a longer one everything begins anew, since sessions are never joined.
"""

from __future__ import annotations

from mmd.inference.drift import DriftMeter
from mmd.inference.gate import PredictionGate
from mmd.inference.predictor import QuotePredictor
from mmd.market.book import OrderBook
from mmd.market.feature_stream import FeatureStream
from mmd.market.inventory import InventoryFeatures
from mmd.quoting.neural import Prediction
from mmd.types.market import MarketTrade
from mmd.types.stages import Stage, StageTimer

FEATURES, INFERENCE = Stage.FEATURES, Stage.INFERENCE


class Perception:
    """Of one symbol. Without a predictor it still makes features and volatility, for the model quoters."""

    __slots__ = (
        "_gap_ns",
        "_interrupted",
        "_last_step_ns",
        "_max_age_ns",
        "_measured",
        "_stages",
        "drift",
        "gate",
        "inventory",
        "inventory_is_zero",
        "prediction",
        "predictor",
        "stream",
    )

    def __init__(
        self,
        predictor: QuotePredictor | None,
        gate: PredictionGate | None,
        stages: StageTimer,
        *,
        session_gap_ns: int,
        max_age_ns: int,
    ) -> None:
        if (predictor is None) != (gate is None):
            raise ValueError("a predictor and its gate come together")
        self.predictor = predictor
        self.gate = gate
        self.drift = _drift_meter(predictor)
        self._measured = 0
        self.stream = FeatureStream()
        self.inventory = InventoryFeatures()
        self.inventory_is_zero = False
        """Whether every inventory input was told to be 0, as it is for one who holds nothing."""
        self.prediction = Prediction()
        self._stages = stages
        self._gap_ns = session_gap_ns
        self._max_age_ns = max_age_ns
        self._last_step_ns = 0
        self._interrupted = False

    def use(self, predictor: QuotePredictor, gate: PredictionGate) -> None:
        """Take another predictor, warmed from the ring; its word counts from the next step on. The gate's counts go on."""
        if self.predictor is not None and self.gate is not None:
            gate.refusals, gate.passed = self.gate.refusals, self.gate.passed
            predictor.inventory[:] = self.predictor.inventory
        self.predictor, self.gate = predictor, gate
        self.drift = _drift_meter(predictor)
        predictor.warm(self.stream.ring.recent())
        self.prediction.usable = False
        self.prediction.refusal = "networks swapped"

    def measure_drift(self) -> None:
        """Look at the rows that came since the last look, as far as the ring still holds them. Not for the way of a tick."""
        if self.drift is None:
            return
        ring = self.stream.ring
        fresh = min(ring.pushed - self._measured, ring.rows, ring.pushed) if ring.pushed >= self._measured else 0
        self._measured = ring.pushed
        if fresh and self.warm:
            self.drift.observe(ring.recent()[-fresh:])

    def drift_psi(self) -> dict[str, float]:
        """Population stability index by feature; empty before enough was seen, or without a reference in the card."""
        psi = None if self.drift is None else self.drift.psi()
        return {} if psi is None else dict(zip(self.stream.features.NAMES, psi.tolist(), strict=True))

    @property
    def warm(self) -> bool:
        """Whether feature rows, and so volatility, mean anything yet."""
        return self.stream.features.warm

    @property
    def steps(self) -> int:
        """Steps since the start or the last session gap."""
        return self.stream.features.steps

    def sigma_ticks(self, horizon_seconds: float) -> float:
        """Trailing mid volatility over a horizon, in ticks."""
        return self.stream.features.sigma_ticks(horizon_seconds)

    def on_book(self, book: OrderBook, receive_ns: int) -> bool:
        """After an event of the book. True when it made a step, and so a prediction."""
        if not book.valid:
            self._interrupted = True
            return False
        if self._interrupted:
            self._mend(receive_ns)
        if not self.stream.on_book(book, receive_ns):
            return False
        self._predict(receive_ns)
        return True

    def on_trade(self, trade: MarketTrade, book: OrderBook) -> bool:
        """After a public trade. True when it made a step."""
        if not book.valid or not self.stream.on_trade(trade, book):
            return False
        self._predict(trade.receive_ns)
        return True

    def set_inventory(self, row: list[float]) -> None:
        """The inventory inputs of the steps to come."""
        if self.predictor is not None:
            self.predictor.tell_inventory(row)
            self.inventory_is_zero = not any(row)

    def fresh(self, now_ns: int) -> bool:
        """Whether the newest prediction may be used now; the prediction says why not."""
        return self.prediction.usable and now_ns - self.prediction.made_ns <= self._max_age_ns

    def _predict(self, receive_ns: int) -> None:
        self._stages.lap(FEATURES)
        self._last_step_ns = receive_ns
        predictor, gate = self.predictor, self.gate
        if predictor is None or gate is None:
            return
        predictor.step_on(self.stream.features.values)
        refusal = gate.check(predictor, age_ns=0, elapsed_ns=self._stages.lap(INFERENCE))
        said = self.prediction
        said.price_change = predictor.price_change
        said.optimal_spread = predictor.optimal_spread
        said.position_signal = predictor.position_signal
        said.made_ns = receive_ns
        if refusal is None:
            said.usable = True
            said.refusal = ""
        else:
            said.usable = False
            said.refusal = refusal.value

    def _mend(self, receive_ns: int) -> None:
        """The book is valid again after an interruption."""
        self._interrupted = False
        predictor = self.predictor
        if receive_ns - self._last_step_ns > self._gap_ns:
            self.stream.reset()
            if predictor is not None:
                predictor.reset()
        elif predictor is not None:
            predictor.warm(self.stream.ring.recent())
        self.prediction.usable = False
        self.prediction.refusal = "interrupted"


def _drift_meter(predictor: QuotePredictor | None) -> DriftMeter | None:
    reference = () if predictor is None else predictor.card.drift_reference
    return DriftMeter(reference) if reference else None
