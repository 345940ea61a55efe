"""Golden vectors: inputs, states and the answers that a bundle's variants gave when it was built.

Some runtimes load a graph that they then evaluate wrongly. So a predictor replays these vectors first and refuses to serve where
the answers differ: short sequences from stated states, so that both one step and the carried state are held to account.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmd.inference.errors import BundleError
from mmd.inference.runtime import TensorSession

Array = NDArray[np.float32]
OUTPUT_NAMES = ("price_change", "optimal_spread", "position_signal")
STATE_NAMES = ("h1", "c1", "h2", "c2")
INPUT_FILES = {
    "market": "golden_market.npy",
    "inventory": "golden_inventory.npy",
    "state": "golden_state.npy",
    "reference": "golden_reference.npy",
}


class GoldenInputs(msgspec.Struct, frozen=True):
    """`sequences` short sequences of `steps` steps, all float32 and raw (normalisation is in the graph)."""

    market: Array
    """[sequences, steps, market inputs]"""
    inventory: Array
    """[sequences, steps, inventory inputs]"""
    state: Array
    """[sequences, h1 + c1 + h2 + c2]: the state each sequence starts from. Have one of zeros among them."""
    reference: Array
    """[sequences, steps, 3]: the float network's price_change, optimal_spread, position_signal."""


class GoldenAnswers(msgspec.Struct, frozen=True):
    """What one variant answered."""

    outputs: Array
    """[sequences, steps, 3]"""
    state: Array
    """[sequences, h1 + c1 + h2 + c2] after the last step"""


class Golden(msgspec.Struct, frozen=True):
    """The vectors of a bundle; `answers` by the variant's name."""

    inputs: GoldenInputs
    answers: dict[str, GoldenAnswers]


def state_names(session: TensorSession) -> tuple[str, ...]:
    """The recurrent states that a graph carries: all of them, or none where its features are all its memory."""
    return tuple(name for name in STATE_NAMES if name in session.inputs)


def answer_files(variant_name: str) -> tuple[str, str]:
    """Names of the files that hold a variant's outputs and final states."""
    return f"golden_{variant_name}_outputs.npy", f"golden_{variant_name}_state.npy"


def replay(session: TensorSession, inputs: GoldenInputs) -> GoldenAnswers:
    """Runs the sequences. Leaves the session's tensors as the last step left them."""
    states = [(session.inputs[name], session.outputs[f"{name}_out"]) for name in state_names(session)]
    market, inventory = session.inputs["market"], session.inputs["inventory"]
    size = sum(state.size for state, _ in states)
    expected = {"market": market.size, "inventory": inventory.size, "state": size}
    for name, width in expected.items():
        if getattr(inputs, name).shape[-1] != width:
            raise BundleError(f"golden {name} vectors have {getattr(inputs, name).shape[-1]} columns, the graph takes {width}")
    sequences, steps = inputs.market.shape[:2]
    outputs = np.zeros((sequences, steps, len(OUTPUT_NAMES)), np.float32)
    final = np.zeros((sequences, size), np.float32)
    for sequence in range(sequences):
        position = 0
        for state, _ in states:
            state[0] = inputs.state[sequence, position : position + state.size]
            position += state.size
        for step in range(steps):
            market[0] = inputs.market[sequence, step]
            inventory[0] = inputs.inventory[sequence, step]
            session.invoke()
            outputs[sequence, step] = [session.outputs[name].item() for name in OUTPUT_NAMES]
            for state, state_out in states:
                state[:] = state_out
        if states:
            final[sequence] = np.concatenate([state[0] for state, _ in states])
    return GoldenAnswers(outputs=outputs, state=final)


def deviation(measured: Array, expected: Array) -> float:
    """The largest |measured - expected| / max(1, |expected|); infinite where anything is not finite or shapes differ."""
    if measured.shape != expected.shape or not np.isfinite(measured).all() or not np.isfinite(expected).all():
        return float("inf")
    return float(np.max(np.abs(measured - expected) / np.maximum(1.0, np.abs(expected)), initial=0.0))


def disagreement(session: TensorSession, golden: Golden, variant_name: str, tolerance: float) -> str | None:
    """None where the session reproduces the variant's golden answers within `tolerance`, else by how much it misses them."""
    recorded = golden.answers[variant_name]
    measured = replay(session, golden.inputs)
    misses = {
        name: deviation(measured.outputs[..., column], recorded.outputs[..., column]) for column, name in enumerate(OUTPUT_NAMES)
    }
    misses["recurrent state"] = deviation(measured.state, recorded.state)
    beyond = [f"{name} is off by {miss:.3g}" for name, miss in misses.items() if not miss <= tolerance]
    return f"does not reproduce its golden vectors: {', '.join(beyond)} (tolerance {tolerance:.3g})" if beyond else None


def encode_array(array: Array) -> bytes:
    """As an .npy file, float32, without pickle."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def _decode_array(data: bytes, where: str, dimensions: int) -> Array:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BundleError(f"{where}: not an .npy file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.ndim != dimensions:
        raise BundleError(f"{where}: expected float32 of {dimensions} dimensions")
    return array


def encode_golden(golden: Golden) -> dict[str, bytes]:
    """File name to content."""
    files = {file: encode_array(getattr(golden.inputs, name)) for name, file in INPUT_FILES.items()}
    for variant_name, answers in golden.answers.items():
        outputs_file, state_file = answer_files(variant_name)
        files[outputs_file] = encode_array(answers.outputs)
        files[state_file] = encode_array(answers.state)
    return files


def decode_golden(contents: Mapping[str, bytes], variant_names: tuple[str, ...], where: Callable[[str], str]) -> Golden:
    """From file contents whose hashes are known to be right. Raises BundleError where a file is missing or malformed."""

    def array(file: str, dimensions: int) -> Array:
        if file not in contents:
            raise BundleError(f"{where(file)}: the card does not list these golden vectors; build the bundle again")
        return _decode_array(contents[file], where(file), dimensions)

    inputs = GoldenInputs(**{name: array(file, 2 if name == "state" else 3) for name, file in INPUT_FILES.items()})
    sequences, steps = inputs.market.shape[:2]
    if not sequences or not steps or inputs.inventory.shape[:2] != (sequences, steps) or inputs.state.shape[0] != sequences:
        raise BundleError(f"{where(INPUT_FILES['market'])}: golden vectors are empty or of different lengths")
    answers = {}
    for name in variant_names:
        outputs_file, state_file = answer_files(name)
        answers[name] = GoldenAnswers(outputs=array(outputs_file, 3), state=array(state_file, 2))
    return Golden(inputs=inputs, answers=answers)
