"""The cross-asset network in a symbol's perception, and the feeds through which the symbols of a trader look at each other.

Every symbol's rows go into its feed as they are made; at a symbol's own step the network sees its row and what the others' feeds
show of the past. Rows are kept for as many steps as the network is warmed with, so that a short interruption costs it no more than
the other networks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mmd.inference.card import Card
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.refusals import GateRefusal
from mmd.inference.settings import GateSettings
from mmd.market.reference import FEATURE_NAMES, AssetFeed, AssetRow
from mmd.quoting.prediction import Prediction
from mmd.trader.beside import Seat
from mmd.types.stages import Stage, StageTimer

if TYPE_CHECKING:
    from mmd.inference.bundle import Bundle
    from mmd.trader.desk import SymbolDesk
    from mmd.trader.perception import Perception
    from mmd.trader.watched import WatchedSymbol

CROSS_ASSET = "cross_asset"
"""As gate, metrics and reports name it."""
Assets = tuple[AssetRow, ...]
"""Primary and references at one step."""
FIRST_FEATURE = 2
"""Of an asset's columns: moves come before the features, freshness after them."""


class ReferenceBoard:
    """The feed of each symbol, traded or watched, and who looks at whom."""

    def __init__(self, symbols: Sequence[str], chosen: Sequence[str] = ()) -> None:
        """`chosen` are the symbols that others look at, in order; none: all. Raises `ValueError` for one that is not there."""
        missing = sorted(set(chosen) - set(symbols))
        if missing:
            raise ValueError(f"cross_asset_symbols names {', '.join(missing)}: neither quoted nor watched")
        self.feeds = {symbol: AssetFeed() for symbol in symbols}
        self._looked_at = tuple(chosen) or tuple(symbols)
        self._markets: tuple[tuple[str, Perception | WatchedSymbol], ...] = ()
        self._serving: Bundle | None = None
        self._challenging: Bundle | None = None

    def references(self, primary: str, most: int) -> tuple[AssetFeed, ...]:
        """The first so many others."""
        return tuple(self.feeds[symbol] for symbol in self._looked_at if symbol != primary)[:most]

    def attach(self, desks: Mapping[str, SymbolDesk], watched: Mapping[str, WatchedSymbol], serving: Bundle | None) -> None:
        """Whose rows are to go into the feeds, and the networks that look at them."""
        markets: list[Perception | WatchedSymbol] = [*(desk.perception for desk in desks.values()), *watched.values()]
        self._markets = tuple(zip((*desks, *watched), markets, strict=True))
        self.serve(serving)

    def serve(self, bundle: Bundle | None) -> None:
        """The networks in service from now on."""
        self._serving = bundle
        self._feed()

    def challenge(self, bundle: Bundle | None) -> None:
        """The networks in shadow from now on."""
        self._challenging = bundle
        self._feed()

    def _feed(self) -> None:
        """Rows go into the feeds if either bundle has a network that looks at them, and there is more than one symbol."""
        bundles = [each for each in (self._serving, self._challenging) if each is not None]
        looks = any(each.card.cross_asset is not None for each in bundles) and len(self.feeds) > 1
        for symbol, market in self._markets:
            feed = self.feeds[symbol]
            if bundles:
                feed.horizon_seconds = bundles[0].card.horizon_seconds
            if not looks:
                feed.reset()
            market.feed = feed if looks else None


