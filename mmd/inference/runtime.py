"""The only module that knows `ai_edge_litert` and `tflite_runtime`: loads a graph, holds views of its tensors, evaluates it.

Views of an interpreter's tensors, taken once and held, save several microseconds an evaluation. The public `invoke()` refuses to
run while they are held, because other graphs might move their buffers; the private call beneath it runs. Our graphs have fixed
shapes, and a session never allocates again, so the buffers stay. Whether this works is tried once when a session is made; else
data is copied in and out.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmd.inference.errors import ModelRefused, RuntimeUnavailable

Array = NDArray[np.float32]
LITERT = "ai-edge-litert"
TFLITE = "tflite-runtime"
_MODULES = {LITERT: "ai_edge_litert.interpreter", TFLITE: "tflite_runtime.interpreter"}
RUNTIME_NAMES = tuple(_MODULES)
"""In the order in which "auto" tries them."""


class Operation(NamedTuple):
    """One operation of a graph; tensors by their numbers, -1 where there is none."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TensorSession:
    """One graph, ready: write into `inputs`, call `invoke`, read `outputs`. Names are those of the graph's signature.

    The arrays stay the same objects for the session's life. `invoke` does not change `inputs`. Not for two threads at once.
    """

    __slots__ = ("_interpreter", "_transfers", "held_views", "inputs", "invoke", "outputs")

    def __init__(self, interpreter: Any, *, hold_views: bool | None = None) -> None:
        """`hold_views` None tries held views and falls back to copies. Raises ModelRefused where the graph does not suit."""
        self._interpreter = interpreter
        input_indices, output_indices = _signature_indices(interpreter)
        self._transfers = (input_indices, output_indices)
        self.held_views = _private_invoke_agrees(interpreter, input_indices, output_indices) if hold_views is None else hold_views
        self.inputs: dict[str, Array]
        self.outputs: dict[str, Array]
        self.invoke: Callable[[], object]
        if self.held_views:
            self.inputs = {name: interpreter.tensor(index)() for name, index in input_indices.items()}
            self.outputs = {name: interpreter.tensor(index)() for name, index in output_indices.items()}
            self.invoke = interpreter._interpreter.Invoke
        else:
            self.inputs = {name: np.zeros_like(interpreter.get_tensor(index)) for name, index in input_indices.items()}
            self.outputs = {name: np.zeros_like(interpreter.get_tensor(index)) for name, index in output_indices.items()}
            self.invoke = self._invoke_with_copies
        for array in self.inputs.values():
            array[:] = 0.0

    def _invoke_with_copies(self) -> None:
        input_indices, output_indices = self._transfers
        for name, index in input_indices.items():
            self._interpreter.set_tensor(index, self.inputs[name])
        self._interpreter.invoke()
        for name, index in output_indices.items():
            self.outputs[name][:] = self._interpreter.get_tensor(index)

    def tensor_numbers(self) -> tuple[dict[str, int], dict[str, int]]:
        """By signature name, of inputs and of outputs."""
        return self._transfers

    def operations(self) -> list[Operation]:
        """Of the graph as it was written, in order. Raises ModelRefused where the runtime does not tell."""
        details = getattr(self._interpreter, "_get_ops_details", None)
        if details is None:
            raise ModelRefused("the runtime does not tell what a graph is made of")
        found = [
            Operation(each["op_name"], tuple(map(int, each["inputs"])), tuple(map(int, each["outputs"]))) for each in details()
        ]
        return [each for each in found if each.name != "DELEGATE"]

    def constant(self, number: int) -> tuple[NDArray[Any], Array]:
        """A copy of a tensor that the graph holds, and its scales by channel (none where it is not quantized)."""
        details = next(each for each in self._interpreter.get_tensor_details() if each["index"] == number)
        return self._interpreter.get_tensor(number), np.asarray(details["quantization_parameters"]["scales"], np.float32)

    def addresses(self) -> dict[str, int]:
        """Where the arrays lie: the same for the life of a session, which a test holds."""
        return {name: array.ctypes.data for name, array in {**self.inputs, **self.outputs}.items()}


