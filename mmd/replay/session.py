"""The core of a recorded session, built anew from the session's beginning, and lived through turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from mmd.daemon.bundles import load_networks
from mmd.daemon.core_building import build_core
from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.errors import BundleError, RuntimeUnavailable
from mmd.inference.predictor import QuotePredictor
from mmd.journal.networks import this_machine
from mmd.journal.records import NetworksChallenged, NetworksInUse, NetworksSwapped, SessionBegin
from mmd.market.feature_settings import FeatureSettings, served_schemas
from mmd.replay.errors import ReplayError
from mmd.replay.networks import Inferences, RecomputedPredictor, RecordedPredictor, RecordedStages
from mmd.replay.turns import Turn
from mmd.trader import TraderConfig
from mmd.trader.swap import SwapNetworks

Predictions = Literal["recomputed", "recorded", "none"]


class ReplayedSession:
    """`live_through` each turn in order; `core` is then as it was.

    `predictions`: `auto` recomputes on the processor type and runtime of the session, elsewhere it takes what is on record.
    `bundle` is where the networks are now, if not where they were. Raises `ReplayError`.
    """

    def __init__(
        self, begin: SessionBegin, *, predictions: Literal["auto", "recomputed", "recorded"] = "auto", bundle: Path | None = None
    ) -> None:
        self.begin = begin
        self.inferences = Inferences()
        self._folder = bundle
        self.why_recorded = ""
        """Why predictions are not recomputed, where that is so."""
        self.predictions: Predictions = "none"
        self._wanted = predictions
        loaded, predictors = self._networks(begin.networks)
        try:
            self.config = TraderConfig.model_validate_json(bytes(begin.trader_config))
        except ValidationError as error:
            raise ReplayError(f"the configuration of that session means nothing to this program: {error}") from error
        checkpoint = None if begin.checkpoint is None else msgspec.json.decode(begin.checkpoint)
        try:
            self.core = build_core(
                self.config,
                {instrument.symbol: instrument for instrument in begin.instruments},
                checkpoint=checkpoint,
                halt=begin.halt,
                stages=RecordedStages(self.inferences),
                bundle=loaded,
                predictors=predictors,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ReplayError(f"the core of that session cannot be built: {type(error).__name__}: {error}") from error

    def live_through(self, turn: Turn) -> Sequence[Any]:
        """What the core does on the turn's event. Raises what the core raises, `Diverged`, `ReplayError`."""
        event = turn.event
        if isinstance(event, NetworksChallenged):
            # In shadow: nothing that goes out hangs on it.
            return ()
        if isinstance(event, NetworksSwapped):
            bundle, predictors = self._networks(event.networks)
            assert bundle is not None
            event = SwapNetworks(event.receive_ns, bundle, predictors)
        self.inferences.begin(turn.times_ns, turn.predictions)
        commands = self.core.on_event(event)
        self.inferences.end()
        return commands

    def _networks(self, used: NetworksInUse | None) -> tuple[Bundle | None, dict[str, QuotePredictor]]:
        if used is None:
            return None, {}
        folder = self._folder or Path(used.folder)
        quoted = [one.symbol for one in self.begin.instruments if one.symbol in self.begin.symbols]
        self.why_recorded = self._why_recorded(used)
        try:
            if self.why_recorded:
                bundle = load_bundle(folder, feature_schema_hash=served_schemas(FeatureSettings()))
                recorded: dict[str, QuotePredictor] = {
                    symbol: RecordedPredictor(bundle, symbol, self.inferences) for symbol in quoted
                }
                predictors = recorded
                self.predictions = "recorded"
            else:
                bundle, predictors = load_networks(folder, quoted, used.runtime, self._recomputed)
                self.predictions = "recomputed"
        except (BundleError, RuntimeUnavailable, OSError) as error:
            raise ReplayError(
                f"the networks of that session ({used.name} {used.version}) cannot be had: {error}. "
                "Say where they are with --bundle, or take what they said from the record with --predictions recorded"
            ) from error
        if bundle.digest != used.digest:
            raise ReplayError(
                f"the bundle at {folder} is another than that of the session ({bundle.digest[:12]}, not {used.digest[:12]}): "
                "say with --bundle where the session's is"
            )
        return bundle, predictors

    def _recomputed(self, bundle: Bundle, runtime: Any, symbol: str) -> QuotePredictor:
        return RecomputedPredictor(bundle, runtime, symbol, self.inferences)

    def _why_recorded(self, used: NetworksInUse) -> str:
        if self._wanted == "recorded":
            return "asked for"
        if self._wanted == "recomputed":
            return ""
        was, here = self.begin.machine, this_machine()
        for what, then, now in (
            ("processor", was.processor, here.processor),
            ("architecture", was.architecture, here.architecture),
        ):
            if then != now:
                return f"another {what} ({now}; the session ran on {then})"
        return self._runtime_differs(used)

    @staticmethod
    def _runtime_differs(used: NetworksInUse) -> str:
        from mmd.inference.runtime import load_runtime

        try:
            runtime = load_runtime(used.runtime)
        except RuntimeUnavailable:
            return f"{used.runtime} is not installed here"
        if runtime.version != used.runtime_version:
            return f"another version of {used.runtime} ({runtime.version}; the session had {used.runtime_version})"
        return ""