class CrossAssetSeat:
    """Of one primary."""

    __slots__ = (
        "_budget_ns", "_card", "_max_score", "_own", "_passed", "_ranges", "_references", "_refusals", "_stages",
        "predictor", "recent", "score",
    )  # fmt: skip

    def __init__(
        self, card: Card, predictor: CrossAssetPredictor, settings: GateSettings, board: ReferenceBoard, primary: str,
        stages: StageTimer,
    ) -> None:  # fmt: skip
        self.predictor = predictor
        self._card = predictor.card
        self._own = board.feeds[primary]
        self._references = board.references(primary, predictor.card.slots - 1)
        self._stages = stages
        self._budget_ns = round(settings.inference_budget_us * 1e3)
        self._max_score = settings.max_out_of_range_score
        inside = card.training_range
        bounds = dict(zip(card.feature_names, zip(inside.market_low, inside.market_high, strict=True), strict=True))
        self._ranges = tuple((*bounds[name], (bounds[name][1] - bounds[name][0]) or 1.0) for name in FEATURE_NAMES)
        self.recent: deque[Assets] = deque(maxlen=predictor.card.steps)
        """The newest rows of all assets."""
        self._refusals = dict.fromkeys(GateRefusal, 0)
        self._passed = 0
        self.score = 0.0
        """Out-of-range score of the last step on which it was measured: of the worst asset."""

    def step(self, row: Sequence[float], receive_ns: int, said: Prediction, *, inside: bool) -> None:
        """One evaluation on what stands now, and the gate's word."""
        self.step_seen(self.look(receive_ns), said, inside=inside)

    def look(self, receive_ns: int) -> Assets:
        """The primary and its references as they stand now; nothing before the primary's first row."""
        if not self._own.begun:
            return ()
        return (self._own.own(), *[feed.before(receive_ns) for feed in self._references])

    def step_seen(self, assets: Assets, said: Prediction, *, inside: bool) -> None:
        """One evaluation on what was looked at, now or earlier, and the gate's word."""
        if not assets:
            said.cross_refusal = self._count(GateRefusal.COLD)
            return
        self.recent.append(assets)
        predictor = self.predictor
        predictor.step_on(assets)
        refusal = self._refusal(assets, inside, self._stages.lap(Stage.COMPANION))
        said.cross_move = predictor.move
        if refusal is None:
            self._passed += 1
            said.cross_refusal = ""
        else:
            said.cross_refusal = self._count(refusal)

    def _refusal(self, assets: Sequence[AssetRow], inside: bool, elapsed_ns: int) -> GateRefusal | None:
        predictor = self.predictor
        if not isfinite(predictor.move):
            return GateRefusal.NOT_FINITE
        if not predictor.warm_enough:
            return GateRefusal.COLD
        fresh = [row for row in assets[1:] if row[-1] > 0.0]
        if not fresh:
            return GateRefusal.NO_REFERENCE
        self.score = max(self._score(row) for row in (fresh if inside else (assets[0], *fresh)))
        if self.score > self._max_score:
            return GateRefusal.OUT_OF_RANGE
        return GateRefusal.OVER_BUDGET if elapsed_ns > self._budget_ns else None

    def _score(self, row: AssetRow) -> float:
        """How far an asset's features lie outside the training's ranges, in widths of those."""
        score = 0.0
        for value, (low, high, width) in zip(row[FIRST_FEATURE:-1], self._ranges, strict=True):
            if low <= value <= high:
                continue
            if not isfinite(value):
                return inf
            score += (low - value if value < low else value - high) / width
        return score

    def _count(self, refusal: GateRefusal) -> str:
        self._refusals[refusal] += 1
        code: str = refusal.value
        return code

    @property
    def understood(self) -> bool:
        """Whether the feeds measure moves over the horizon of this network, as they do for those who serve."""
        return self._own.horizon_seconds == self._card.horizon_seconds

    def reset(self) -> None:
        """A gap."""
        self.predictor.reset()
        self.recent.clear()

    def warm(self, window: NDArray[Any]) -> None:
        """From the rows of all assets that were kept: those of the primary alone tell too little."""
        self.predictor.reset()
        for assets in self.recent:
            self.predictor.step_on(assets[: self._card.slots])

    def refuse(self, said: Prediction, reason: str) -> None:
        """Until the next step."""
        said.cross_refusal = reason

    def expire(self, said: Prediction) -> None:
        """Too old."""
        if not said.cross_refusal:
            said.cross_refusal = self._count(GateRefusal.STALE)

    def refusals(self) -> Mapping[str, Mapping[GateRefusal, int]]:
        """Of this one network."""
        return {CROSS_ASSET: self._refusals}

    def take_rows(self, others: Sequence[Seat]) -> None:
        """Of all assets, where another cross-asset network kept them."""
        for other in others:
            if isinstance(other, CrossAssetSeat):
                self.recent.extend(other.recent)

    def keep_counts(self, before: Seat) -> None:
        """Of its like, with the rows that are kept."""
        if isinstance(before, CrossAssetSeat):
            self._refusals, self._passed = before._refusals, before._passed
            self.take_rows((before,))
