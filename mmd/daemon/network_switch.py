"""Other networks without a restart: loaded and verified off the event loop, then swapped in as one event; and back again.

Until the swap event nothing has changed, so whatever is wrong with the new bundle leaves the old one quoting. A restart takes what
the settings name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from mmd.daemon.bundles import PredictorFactory, find_bundle, load_networks, plain_predictor
from mmd.inference.bundle import Bundle
from mmd.inference.errors import BundleError, RuntimeUnavailable
from mmd.inference.predictor import QuotePredictor
from mmd.trader.swap import ChallengeNetworks, SwapNetworks

log = structlog.get_logger(__name__)

Swapped = Callable[[Bundle, Mapping[str, QuotePredictor]], None]


class SwapRefused(ValueError):
    """The networks stay what they are; the text says why, `reason` in a word for metrics."""

    def __init__(self, text: str, reason: str = "not_possible") -> None:
        super().__init__(text)
        self.reason = reason


class InUse(msgspec.Struct, frozen=True):
    """A bundle that serves, or served before."""

    folder: str
    name: str
    version: str
    stage: str
    digest: str


class NetworksDocument(msgspec.Struct, frozen=True):
    """Which bundles a daemon has. None where there is none."""

    current: InUse | None
    previous: InUse | None
    """What a roll-back would return to."""
    challenger: InUse | None
    """What is watched in shadow."""
    swaps: int
    """Since the start."""


class NetworkSwitch:
    """`bundle` serves at the start (None where the strategy uses none). `dispatch` takes the event, `failed` says why
    the core is not asked any more, `may_serve` why a bundle must not serve here (empty: it may), `on_swap` hears of it after,
    `make` makes the predictors of networks that serve.
    """

    def __init__(
        self,
        bundle: Bundle | None,
        symbols: Sequence[str],
        runtime: str,
        *,
        dispatch: Callable[[Any], None],
        failed: Callable[[], str],
        clock_ns: Callable[[], int],
        may_serve: Callable[[Bundle], str] = lambda _: "",
        on_swap: Swapped = lambda _, __: None,
        make: PredictorFactory = plain_predictor,
    ) -> None:
        self._bundle = bundle
        self._previous: Bundle | None = None
        self._challenger: Bundle | None = None
        self._symbols = tuple(symbols)
        self._runtime = runtime
        self._dispatch = dispatch
        self._failed = failed
        self._clock_ns = clock_ns
        self._may_serve = may_serve
        self._on_swap = on_swap
        self._make = make
        self._busy = asyncio.Lock()
        self.swaps = 0
        """Since the start."""
        self.refused: dict[str, int] = {}
        """Swaps and challenges refused, by reason."""

    @property
    def current(self) -> InUse | None:
        """What serves now."""
        return None if self._bundle is None else _in_use(self._bundle)

    @property
    def challenger(self) -> InUse | None:
        """What is watched in shadow."""
        return None if self._challenger is None else _in_use(self._challenger)

    @property
    def previous(self) -> InUse | None:
        """What a roll-back would return to."""
        return None if self._previous is None else _in_use(self._previous)

    def document(self) -> NetworksDocument:
        """For /models and /state."""
        return NetworksDocument(self.current, self.previous, self.challenger, self.swaps)

    async def use(self, folder: Path) -> InUse:
        """Serve another bundle. Raises `SwapRefused`, and then nothing has changed."""
        if self._bundle is None:
            raise SwapRefused("this daemon quotes without networks: set quoting.strategy to neural and restart it")
        async with self._busy:
            bundle, predictors = await self._loaded(folder, self._make)
            why_not = self._may_serve(bundle)
            if why_not:
                raise self._refused(why_not, "stage")
            self._send(SwapNetworks(self._clock_ns(), bundle, predictors))
            self._previous, self._bundle = self._bundle, bundle
            self.swaps += 1
            self._on_swap(bundle, predictors)
            log.warning("networks swapped", name=bundle.card.name, version=bundle.card.version, digest=bundle.digest)
            return _in_use(bundle)

    async def challenge(self, folder: Path | None) -> InUse | None:
        """Watch another bundle in shadow; None ends it. Raises `SwapRefused`, and then nothing has changed."""
        if self._bundle is None:
            raise SwapRefused("this daemon quotes without networks: set quoting.strategy to neural and restart it")
        async with self._busy:
            loaded = None if folder is None else await self._loaded(folder, plain_predictor)
            bundle, predictors = (None, {}) if loaded is None else loaded
            self._send(ChallengeNetworks(self._clock_ns(), bundle, predictors))
            self._challenger = bundle
            return self.challenger

    async def roll_back(self) -> InUse:
        """Serve again what served before. Raises `SwapRefused`."""
        if self._previous is None:
            raise SwapRefused("nothing to roll back to: the networks have not been swapped since the start")
        return await self.use(self._previous.folder)

    async def _loaded(self, folder: Path, make: PredictorFactory) -> tuple[Bundle, dict[str, QuotePredictor]]:
        try:
            # Reading, hashing and replaying golden vectors takes many ticks' time.
            return await asyncio.to_thread(self._load, folder, make)
        except (BundleError, RuntimeUnavailable, OSError) as error:
            raise self._refused(str(error), "runtime" if isinstance(error, RuntimeUnavailable) else "bundle") from error

    def _refused(self, text: str, reason: str) -> SwapRefused:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return SwapRefused(text, reason)

    def _send(self, event: SwapNetworks | ChallengeNetworks) -> None:
        self._dispatch(event)
        failure = self._failed()
        if failure:
            raise SwapRefused(f"the core failed and the process is leaving: {failure}")

    def _load(self, folder: Path, make: PredictorFactory) -> tuple[Bundle, dict[str, QuotePredictor]]:
        named = folder if folder.is_absolute() or len(folder.parts) > 1 else Path("models") / folder
        return load_networks(find_bundle(named).absolute(), self._symbols, self._runtime, make)


def _in_use(bundle: Bundle) -> InUse:
    card = bundle.card
    return InUse(str(bundle.folder), card.name, card.version, card.stage, bundle.digest)
