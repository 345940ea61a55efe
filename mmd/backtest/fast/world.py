"""One run as compiled code sees it: a single address, where the address and the length of every array of `layout.World` stand.

A tuple of arrays would be handed from function to function as seven numbers an array.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr_generic, models, register_model
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import from_dtype

from mmd.backtest.fast import layout
from mmd.backtest.fast.layout import World

INT64, FLOAT32, FLOAT64 = np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64)
PARTS: dict[str, tuple[np.dtype[Any], int]] = {
    "state": (layout.STATE, 0),
    "orders": (layout.ORDER, 0),
    "lists": (INT64, 2),
    "sayings": (layout.SAYING, 2),
    "requests": (layout.REQUEST, 0),
    "rings": (INT64, 5),
    "fills": (layout.FILL, 0),
    "funding": (layout.FUNDING, 0),
    "samples": (layout.SAMPLE, 0),
    "log": (layout.LOG, 0),
    "records": (layout.MARKET, 0),
    "steps": (layout.STEP, 0),
    "predictions": (layout.PREDICTION, 0),
    "waiting": (layout.WAITING, 0),
    "inventory": (FLOAT32, 0),
    "ranges": (FLOAT64, 0),
    "trunk": (FLOAT32, 0),
    "layers": (INT64, 0),
    "weights": (FLOAT32, 0),
    "scratch": (FLOAT32, 0),
}
"""What the arrays are made of, and how many rows they have; 0: they are rows themselves."""
NAMES = tuple(PARTS)
assert World._fields == NAMES


def addresses(w: World) -> npt.NDArray[np.int64]:
    """Where everything is and how much of it there is, for `world_at`. The arrays have to outlive the use of it."""
    return np.array([[array.ctypes.data, array.shape[-1]] for array in w], np.int64).ravel()


class WorldType(types.Type):
    """The compiler's type of it."""

    def __init__(self) -> None:
        super().__init__(name="World")


WORLD = WorldType()
ARRAYS = {name: types.Array(from_dtype(dtype), 2 if rows else 1, "C", aligned=True) for name, (dtype, rows) in PARTS.items()}


@register_model(WorldType)
class WorldModel(models.PrimitiveModel):
    """As a number."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(64))


def _world_at(_context: Any, _address: Any) -> Any:
    return WORLD(types.int64), lambda _context, _builder, _signature, arguments: arguments[0]


world_at: Any = intrinsic(_world_at)
"""The world of which `addresses` tells at this address; for compiled code."""


@infer_getattr
class WorldAttributes(AttributeTemplate):
    """Its arrays by their names."""

    key = WorldType

    def generic_resolve(self, _kind: Any, name: str) -> Any:  # type: ignore[override]
        return ARRAYS.get(name)


@lower_getattr_generic(WorldType)
def read_array(context: Any, builder: Any, _kind: Any, address: Any, name: str) -> Any:
    """The array's address and length never change while compiled code runs, so that what was read once need not be read again."""
    kind, place, (dtype, rows) = ARRAYS[name], NAMES.index(name), PARTS[name]
    whole = ir.IntType(64)
    table = builder.inttoptr(address, whole.as_pointer())

    def number(index: int) -> Any:
        read = builder.load(builder.gep(table, [whole(index)]))
        read.set_metadata("invariant.load", builder.module.add_metadata([]))
        return read

    array = make_array(kind)(context, builder)
    data, length = number(2 * place), number(2 * place + 1)
    size = whole(dtype.itemsize)
    populate_array(
        array,
        data=builder.inttoptr(data, array.data.type),
        shape=[whole(rows), length] if rows else [length],
        strides=[builder.mul(length, size), size] if rows else [size],
        itemsize=size,
        meminfo=None,
    )
    return array._getvalue()
