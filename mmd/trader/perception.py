"""What one symbol's network sees and says: steps, feature rows, the ring, an evaluation for every step, the gate's word.

Every step moves the recurrent state, however the load is; only the quote is conflated. The state is zeroed at a resync and a gap:
after a short one it is warmed again from the ring, after a longer one everything begins anew, since sessions are never joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mmd.inference.drift import DriftMeter
from mmd.inference.gate import PredictionGate
from mmd.inference.predictor import QuotePredictor
from mmd.inference.refusals import GateRefusal
from mmd.market.book import OrderBook
from mmd.market.feature_stream import FeatureStream
from mmd.market.inventory import InventoryFeatures
from mmd.market.reference import AssetFeed
from mmd.quoting.prediction import ABSENT, Prediction
from mmd.trader.beside import Seat
from mmd.types.market import MarketTrade
from mmd.types.stages import Stage, StageTimer

FEATURES: Final = Stage.FEATURES
INFERENCE: Final = Stage.INFERENCE


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
        "feed",
        "gate",
        "inventory",
        "inventory_is_zero",
        "prediction",
        "predictor",
        "seats",
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
        seats: Sequence[Seat] = (),
    ) -> None:
        if (predictor is None) != (gate is None):
            raise ValueError("a predictor and its gate come together")
        self.predictor = predictor
        self.gate = gate
        self.seats = tuple(seats)
        """The networks beside it."""
        self.feed: AssetFeed | None = None
        """Through which other symbols' networks look at this one; None where nobody does."""
        self.drift = _drift_meter(predictor)
        self._measured = 0
        self.stream = FeatureStream()
        self.inventory = InventoryFeatures()
        self.inventory_is_zero = False
        """Whether every inventory input was told to be 0, as it is for one who holds nothing."""
        self.prediction = Prediction()
        for seat in self.seats:
            seat.refuse(self.prediction, self.prediction.refusal)
        self._stages = stages
        self._gap_ns = session_gap_ns
        self._max_age_ns = max_age_ns
        self._last_step_ns = 0
        self._interrupted = False

    def use(self, predictor: QuotePredictor, gate: PredictionGate, seats: Sequence[Seat] = ()) -> None:
        """Take other networks, warmed from the ring; their word counts from the next step on. The gates' counts go on."""
        if self.predictor is not None and self.gate is not None:
            gate.refusals, gate.passed = self.gate.refusals, self.gate.passed
            predictor.inventory[:] = self.predictor.inventory
        self.predictor, self.gate = predictor, gate
        self.drift = _drift_meter(predictor)
        rows = self.stream.ring.recent()
        predictor.warm(rows)
        for seat in seats:
            for before in self.seats:
                seat.keep_counts(before)
            seat.warm(rows)
        self.seats = tuple(seats)
        # In place, for others hold it too; what the new bundle lacks is absent from here on.
        said = self.prediction
        said.order_flow_refusal = said.adverse_refusal = said.risk_refusal = said.cross_refusal = ABSENT
        self._refuse("networks swapped")

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
        return {} if psi is None else dict(zip(self.stream.features.NAMES, psi.tolist(), strict=False))

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
            if self.feed is not None:
                self.feed.reset()
            return False
        if self._interrupted:
            self._mend(receive_ns)
        if not self.stream.on_book(book, receive_ns):
            return False
        self._predict(receive_ns, book)
        return True

    def on_trade(self, trade: MarketTrade, book: OrderBook) -> bool:
        """After a public trade. True when it made a step."""
        if not book.valid or not self.stream.on_trade(trade, book):
            return False
        self._predict(trade.receive_ns, book)
        return True

    def set_inventory(self, row: Sequence[float]) -> None:
        """The inventory inputs of the steps to come."""
        if self.predictor is not None:
            self.predictor.tell_inventory(row)
            self.inventory_is_zero = not any(row)

    def fresh(self, now_ns: int) -> bool:
        """Whether what the quote network said last may be used now; the prediction says why not, of each network."""
        said = self.prediction
        if now_ns - said.made_ns <= self._max_age_ns:
            return said.usable
        if not said.stale:
            self._expire()
        return False

    def _expire(self) -> None:
        """The newest prediction is too old: counted once, however many quotes are made without it."""
        said = self.prediction
        said.stale = True
        if self.gate is None or not said.made_ns:
            return
        if said.usable:
            self.gate.count_stale()
            said.usable, said.refusal = False, GateRefusal.STALE.value
        for seat in self.seats:
            seat.expire(said)

    def _predict(self, receive_ns: int, book: OrderBook) -> None:
        feed, features = self.feed, self.stream.features
        if feed is not None and features.warm:
            sigma_ticks = features.sigma_ticks(feed.horizon_seconds)
            feed.on_row(receive_ns, features.values, book.bid_ticks + book.ask_ticks, sigma_ticks)
        self._stages.lap(FEATURES)
        self._last_step_ns = receive_ns
        predictor, gate = self.predictor, self.gate
        if predictor is None or gate is None:
            return
        row = features.values
        predictor.step_on(row)
        refusal = gate.check(predictor, age_ns=0, elapsed_ns=self._stages.lap(INFERENCE))
        said = self.prediction
        said.price_change = predictor.price_change
        said.optimal_spread = predictor.optimal_spread
        said.position_signal = predictor.position_signal
        said.made_ns = receive_ns
        said.stale = False
        if refusal is None:
            said.usable = True
            said.refusal = ""
        else:
            said.usable = False
            said.refusal = refusal.value
        for seat in self.seats:
            seat.step(row, receive_ns, said, inside=gate.inside)

    def _mend(self, receive_ns: int) -> None:
        """The book is valid again after an interruption."""
        self._interrupted = False
        predictor, seats = self.predictor, self.seats
        if receive_ns - self._last_step_ns > self._gap_ns:
            self.stream.reset()
            if predictor is not None:
                predictor.reset()
            for seat in seats:
                seat.reset()
        elif predictor is not None:
            rows = self.stream.ring.recent()
            predictor.warm(rows)
            for seat in seats:
                seat.warm(rows)
        self._refuse("interrupted")

    def _refuse(self, reason: str) -> None:
        """Nothing that was said may be used until the next step."""
        said = self.prediction
        said.usable, said.refusal = False, reason
        for seat in self.seats:
            seat.refuse(said, reason)


def _drift_meter(predictor: QuotePredictor | None) -> DriftMeter | None:
    reference = () if predictor is None else predictor.card.drift_reference
    return DriftMeter(reference) if reference else None
