"""Whether a bundle would serve here: every variant on every runtime at hand, held to its golden vectors."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mmd.inference.bundle import Bundle
from mmd.inference.errors import ModelRefused, RuntimeUnavailable
from mmd.inference.golden import disagreement
from mmd.inference.runtime import RUNTIME_NAMES, Runtime


class Verdict(msgspec.Struct, frozen=True):
    """One variant on one runtime."""

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
    """Each variant on each runtime."""
    return tuple(_verdict(bundle, runtime, name) for runtime in runtimes for name in bundle.models)


def _verdict(bundle: Bundle, runtime: Runtime, name: str) -> Verdict:
    preferred = any(variant.name == name for variant in bundle.card.preferred(runtime.name))
    try:
        session = runtime.load(bundle.models[name])
    except ModelRefused as error:
        problem: str | None = str(error)
    else:
        problem = disagreement(session, bundle.golden, name, bundle.card.variant(name).tolerance)
    return Verdict(runtime.name, runtime.version, name, preferred, problem or "")
