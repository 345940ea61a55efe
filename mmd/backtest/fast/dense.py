"""The quote network as plain numbers, and its layers compiled: what of it depends on inventory cannot be worked out once.

Only networks of single rows are taken apart: dense layers, each followed by the positive part, on the sum of a market part and an
inventory part. Weights that are int8 are multiplied as TFLite's kernels do it: the layer's input is quantized to 8 bits by its own
range, the sums are whole, and one multiplication and one fused multiplication and addition bring them back.
"""

from __future__ import annotations

from math import exp, tanh
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hftbacktest.intrinsic import address_as_void_pointer

from mmd.backtest.errors import BacktestError
from mmd.backtest.fast.compiling import compiled, compiled_entry, numba
from mmd.inference.errors import ModelRefused
from mmd.inference.golden import OUTPUT_NAMES
from mmd.inference.runtime import Operation, TensorSession

carray, int64 = numba.carray, numba.int64
INT64, FLOAT32 = np.dtype(np.int64), np.dtype(np.float32)
NORMALISED = ("SUB", "MUL", "MINIMUM", "MAXIMUM", "FULLY_CONNECTED")
JOINED, ENDS = "ADD", ("SPLIT", "LOGISTIC", "TANH")
LOWEST, HIGHEST, RANGE = np.float32(-128.0), np.float32(127.0), np.float32(255.0)
HEAD = 4
"""Numbers before those of the layers: inventory inputs, width of the joined layer, dense layers after it, room a layer needs."""
LAYER = 6
"""Numbers of one layer: whether quantized, inputs, outputs, where its weights, its scales and its biases begin."""
MARKET, INVENTORY = 0, 1
NORMALISATION = 4
"""Rows before a normalised input's layer: mean, factor, least and greatest."""


class Dense(NamedTuple):
    """A network. `layers`: HEAD numbers, then LAYER each of market part, inventory part and the layers after both; `weights` of all
    of them, [inputs, outputs] each; `scratch`: room for three vectors."""

    layers: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    scratch: npt.NDArray[np.float32]

    @property
    def width(self) -> int:
        """Of the joined layer, and so of a row of the trunk."""
        return int(self.layers[1])


def taken_apart(session: TensorSession) -> Dense:
    """Raises `BacktestError` where the graph is none of dense layers on single rows."""
    try:
        return _taken_apart(session)
    except (ModelRefused, ValueError, IndexError, StopIteration) as error:
        raise BacktestError(f"the fast speed cannot take these networks apart ({error}): run them with --speed exact") from error


def _taken_apart(session: TensorSession) -> Dense:
    operations = session.operations()
    inputs, outputs = session.tensor_numbers()
    if set(inputs) != {"market", "inventory"}:
        raise ValueError("they carry a state from row to row")
    names = [each.name for each in operations]
    parts = len(NORMALISED)
    begins = {each.inputs[0]: place for place, each in enumerate(operations) if each.name == NORMALISED[0]}
    joined = names.index(JOINED)
    dense = operations[joined + 1 : -len(ENDS)]
    chain = [operations[begins[inputs[name]] :][:parts] for name in ("market", "inventory")]
    ends = operations[-len(ENDS) :]
    if (
        len(operations) != 2 * parts + 1 + len(dense) + len(ends)
        or any(tuple(each.name for each in part) != NORMALISED for part in chain)
        or any(each.name != NORMALISED[-1] for each in dense)
        or tuple(each.name for each in ends) != ENDS
        or set(operations[joined].inputs) != {part[-1].outputs[0] for part in chain}
        or [outputs[name] for name in OUTPUT_NAMES] != [ends[0].outputs[0], *(each.outputs[0] for each in ends[1:])]
    ):
        raise ValueError(f"their operations are {', '.join(names)}")
    numbers: list[list[int]] = []
    weights: list[npt.NDArray[np.float32]] = []
    for part in chain:
        normal = [session.constant(each.inputs[1])[0].ravel() for each in part[:-1]]
        width = max(len(each) for each in normal)
        # Least and greatest are in the order of the graph: first the greatest is applied.
        weights += [np.broadcast_to(each, width).astype(np.float32) for each in normal]
        numbers.append(_layer(session, part[-1], weights))
    numbers += [_layer(session, each, weights) for each in dense]
    flat = np.concatenate(weights)
    largest = max(max(each[1], each[2]) for each in numbers)
    head = [numbers[INVENTORY][1], numbers[INVENTORY][2], len(dense), largest]
    return Dense(np.array([*head, *(n for each in numbers for n in each)], np.int64), flat, np.zeros(3 * largest, np.float32))


