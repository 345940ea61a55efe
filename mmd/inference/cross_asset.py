"""The cross-asset network of one primary: its own market and those of its references in, its price change out, one invoke a step.

Like the quote network's predictor it serves only what reproduces its golden vectors on the runtime at hand. A bundle may have it or
lack it; its word counts only where some reference was fresh at the step.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from struct import Struct

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmd.inference.errors import BundleError, ModelRefused
from mmd.inference.golden import deviation, encode_array
from mmd.inference.runtime import Runtime, TensorSession, load_runtime

Array = NDArray[np.float32]
STATES = ("cross_h", "cross_c")
MOVE = "cross_move"
GOLDEN_INPUTS = "golden_cross_asset_inputs.npy"
"""[sequences, steps, slots, 10], each sequence from zero state."""


class CrossAssetVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One form of the graph."""

    name: str
    file: str
    tolerance: float
    """How far a runtime's answers may lie from the golden ones, sigma over H."""
    loss: float
    """Largest distance from the float32 form on the golden inputs, sigma over H."""


class CrossAssetCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the card says of it."""

    variants: tuple[CrossAssetVariant, ...]
    preference: dict[str, tuple[str, ...]] = {}
    steps: int
    """Steps to warm the recurrent state with before an answer is used."""
    horizon_seconds: float
    slots: int
    """Assets that it has places for, the primary among them."""
    names: tuple[str, ...]
    """Columns of an asset."""
    slow_seconds: float
    """Half-life of `move_slow` and of freshness."""
    stale_seconds: float
    base_scale: float
    """Where its word may be used, E = base_scale x (E of the other networks) + weight x its move; else E is that of the others."""
    weight: float
    """0 where it adds nothing on the validation part."""
    max_shift: float
    """Bound of |E| in sigma over H where its word is used."""
    metrics: dict[str, dict[str, float]] = {}
    """Series to measure to value, on the part that fitted nothing; baselines beside."""
    quantization_loss: dict[str, float] = {}
    data_manifest: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raises ValueError where fields contradict each other."""
        weights = {"max_shift": self.max_shift, "base_scale": self.base_scale, "weight": self.weight}
        wrong = [name for name, value in weights.items() if not (value >= 0 and isfinite(value))]
        if wrong:
            raise ValueError(f"cross-asset {', '.join(wrong)}: must be finite and not negative")
        if self.slots < 2 or self.steps < 1 or not self.variants:
            raise ValueError("cross-asset: needs a variant, at least two slots and one step of warming")


def golden_file(variant: str) -> str:
    """Name of the file of a variant's answers, [sequences, steps]."""
    return f"golden_cross_asset_{variant}.npy"


def cross_asset_files(card: CrossAssetCard) -> tuple[str, ...]:
    """Names of all files that it needs."""
    return (GOLDEN_INPUTS, *(file for each in card.variants for file in (each.file, golden_file(each.name))))


def golden_files(inputs: Array, answers: Mapping[str, Array]) -> dict[str, bytes]:
    """File name to content."""
    return {GOLDEN_INPUTS: encode_array(inputs)} | {golden_file(name): encode_array(array) for name, array in answers.items()}


def replay_cross_asset(session: TensorSession, inputs: Array) -> Array:
    """[sequences, steps] sigma over H, each sequence from zero state."""
    answers = np.zeros(inputs.shape[:2], dtype=np.float32)
    for number, sequence in enumerate(inputs):
        for name in STATES:
            session.inputs[name][:] = 0.0
        for step, assets in enumerate(sequence):
            session.inputs["assets"][:] = assets
            session.invoke()
            answers[number, step] = session.outputs[MOVE].item()
            for name in STATES:
                session.inputs[name][:] = session.outputs[f"{name}_out"]
    return answers