class Runtime:
    """An installed runtime."""

    __slots__ = ("_interpreter_class", "name", "version")

    def __init__(self, name: str) -> None:
        """Raises RuntimeUnavailable where `name` is unknown or cannot be imported here."""
        if name not in _MODULES:
            raise RuntimeUnavailable(f"unknown runtime {name!r}: expected auto, {' or '.join(RUNTIME_NAMES)}")
        self.name = name
        try:
            self._interpreter_class = importlib.import_module(_MODULES[name]).Interpreter
            self.version = importlib.metadata.version(name)
        except (ImportError, AttributeError) as error:
            raise RuntimeUnavailable(f"{name} cannot be imported here ({error}): install the package {name}") from error

    def load(self, model: bytes, *, hold_views: bool | None = None) -> TensorSession:
        """A session of its own on this graph, one thread. Raises ModelRefused where the runtime cannot load it."""
        try:
            interpreter = self._interpreter_class(model_content=model, num_threads=1)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelRefused(f"{self.name} {self.version} cannot load this graph: {_one_line(error)}") from error
        return TensorSession(interpreter, hold_views=hold_views)


def load_runtime(name: str = "auto") -> Runtime:
    """The named runtime, or with "auto" the first that is installed. Raises RuntimeUnavailable, naming what was tried."""
    if name != "auto":
        return Runtime(name)
    failures = []
    for candidate in RUNTIME_NAMES:
        try:
            return Runtime(candidate)
        except RuntimeUnavailable as error:
            failures.append(str(error))
    raise RuntimeUnavailable("no runtime for networks: " + "; ".join(failures))


def bytes_of(array: Array) -> memoryview:
    """The array's own memory: copying that costs a quarter of copying arrays."""
    return array.reshape(-1).view(np.uint8).data


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _signature_indices(interpreter: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Tensor index by signature name, of inputs and of outputs."""
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        raise ModelRefused(f"expected a graph with one signature, found {len(signatures)}")
    # The runner refers to the interpreter's inner object, which `invoke` takes for a held view: it must not outlive this call.
    runner = interpreter.get_signature_runner()
    indices = []
    for details in (runner.get_input_details(), runner.get_output_details()):
        for name, detail in details.items():
            if detail["dtype"] != np.float32 or (np.asarray(detail["shape_signature"]) < 1).any():
                raise ModelRefused(f"tensor {name}: expected float32 of a fixed shape")
        indices.append({name: int(detail["index"]) for name, detail in details.items()})
    return indices[0], indices[1]


def _private_invoke_agrees(interpreter: Any, input_indices: dict[str, int], output_indices: dict[str, int]) -> bool:
    """Whether the private call under held views gives what the public way gives, bit for bit, with the buffers staying in place."""
    shapes = {name: interpreter.get_tensor(index).shape for name, index in input_indices.items()}
    probe = {name: np.linspace(-1.0, 1.0, math.prod(shape), dtype=np.float32).reshape(shape) for name, shape in shapes.items()}
    for name, index in input_indices.items():
        interpreter.set_tensor(index, probe[name])
    interpreter.invoke()
    public = {name: interpreter.get_tensor(index) for name, index in output_indices.items()}
    private_invoke = getattr(getattr(interpreter, "_interpreter", None), "Invoke", None)
    if private_invoke is None:
        return False
    views = {index: interpreter.tensor(index)() for index in (*input_indices.values(), *output_indices.values())}
    for name, index in input_indices.items():
        views[index][:] = probe[name]
    for index in output_indices.values():
        views[index][:] = np.nan
    try:
        private_invoke()
    except (RuntimeError, TypeError):
        return False
    moved = any(interpreter.tensor(index)().ctypes.data != view.ctypes.data for index, view in views.items())
    kept = all(np.array_equal(views[index], probe[name]) for name, index in input_indices.items())
    return not moved and kept and all(np.array_equal(views[index], public[name]) for name, index in output_indices.items())
