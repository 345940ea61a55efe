"""The one door into the compiled trader: a C function, so that who calls it need not compile what lies behind."""

from __future__ import annotations

from mmd.backtest.fast.compiling import compiled_entry, numba
from mmd.backtest.fast.events import happen
from mmd.backtest.fast.world import world_at

int64 = numba.int64


@compiled_entry(int64(int64, int64, int64))
def entry(address: int, what: int, index: int) -> int:
    """`events.happen` on the arrays that `world.addresses` names at this address."""
    return int(happen(world_at(address), what, index))