def _layer(session: TensorSession, operation: Operation, weights: list[npt.NDArray[np.float32]]) -> list[int]:
    """Append a layer's numbers to `weights`, and say where they are."""
    kernel, scales = session.constant(operation.inputs[1])
    outputs, inputs = kernel.shape
    bias = operation.inputs[2] if len(operation.inputs) > 2 else -1
    start = sum(len(each) for each in weights)
    weights.append(np.ascontiguousarray(kernel.T).astype(np.float32).ravel())
    weights.append(np.broadcast_to(scales if kernel.dtype == np.int8 else np.ones(1, np.float32), outputs).astype(np.float32))
    weights.append(np.zeros(outputs, np.float32) if bias < 0 else session.constant(bias)[0].astype(np.float32))
    size = outputs * inputs
    return [int(kernel.dtype == np.int8), inputs, outputs, start, start + size, start + size + outputs]


@compiled
def quantize(source: Any, target: Any) -> Any:
    """Whole numbers less their zero point, as floats, of a vector by its own range; what one of them stands for is returned."""
    low = high = np.float32(0.0)
    for place in range(len(source)):
        value = source[place]
        low, high = min(low, value), max(high, value)
    scale = np.float32(1.0) if low == high else np.float32(RANGE / np.float32(high - low))
    least, most = np.float32(low * scale), np.float32(high * scale)
    zero = LOWEST - least if np.float32(LOWEST + least) + np.float32(HIGHEST + most) > 0 else HIGHEST - most
    zero = np.float32(np.rint(min(max(np.float32(zero), LOWEST), HIGHEST)))
    for place in range(len(source)):
        whole = np.float32(np.rint(np.float32(source[place] * scale)) + zero)
        target[place] = np.float32(min(max(whole, LOWEST), HIGHEST) - zero)
    return np.float32(np.float32(1.0) / scale)


@compiled
def layer(numbers: Any, at: int, weights: Any, source: Any, target: Any, room: Any) -> None:
    """One dense layer, without what follows it. `room` is written over. Slices, since places that count from 0 are quick."""
    inputs, outputs = numbers[at + 1], numbers[at + 2]
    scales = weights[numbers[at + 4] : numbers[at + 4] + outputs]
    biases = weights[numbers[at + 5] : numbers[at + 5] + outputs]
    if numbers[at]:
        unit = quantize(source[:inputs], room[:inputs])
        for place in range(outputs):
            target[place] = np.float32(0.0)
        # The sums are whole and below 2^24, so that their order does not matter.
        for row in range(inputs):
            value = room[row]
            if value != 0.0:
                first = numbers[at + 3] + row * outputs
                kernel = weights[first : first + outputs]
                for place in range(outputs):
                    target[place] += value * kernel[place]
        for place in range(outputs):
            total = np.float64(np.float32(target[place] * unit))
            target[place] = np.float32(total * np.float64(scales[place]) + np.float64(biases[place]))
        return
    for place in range(outputs):
        target[place] = biases[place]
    for row in range(inputs):
        wide = np.float64(source[row])
        first = numbers[at + 3] + row * outputs
        kernel = weights[first : first + outputs]
        for place in range(outputs):
            # A fused multiplication and addition: rounded once.
            target[place] = np.float32(wide * np.float64(kernel[place]) + np.float64(target[place]))


