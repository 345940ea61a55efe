"""Networks in a journal: which bundle served on which runtime, what each evaluation said, and that said again from the record."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmd.inference.bundle import Bundle
from mmd.inference.companion import Companion, CompanionCard
from mmd.inference.cross_asset import CrossAssetCard, CrossAssetPredictor
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import Runtime
from mmd.journal.records import Machine, NetworksInUse, Prediction
from mmd.types.stages import Stage

_PROCESSORS = Path("/proc/cpuinfo")


INFERENCES = (Stage.INFERENCE, Stage.COMPANION)
"""Stages whose times the core acts upon: the gate refuses what took too long."""
BESIDE = "/beside"
"""Follows the symbol in what the networks beside the quote network said."""
ACROSS = "/across"
"""Follows it in what the cross-asset network said."""

Append = Callable[[Prediction], object]


class JournaledPredictor(QuotePredictor):
    """Says what it said to `append` too, after each evaluation: one tuple of objects that are there anyway."""

    __slots__ = ("_append", "_symbol")

    def __init__(self, bundle: Bundle, runtime: Runtime, symbol: str, append: Append) -> None:
        self._symbol = symbol
        self._append = append
        beside, across = bundle.card.companion, bundle.card.cross_asset
        companion = None if beside is None else JournaledCompanion(beside, bundle.companion_files, runtime, symbol, append)
        files = bundle.cross_asset_files
        cross_asset = None if across is None else JournaledCrossAsset(across, files, runtime, symbol, append)
        super().__init__(bundle, runtime, companion=companion, cross_asset=cross_asset)

    def _evaluate(self) -> None:
        super()._evaluate()
        self._append((self._symbol, self.price_change, self.optimal_spread, self.position_signal))


class JournaledCompanion(Companion):
    """The same of the networks beside it."""

    __slots__ = ("_append", "_name")

    def __init__(self, card: CompanionCard, files: Mapping[str, bytes], runtime: Runtime, symbol: str, append: Append) -> None:
        self._name = symbol + BESIDE
        self._append = append
        super().__init__(card, files, runtime)

    def _evaluate(self) -> None:
        super()._evaluate()
        self._append((self._name, self.p_up, self.p_adverse_bid, self.p_adverse_ask, self.risk))


class JournaledCrossAsset(CrossAssetPredictor):
    """The same of the cross-asset network; what it made of a row that is not finite is on record too."""

    __slots__ = ("_append", "_name")

    def __init__(self, card: CrossAssetCard, files: Mapping[str, bytes], runtime: Runtime, symbol: str, append: Append) -> None:
        self._name = symbol + ACROSS
        self._append = append
        super().__init__(card, files, runtime)

    def step_on(self, assets: Sequence[Sequence[float]]) -> None:
        """One evaluation, and its record."""
        super().step_on(assets)
        self._append((self._name, self.move))


def networks_in_use(bundle: Bundle, predictors: Mapping[str, QuotePredictor]) -> NetworksInUse:
    """What a journal keeps of them."""
    card = bundle.card
    first = next(iter(predictors.values()), None)
    runtime = ("", "", "") if first is None else (first.runtime_name, first.runtime_version, first.variant_name)
    return NetworksInUse(str(bundle.folder.absolute()), card.name, card.version, bundle.digest, *runtime)


def this_machine() -> Machine:
    """The processor's model and what computes on it."""
    return Machine(_processor(), platform.machine(), platform.python_version(), np.__version__)


def _processor() -> str:
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "CPU part"))]
    return models[0] if models else platform.processor()
