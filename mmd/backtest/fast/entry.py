"""The one door into the compiled trader: a C function, so that who calls it need not compile what lies behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from hftbacktest.intrinsic import address_as_void_pointer

from mmd.backtest.fast.compiling import compiled_entry, numba
from mmd.backtest.fast.events import happen
from mmd.backtest.fast.layout import (
    FILL,
    FUNDING,
    LOG,
    MARKET,
    ORDER,
    PREDICTION,
    REQUEST,
    SAMPLE,
    SAYING,
    STATE,
    STEP,
    WAITING,
    World,
)

carray, int64 = numba.carray, numba.int64
INT64, FLOAT32, FLOAT64 = np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64)
PARTS = 20


def addresses(w: World, records: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Where everything is and how much of it there is, for `entry`. The arrays have to outlive the use of it."""
    arrays = (*w, records)
    return np.array([[array.ctypes.data, array.shape[-1]] for array in arrays], np.int64).ravel()


@compiled_entry(int64(int64, int64, int64))
def entry(address: int, what: int, index: int) -> int:
    """`events.happen` on the arrays at `addresses`."""
    at = carray(address_as_void_pointer(address), 2 * PARTS, INT64)
    w = World(
        carray(address_as_void_pointer(at[0]), 1, STATE),
        carray(address_as_void_pointer(at[2]), at[3], ORDER),
        carray(address_as_void_pointer(at[4]), (2, at[5]), INT64),
        carray(address_as_void_pointer(at[6]), (2, at[7]), SAYING),
        carray(address_as_void_pointer(at[8]), at[9], REQUEST),
        carray(address_as_void_pointer(at[10]), (5, at[11]), INT64),
        carray(address_as_void_pointer(at[12]), at[13], FILL),
        carray(address_as_void_pointer(at[14]), at[15], FUNDING),
        carray(address_as_void_pointer(at[16]), at[17], SAMPLE),
        carray(address_as_void_pointer(at[18]), at[19], LOG),
        carray(address_as_void_pointer(at[20]), at[21], STEP),
        carray(address_as_void_pointer(at[22]), at[23], PREDICTION),
        carray(address_as_void_pointer(at[24]), at[25], WAITING),
        carray(address_as_void_pointer(at[26]), at[27], FLOAT32),
        carray(address_as_void_pointer(at[28]), at[29], FLOAT64),
        carray(address_as_void_pointer(at[30]), at[31], FLOAT32),
        carray(address_as_void_pointer(at[32]), at[33], INT64),
        carray(address_as_void_pointer(at[34]), at[35], FLOAT32),
        carray(address_as_void_pointer(at[36]), at[37], FLOAT32),
    )
    records = carray(address_as_void_pointer(at[38]), at[39], MARKET)
    return int(happen(w, records, what, index))
