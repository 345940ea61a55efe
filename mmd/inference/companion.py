"""The networks beside the quote network, in one graph and one invoke a step: order flow, adverse selection, risk.

Like the quote network's predictor it serves only what reproduces its golden vectors on the runtime at hand.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import isfinite, nan

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmd.inference.errors import BundleError, ModelRefused
from mmd.inference.golden import deviation, encode_array
from mmd.inference.runtime import Runtime, TensorSession, load_runtime

Array = NDArray[np.float32]
STATES = ("flow_h1", "flow_c1", "flow_h2", "flow_c2")
OUTPUTS = ("p_up", "p_adverse_bid", "p_adverse_ask", "risk")
GOLDEN_INPUTS = "golden_companion_inputs.npy"
"""[sequences, steps, 22]: market row and the two signals, each sequence from zero state."""


class CompanionVariant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One form of the graph."""

    name: str
    file: str
    tolerance: float
    """How far a runtime's answers may lie from the golden ones."""
    loss: float
    """Largest distance from the float32 form on the golden inputs."""


class CompanionCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the card says of them."""

    variants: tuple[CompanionVariant, ...]
    preference: dict[str, tuple[str, ...]] = {}
    steps: int
    """Steps to warm the recurrent state of the order flow with."""
    horizon_seconds: float
    fees_bps: float
    risk_window_seconds: float
    order_flow_names: tuple[str, ...]
    adverse_names: tuple[str, ...]
    risk_names: tuple[str, ...]
    balance: dict[str, float] = {}
    """Share of training labels that are 1, and of rows that count."""
    metrics: dict[str, dict[str, float]] = {}
    """Series to measure to value, on the part that fitted nothing; baselines beside."""
    useful: dict[str, bool] = {}
    """Head to whether it beat its best baseline, as the mean over the series: one that did not is not to be used."""


def golden_file(variant: str) -> str:
    """Name of the file of a variant's answers, [sequences, steps, 4]."""
    return f"golden_companion_{variant}.npy"


def replay_companion(session: TensorSession, inputs: Array) -> Array:
    """Each sequence from zero state."""
    width = session.inputs["market"].size
    answers = np.zeros((*inputs.shape[:2], len(OUTPUTS)), dtype=np.float32)
    for number, sequence in enumerate(inputs):
        for name in STATES:
            session.inputs[name][:] = 0.0
        for step, row in enumerate(sequence):
            session.inputs["market"][0], session.inputs["signals"][0] = row[:width], row[width:]
            session.invoke()
            answers[number, step] = [session.outputs[name].item() for name in OUTPUTS]
            for name in STATES:
                session.inputs[name][:] = session.outputs[f"{name}_out"]
    return answers


class Companion:
    """Of one symbol: write a row into `market` (and `signals`), call `step()`, read the four numbers; NaN until the first step."""

    __slots__ = (
        "_invoke", "_outputs", "_states", "card", "market", "p_adverse_ask", "p_adverse_bid", "p_up", "risk", "signals", "steps",
        "variant_name",
    )  # fmt: skip

    def __init__(self, card: CompanionCard, files: Mapping[str, bytes], runtime: str | Runtime = "auto") -> None:
        """`files` by name, verified. Raises BundleError where no variant serves."""
        used = runtime if isinstance(runtime, Runtime) else load_runtime(runtime)
        self.card = card
        self.variant_name, session = _choose(card, files, used)
        self.market: Array = session.inputs["market"][0]
        self.signals: Array = session.inputs["signals"][0]
        self._states = tuple((session.inputs[name], session.outputs[f"{name}_out"]) for name in STATES)
        self._outputs = tuple(session.outputs[name].reshape(()) for name in OUTPUTS)
        self._invoke = session.invoke
        self.signals[:] = 0.0
        self.steps = 0
        self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan
        self.reset()

    def reset(self) -> None:
        """At resync, gap and swap."""
        for state, _ in self._states:
            state[:] = 0.0
        self.market[:] = 0.0
        self.steps = 0
        self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan

    def step(self) -> None:
        """One evaluation. A row that is not finite moves nothing and makes the answers NaN."""
        if not isfinite(self.market.dot(self.market)):
            self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan
            return
        self._invoke()
        for state, state_out in self._states:
            state[:] = state_out
        self.p_up, self.p_adverse_bid, self.p_adverse_ask, self.risk = (output.item() for output in self._outputs)
        self.steps += 1


def _choose(card: CompanionCard, files: Mapping[str, bytes], runtime: Runtime) -> tuple[str, TensorSession]:
    refused = {}
    inputs = np.load(io.BytesIO(files[GOLDEN_INPUTS]), allow_pickle=False)
    names = card.preference.get(runtime.name) or tuple(variant.name for variant in card.variants)
    for name in names:
        variant = next(each for each in card.variants if each.name == name)
        try:
            session = runtime.load(files[variant.file])
        except ModelRefused as error:
            refused[name] = str(error)
            continue
        wanted = {"market", "signals", *STATES}, {*OUTPUTS, *(f"{state}_out" for state in STATES)}
        if (set(session.inputs), set(session.outputs)) != wanted:
            refused[name] = f"has inputs {sorted(session.inputs)} and outputs {sorted(session.outputs)}"
            continue
        expected = np.load(io.BytesIO(files[golden_file(name)]), allow_pickle=False)
        miss = deviation(replay_companion(session, inputs), expected)
        if miss <= variant.tolerance:
            return name, session
        refused[name] = f"misses its golden vectors by {miss:.3g} (tolerance {variant.tolerance:.3g})"
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise BundleError(f"no companion graph can serve on {runtime.name} {runtime.version}: {reasons}")


def companion_files(card: CompanionCard) -> tuple[str, ...]:
    """Names of all files that a companion needs."""
    return (GOLDEN_INPUTS, *(file for each in card.variants for file in (each.file, golden_file(each.name))))


def golden_files(inputs: Array, answers: Mapping[str, Array]) -> dict[str, bytes]:
    """File name to content."""
    return {GOLDEN_INPUTS: encode_array(inputs)} | {golden_file(name): encode_array(array) for name, array in answers.items()}
