"""The networks beside the quote network, in one graph and one invoke a step: order flow, adverse selection, risk.

Like the quote network's predictor it serves only what reproduces its golden vectors on the runtime at hand.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import isfinite, nan
from struct import Struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmd.inference.errors import BundleError, ModelRefused
from mmd.inference.golden import deviation, encode_array
from mmd.inference.runtime import Runtime, TensorSession, bytes_of, load_runtime

Array = NDArray[np.float32]
NETWORKS = ("order_flow", "adverse_selection", "risk")
"""As gate, metrics and reports name them."""
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


class CompanionUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What quotes make of adverse selection and risk, fitted on validation data. The order flow weighs in `fair_weights`."""

    adverse_median: float = 0.5
    """Validation median of P(adverse), at which a side's half-spread is multiplied by 1."""
    adverse_slope: float = 0.0
    """What the multiplier gains for each unit of P(adverse) above the median; 0 where that showed no gain."""
    adverse_pull: float = 1.0
    """P(adverse) above which `quoting.pull` withholds a side; 1 never does."""
    risk_median: float = 0.5
    """Validation median of the risk score, which stands in for a refused one."""
    risk_sizes: bool = False
    """Whether the score scales sizes."""
    gains: dict[str, float] = {}
    """What a counted row's standing quotes earned on the validation part, sigma over H summed over the series, with each slope and
    threshold that was tried."""

    def __post_init__(self) -> None:
        """Raises ValueError for a number that is out of its range."""
        for name in ("adverse_median", "adverse_pull", "risk_median"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected 0 to 1")
        if not (isfinite(self.adverse_slope) and self.adverse_slope >= 0.0):
            raise ValueError(f"adverse_slope is {self.adverse_slope}: expected a finite number that is not negative")


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
    use: CompanionUse = CompanionUse()


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
    """Of one symbol: set the signals, call `step_on(row)`, read the four numbers; NaN until the first step."""

    __slots__ = (
        "_copies", "_invoke", "_market_bytes", "_outputs", "_pack_market", "_states", "_width", "card", "market",
        "p_adverse_ask", "p_adverse_bid", "p_up", "risk", "signals", "steps", "variant_name",
    )  # fmt: skip

    def __init__(self, card: CompanionCard, files: Mapping[str, bytes], runtime: str | Runtime = "auto") -> None:
        """`files` by name, verified. Raises BundleError where no variant serves."""
        used = runtime if isinstance(runtime, Runtime) else load_runtime(runtime)
        self.card = card
        self.variant_name, session = _choose(card, files, used)
        self.market: Array = session.inputs["market"][0]
        self.signals: Array = session.inputs["signals"][0]
        self._states = tuple((session.inputs[name], session.outputs[f"{name}_out"]) for name in STATES)
        self._copies = tuple((bytes_of(state), bytes_of(state_out)) for state, state_out in self._states)
        self._outputs = tuple(session.outputs[name].reshape(()) for name in OUTPUTS)
        self._invoke = session.invoke
        # "=" makes what float32 cannot hold an error; without it it would become infinite.
        self._market_bytes, self._pack_market = bytes_of(self.market), Struct(f"={self.market.size}f").pack_into
        self._width = self.market.size
        self.signals[:] = 0.0
        self.steps = 0
        """Steps since the recurrent state was zeroed."""
        self.p_up: float
        self.p_adverse_bid: float
        self.p_adverse_ask: float
        self.risk: float
        self.reset()

    def reset(self) -> None:
        """At resync, gap and swap."""
        for state, _ in self._states:
            state[:] = 0.0
        self.market[:] = 0.0
        self.steps = 0
        self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan

    def warm(self, window: NDArray[Any]) -> None:
        """Zeroes the recurrent state and steps through `window` [rows, market inputs], oldest first; signals stay as they are."""
        self.reset()
        for row in window[:, : self._width]:
            self.market[:] = row
            self.step()

    def step(self) -> None:
        """One evaluation. A row that is not finite moves nothing and makes the answers NaN."""
        if isfinite(self.market.dot(self.market)):
            self._evaluate()
        else:
            self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan

    def step_on(self, row: Sequence[float]) -> None:
        """The same, and the quicker way, for a row that is not in the buffer yet. Of a longer one the first values count, as with
        the quote network. Raises `struct.error` for a shorter one.
        """
        width = self._width
        if len(row) > width:
            row = row[:width]
        try:
            self._pack_market(self._market_bytes, 0, *row)
            # A sum of bounded numbers is finite exactly when each is.
            finite = isfinite(sum(row))
        except OverflowError:
            self.market[:] = nan
            finite = False
        if finite:
            self._evaluate()
        else:
            self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan

    def rehearsing(self) -> RehearsedCompanion:
        """One that does the same work and moves nothing of this one."""
        return RehearsedCompanion(self)

    def _evaluate(self) -> None:
        self._invoke()
        for state, state_out in self._copies:
            state[:] = state_out
        p_up, p_adverse_bid, p_adverse_ask, risk = self._outputs
        self.p_up = p_up.item()
        self.p_adverse_bid = p_adverse_bid.item()
        self.p_adverse_ask = p_adverse_ask.item()
        self.risk = risk.item()
        self.steps += 1


class RehearsedCompanion(Companion):
    """Evaluates the real one's graph from wherever its state stands, and leaves that state and its signals alone."""

    __slots__ = ()

    def __init__(self, real: Companion) -> None:
        self.card, self.variant_name = real.card, real.variant_name
        self.market, self.signals = real.market, real.signals.copy()
        self._invoke, self._outputs = real._invoke, real._outputs
        self._states = self._copies = ()
        self._market_bytes, self._pack_market = real._market_bytes, real._pack_market
        self._width = real._width
        self.steps = 0
        self.p_up = self.p_adverse_bid = self.p_adverse_ask = self.risk = nan


def preferred(card: CompanionCard, runtime_name: str) -> tuple[CompanionVariant, ...]:
    """The variants that a runtime should try, best first."""
    names = card.preference.get(runtime_name)
    if names is None:
        return card.variants
    return tuple(next(each for each in card.variants if each.name == name) for name in names)


def _choose(card: CompanionCard, files: Mapping[str, bytes], runtime: Runtime) -> tuple[str, TensorSession]:
    refused = {}
    inputs = np.load(io.BytesIO(files[GOLDEN_INPUTS]), allow_pickle=False)
    for variant in preferred(card, runtime.name):
        session, problem = _try(variant, files, runtime, inputs)
        if session is not None and not problem:
            return variant.name, session
        refused[variant.name] = problem
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise BundleError(f"no companion graph can serve on {runtime.name} {runtime.version}: {reasons}")


def _try(
    variant: CompanionVariant, files: Mapping[str, bytes], runtime: Runtime, inputs: Array
) -> tuple[TensorSession | None, str]:
    """A session of its own, and why it must not serve."""
    try:
        session = runtime.load(files[variant.file])
    except ModelRefused as error:
        return None, str(error)
    wanted = {"market", "signals", *STATES}, {*OUTPUTS, *(f"{state}_out" for state in STATES)}
    if (set(session.inputs), set(session.outputs)) != wanted:
        return None, f"has inputs {sorted(session.inputs)} and outputs {sorted(session.outputs)}"
    expected = np.load(io.BytesIO(files[golden_file(variant.name)]), allow_pickle=False)
    miss = deviation(replay_companion(session, inputs), expected)
    if not miss <= variant.tolerance:
        return None, f"misses its golden vectors by {miss:.3g} (tolerance {variant.tolerance:.3g})"
    return session, ""


def companion_files(card: CompanionCard) -> tuple[str, ...]:
    """Names of all files that a companion needs."""
    return (GOLDEN_INPUTS, *(file for each in card.variants for file in (each.file, golden_file(each.name))))


def golden_files(inputs: Array, answers: Mapping[str, Array]) -> dict[str, bytes]:
    """File name to content."""
    return {GOLDEN_INPUTS: encode_array(inputs)} | {golden_file(name): encode_array(array) for name, array in answers.items()}
