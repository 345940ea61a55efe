"""The networks of a replay: evaluated again and held against the record, or only read from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from math import isnan
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmd.inference.bundle import Bundle
from mmd.inference.card import Card
from mmd.inference.companion import Companion, CompanionCard
from mmd.inference.cross_asset import CrossAssetCard, CrossAssetPredictor
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import Runtime, bytes_of
from mmd.journal.networks import ACROSS, BESIDE, INFERENCES
from mmd.journal.records import Prediction
from mmd.market.signals import RANGES
from mmd.replay.errors import Diverged
from mmd.types.stages import Stage


class Inferences:
    """What the networks said and took during the turn at hand, to be asked for in the same order. Raises `Diverged`."""

    def __init__(self) -> None:
        self._times: deque[int] = deque()
        self._said: deque[Prediction] = deque()
        self.evaluations = 0

    def begin(self, times_ns: Sequence[int], said: Sequence[Prediction]) -> None:
        """A turn begins."""
        self._times = deque(times_ns)
        self._said = deque(said)

    def end(self) -> None:
        """Everything must have been asked for."""
        if self._times or self._said:
            raise Diverged(f"the session evaluated networks {len(self._times) or len(self._said)} times more")

    def time_ns(self) -> int:
        """How long the next inference took."""
        if not self._times:
            raise Diverged("the session timed no inference here")
        return self._times.popleft()

    def confirm(self, found: Prediction) -> None:
        """The next evaluation, which must have said this."""
        recorded = self._next(str(found[0]))
        if found != recorded and not _same(found, recorded):
            raise Diverged(f"evaluation {self.evaluations} (of {found[0]}) says {found[1:]}, the session had {recorded[1:]}")

    def outputs(self, name: str) -> tuple[float, ...]:
        """What the next evaluation said, which must be one of this network."""
        return tuple(float(output) for output in self._next(name)[1:])

    def _next(self, name: str) -> Prediction:
        if not self._said:
            raise Diverged(f"the session evaluated no network of {name} here")
        prediction = self._said.popleft()
        if prediction[0] != name:
            raise Diverged(f"the session evaluated a network of {prediction[0]} here, not of {name}")
        self.evaluations += 1
        return prediction


class RecordedStages:
    """The `StageTimer` of a replay: an inference takes as long as it took, all else nothing."""

    def __init__(self, inferences: Inferences) -> None:
        self._inferences = inferences

    def start(self) -> None:
        """Nothing."""

    def lap(self, stage: Stage) -> int:
        """The recorded time of an inference."""
        return self._inferences.time_ns() if stage in INFERENCES else 0


class RecomputedPredictor(QuotePredictor):
    """Evaluates again; every answer must be the recorded one, to the last bit. Raises `Diverged`."""

    __slots__ = ("_inferences", "_symbol")

    def __init__(self, bundle: Bundle, runtime: Runtime, symbol: str, inferences: Inferences) -> None:
        self._symbol = symbol
        self._inferences = inferences
        beside, across = bundle.card.companion, bundle.card.cross_asset
        companion = None if beside is None else RecomputedCompanion(beside, bundle.companion_files, runtime, symbol, inferences)
        files = bundle.cross_asset_files
        cross_asset = None if across is None else RecomputedCrossAsset(across, files, runtime, symbol, inferences)
        super().__init__(bundle, runtime, companion=companion, cross_asset=cross_asset)

    def _evaluate(self) -> None:
        super()._evaluate()
        self._inferences.confirm((self._symbol, self.price_change, self.optimal_spread, self.position_signal))


class RecomputedCompanion(Companion):
    """The same of the networks beside it."""

    __slots__ = ("_inferences", "_name")

    def __init__(
        self, card: CompanionCard, files: Mapping[str, bytes], runtime: Runtime, symbol: str, inferences: Inferences
    ) -> None:
        self._name = symbol + BESIDE
        self._inferences = inferences
        super().__init__(card, files, runtime)

    def _evaluate(self) -> None:
        super()._evaluate()
        self._inferences.confirm((self._name, self.p_up, self.p_adverse_bid, self.p_adverse_ask, self.risk))


class RecomputedCrossAsset(CrossAssetPredictor):
    """The same of the cross-asset network."""

    __slots__ = ("_inferences", "_name")

    def __init__(
        self, card: CrossAssetCard, files: Mapping[str, bytes], runtime: Runtime, symbol: str, inferences: Inferences
    ) -> None:
        self._name = symbol + ACROSS
        self._inferences = inferences
        super().__init__(card, files, runtime)

    def step_on(self, assets: Sequence[Sequence[float]]) -> None:
        """One evaluation, held against the record."""
        super().step_on(assets)
        self._inferences.confirm((self._name, self.move))


class RecordedPredictor(QuotePredictor):
    """Says what is on record; there need be no runtime here. Raises `Diverged`."""

    __slots__ = ("_inferences", "_symbol")

    def __init__(self, bundle: Bundle, symbol: str, inferences: Inferences) -> None:
        card = bundle.card
        self.card = card
        self.companion = None if card.companion is None else RecordedCompanion(card.companion, card, symbol, inferences)
        self.cross_asset = None if card.cross_asset is None else RecordedCrossAsset(card.cross_asset, symbol, inferences)
        self.runtime_name, self.runtime_version, self.variant_name = "the record", "", ""
        self.refused_variants = {}
        self._symbol = symbol
        self._inferences = inferences
        self.market, self._market_bytes, self._pack_market = _inputs(len(card.feature_names))
        self.inventory, self._inventory_bytes, self._pack_inventory = _inputs(len(card.inventory_names))
        self._width = self.market.size
        self._states = self._copies = ()
        self.steps = self.rejected_rows = 0
        self.reset()

    def _evaluate(self) -> None:
        self.price_change, self.optimal_spread, self.position_signal = self._inferences.outputs(self._symbol)
        self.steps += 1


class RecordedCompanion(Companion):
    """The same of the networks beside it."""

    __slots__ = ("_inferences", "_name")

    def __init__(self, companion: CompanionCard, card: Card, symbol: str, inferences: Inferences) -> None:
        self.card, self.variant_name = companion, ""
        self._name = symbol + BESIDE
        self._inferences = inferences
        self.market, self._market_bytes, self._pack_market = _inputs(len(card.feature_names))
        self._width = self.market.size
        self.signals = np.zeros(len(RANGES), dtype=np.float32)
        self._states = self._copies = ()
        self.steps = 0
        self.reset()

    def _evaluate(self) -> None:
        self.p_up, self.p_adverse_bid, self.p_adverse_ask, self.risk = self._inferences.outputs(self._name)
        self.steps += 1


class RecordedCrossAsset(CrossAssetPredictor):
    """The same of the cross-asset network."""

    __slots__ = ("_inferences", "_name")

    def __init__(self, card: CrossAssetCard, symbol: str, inferences: Inferences) -> None:
        self.card, self.variant_name = card, ""
        self._name = symbol + ACROSS
        self._inferences = inferences
        self.assets = np.zeros((card.slots, len(card.names)), dtype=np.float32)
        self.states = self._copies = ()
        self.reset()

    def step_on(self, assets: Sequence[Sequence[float]]) -> None:
        """What is on record."""
        (self.move,) = self._inferences.outputs(self._name)
        if not isnan(self.move):
            self.steps += 1


def _inputs(width: int) -> tuple[NDArray[np.float32], memoryview, Any]:
    """A row of inputs, its memory, and what packs numbers into that."""
    row = np.zeros(width, dtype=np.float32)
    return row, bytes_of(row), Struct(f"={width}f").pack_into


def _same(found: Prediction, recorded: Prediction) -> bool:
    """Equal, with NaN equal to itself."""
    return len(found) == len(recorded) and all(
        one == other or (isinstance(one, float) and isinstance(other, float) and isnan(one) and isnan(other))
        for one, other in zip(found, recorded, strict=True)
    )
