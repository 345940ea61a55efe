"""Functions compiled by numba, and where the machine code is kept between processes.

numba keeps machine code by the time stamp of one source file, and would not notice that a function called from another has changed.
So what is kept lies in a folder named by a hash of every source that goes into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba as compiler
from numba.extending import register_jitable

from mmd.backtest.fast import formulas

Function = TypeVar("Function", bound=Callable[..., Any])
INNER: dict[str, Any] = {
    "fastmath": False,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}
"""Called by compiled code alone, and without memory to count: that halves what compiling costs."""
numba: Any = compiler
"""Its own annotations know less than it does."""
ROOMS = ("quoting", "risk", "execution", "market", "inference", "backtest/fast")
KEPT_BUILDS = 4
"""Folders of machine code that are kept, the newest."""
for _function in formulas.ALL:
    register_jitable(_function)


def cache_home() -> Path:
    """`MMD_CACHE_DIR`, else the user's cache folder."""
    stated = os.environ.get("MMD_CACHE_DIR")
    return Path(stated) if stated else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmd"


@cache
def source_hash() -> str:
    """Of every module that compiled code comes from, and of the compiler."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256(f"{numba.__version__} {importlib.metadata.version('hftbacktest')}".encode())
    for room in ROOMS:
        for path in sorted((root / room).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def compiled(function: Function) -> Function:
    """Compile for other compiled code, without the shortcuts that change results."""
    made: Function = numba.njit(**INNER)(function)
    return made


def compiled_entry(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile as a C function with all that it calls. The machine code is kept on disk, where that can be written."""

    def made(function: Callable[..., Any]) -> Any:
        folder = cache_home() / "compiled" / source_hash()
        before = numba.config.CACHE_DIR
        options = {"fastmath": False, "error_model": "numpy"}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numba.config.CACHE_DIR = str(folder)
            with (folder / f"{function.__name__}.lock").open("w") as lock:
                # One process compiles, and the others find what it kept.
                fcntl.flock(lock, fcntl.LOCK_EX)
                return numba.cfunc(signature, cache=True, **options)(function)
        except OSError:
            return numba.cfunc(signature, cache=False, **options)(function)
        finally:
            numba.config.CACHE_DIR = before

    return made


def calling_library(function: Function) -> Function:
    """The same for what calls hftbacktest: its addresses differ from process to process, so that nothing is kept."""
    made: Function = numba.njit(cache=False, fastmath=False, error_model="numpy")(function)
    return made