@compiled
def normalise(numbers: Any, at: int, weights: Any, source: Any, target: Any) -> None:
    """An input as its part's layer wants it: less its mean, times its factor, within its bounds."""
    inputs = numbers[at + 1]
    first = numbers[at + 3] - NORMALISATION * inputs
    for place in range(inputs):
        value = np.float32(source[place] - weights[first + place])
        value = np.float32(value * weights[first + inputs + place])
        value = min(value, weights[first + 2 * inputs + place])
        target[place] = max(value, weights[first + 3 * inputs + place])


@compiled
def trunk_row(numbers: Any, weights: Any, scratch: Any, row: Any, trunk: Any) -> None:
    """What the joined layer has of a market row, before inventory is added."""
    largest = numbers[3]
    normalise(numbers, HEAD, weights, row, scratch)
    layer(numbers, HEAD, weights, scratch, trunk, scratch[2 * largest :])


@compiled
def heads(numbers: Any, weights: Any, scratch: Any, trunk: Any, inventory: Any) -> tuple[float, float, float]:
    """Price change, optimal spread and position signal of a trunk's row and an inventory row."""
    width, count, largest = numbers[1], numbers[2], numbers[3]
    here, there, room = scratch[:largest], scratch[largest : 2 * largest], scratch[2 * largest :]
    normalise(numbers, HEAD + LAYER, weights, inventory, there)
    layer(numbers, HEAD + LAYER, weights, there, here, room)
    for place in range(width):
        here[place] = max(np.float32(here[place] + trunk[place]), np.float32(0.0))
    for number in range(count):
        at = HEAD + (2 + number) * LAYER
        layer(numbers, at, weights, here, there, room)
        here, there = there, here
        if number < count - 1:
            for place in range(numbers[at + 2]):
                here[place] = max(here[place], np.float32(0.0))
    price, spread, position = np.float64(here[0]), np.float64(here[1]), np.float64(here[2])
    return price, np.float64(np.float32(1.0 / (1.0 + exp(-spread)))), np.float64(np.float32(tanh(position)))


@compiled_entry(int64(int64, int64))
def work_out(address: int, count: int) -> int:
    """Trunk rows of `count` market rows and, of those inventory rows, the outputs. `address`: of seven arrays, and their sizes."""
    at = carray(address_as_void_pointer(address), 14, INT64)
    numbers = carray(address_as_void_pointer(at[0]), at[1], INT64)
    weights = carray(address_as_void_pointer(at[2]), at[3], FLOAT32)
    scratch = carray(address_as_void_pointer(at[4]), at[5], FLOAT32)
    rows = carray(address_as_void_pointer(at[6]), at[7], FLOAT32)
    inventory = carray(address_as_void_pointer(at[8]), at[9], FLOAT32)
    trunk = carray(address_as_void_pointer(at[10]), at[11], FLOAT32)
    outputs = carray(address_as_void_pointer(at[12]), at[13], FLOAT32)
    width, inputs = numbers[1], numbers[HEAD + 1]
    told, one = numbers[0], 1 if at[9] == numbers[0] else 0
    for row in range(count):
        here = trunk[row * width : (row + 1) * width]
        trunk_row(numbers, weights, scratch, rows[row * inputs : (row + 1) * inputs], here)
        place = 0 if one else row * told
        price, spread, position = heads(numbers, weights, scratch, here, inventory[place : place + told])
        outputs[3 * row], outputs[3 * row + 1], outputs[3 * row + 2] = price, spread, position
    return 0


def evaluated(
    dense: Dense, rows: npt.NDArray[np.float32], inventory: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Trunk [n, width] and outputs [n, 3] of market rows [n, inputs] with inventory rows [n, 5], or one for all [5]."""
    count, inputs = len(rows), int(dense.layers[HEAD + 1])
    trunk = np.zeros((count, dense.width), np.float32)
    outputs = np.zeros((count, 3), np.float32)
    arrays = [*dense, rows[:, :inputs], inventory, trunk, outputs]
    flat = [np.ascontiguousarray(each).reshape(-1) for each in arrays]
    # Those that are written to are flat already: no copies of them.
    at = np.array([[each.ctypes.data, each.size] for each in flat], np.int64).ravel()
    work_out.ctypes(at.ctypes.data, count)
    return trunk, outputs