def cross_asset_problem(
    card: CrossAssetCard, variant: CrossAssetVariant, files: Mapping[str, bytes], runtime: Runtime
) -> tuple[TensorSession | None, str]:
    """A session that reproduces the variant's golden answers, or None and why not."""
    try:
        session = runtime.load(files[variant.file])
    except ModelRefused as error:
        return None, str(error)
    wanted = {"assets", *STATES}, {MOVE, *(f"{state}_out" for state in STATES)}
    if (set(session.inputs), set(session.outputs)) != wanted:
        return None, f"has inputs {sorted(session.inputs)} and outputs {sorted(session.outputs)}"
    if session.inputs["assets"].shape != (card.slots, len(card.names)):
        return None, f"takes assets {session.inputs['assets'].shape}, the card says {(card.slots, len(card.names))}"
    inputs, expected = (np.load(io.BytesIO(files[file]), allow_pickle=False) for file in (GOLDEN_INPUTS, golden_file(variant.name)))
    miss = deviation(replay_cross_asset(session, inputs), expected)
    if miss <= variant.tolerance:
        return session, ""
    return None, f"misses its golden vectors by {miss:.3g} (tolerance {variant.tolerance:.3g})"


class CrossAssetPredictor:
    """Of one primary: `step_on` the rows of its assets, read `move`, in sigma over H; NaN until the first step."""

    __slots__ = (
        "_assets_bytes", "_copies", "_invoke", "_move", "_pack", "assets", "card", "move", "states", "steps",
        "variant_name",
    )  # fmt: skip

    def __init__(self, card: CrossAssetCard, files: Mapping[str, bytes], runtime: str | Runtime = "auto") -> None:
        """`files` by name, verified. Raises BundleError where no variant serves."""
        used = runtime if isinstance(runtime, Runtime) else load_runtime(runtime)
        self.card = card
        self.variant_name, session = _choose(card, files, used)
        self.assets: Array = session.inputs["assets"]
        """[slots, columns], the session's own buffer."""
        self.states = tuple((session.inputs[name], session.outputs[f"{name}_out"]) for name in STATES)
        self._copies = tuple(tuple(each.reshape(-1).view(np.uint8).data for each in pair) for pair in self.states)
        self._move = session.outputs[MOVE].reshape(())
        self._invoke = session.invoke
        self._assets_bytes = self.assets.reshape(-1).view(np.uint8).data
        self._pack = Struct(f"={self.assets.size}f").pack_into
        self.steps = 0
        """Steps since the recurrent state was zeroed."""
        self.move = nan
        self.reset()

    @property
    def warm_enough(self) -> bool:
        """Whether the recurrent state has seen as many steps as the card asks for."""
        return self.steps >= self.card.steps

    def reset(self) -> None:
        """At resync, gap and swap."""
        for state, _ in self.states:
            state[:] = 0.0
        self.assets[:] = 0.0
        self.steps = 0
        self.move = nan

    def step_on(self, assets: Sequence[Sequence[float]]) -> None:
        """One evaluation on the rows of the primary and its references, neutral ones where there are fewer than places.

        A number that is not finite moves nothing and makes the answer NaN. Raises `struct.error` for more than there are places.
        """
        flat = [value for row in assets for value in row]
        if not isfinite(sum(flat)):
            self.move = nan
            return
        missing = self.assets.size - len(flat)
        self._pack(self._assets_bytes, 0, *flat, *(0.0,) * missing)
        self._invoke()
        for state, state_out in self._copies:
            state[:] = state_out
        self.move = self._move.item()
        self.steps += 1


def _choose(card: CrossAssetCard, files: Mapping[str, bytes], runtime: Runtime) -> tuple[str, TensorSession]:
    refused = {}
    for name in card.preference.get(runtime.name) or tuple(variant.name for variant in card.variants):
        variant = next(each for each in card.variants if each.name == name)
        session, problem = cross_asset_problem(card, variant, files, runtime)
        if session is not None:
            return name, session
        refused[name] = problem
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise BundleError(f"no cross-asset graph can serve on {runtime.name} {runtime.version}: {reasons}")
