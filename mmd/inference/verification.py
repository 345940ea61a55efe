"""Whether a bundle would serve here: every variant on every runtime at hand, held to its golden vectors."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mmd.inference.bundle import Bundle
from mmd.inference.companion import Companion
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.errors import BundleError, ModelRefused, RuntimeUnavailable
from mmd.inference.golden import disagreement
from mmd.inference.runtime import RUNTIME_NAMES, Runtime


class Verdict(msgspec.Struct, frozen=True):
    """One variant of one of the bundle's graphs on one runtime."""

    network: str
    """`quote`, `companion` or `cross-asset`."""
    runtime: str
    version: str
    variant: str
    preferred: bool
    """Whether the card lets this runtime take it at all."""
    problem: str
    """Empty where it loads and reproduces its golden vectors."""

    @property
    def serves(self) -> bool:
        """Whether a predictor may take it."""
        return self.preferred and not self.problem


def installed_runtimes() -> tuple[Runtime, ...]:
    """Those that can be imported here."""
    found = []
    for name in RUNTIME_NAMES:
        try:
            found.append(Runtime(name))
        except RuntimeUnavailable:
            continue
    return tuple(found)


def verify(bundle: Bundle, runtimes: Iterable[Runtime]) -> tuple[Verdict, ...]:
    """Each variant of each graph on each runtime."""
    found = []
    for runtime in runtimes:
        found += [_of_quote(bundle, runtime, name) for name in bundle.models]
        found += _beside(bundle, runtime)
    return tuple(found)


def serves(verdicts: Iterable[Verdict]) -> bool:
    """Whether each of the bundle's networks has a variant that serves, on every runtime that was tried."""
    able: dict[tuple[str, str], bool] = {}
    for verdict in verdicts:
        key = verdict.network, verdict.runtime
        able[key] = able.get(key, False) or verdict.serves
    return all(able.values())


def _of_quote(bundle: Bundle, runtime: Runtime, name: str) -> Verdict:
    preferred = any(variant.name == name for variant in bundle.card.preferred(runtime.name))
    try:
        session = runtime.load(bundle.models[name])
    except ModelRefused as error:
        problem: str | None = str(error)
    else:
        problem = disagreement(session, bundle.golden, name, bundle.card.variant(name).tolerance)
    return Verdict("quote", runtime.name, runtime.version, name, preferred, problem or "")


def _beside(bundle: Bundle, runtime: Runtime) -> list[Verdict]:
    """Of the networks beside the quote network, where the bundle has them: each variant is tried by itself."""
    found = []
    for network, card, files, serve in (
        ("companion", bundle.card.companion, bundle.companion_files, Companion),
        ("cross-asset", bundle.card.cross_asset, bundle.cross_asset_files, CrossAssetPredictor),
    ):
        if card is None:
            continue
        named = card.preference.get(runtime.name) or tuple(variant.name for variant in card.variants)
        for variant in card.variants:
            problem = ""
            try:
                serve(msgspec.structs.replace(card, variants=(variant,), preference={}), files, runtime)  # type: ignore[arg-type]
            except BundleError as error:
                problem = str(error)
            found.append(Verdict(network, runtime.name, runtime.version, variant.name, variant.name in named, problem))
    return found
