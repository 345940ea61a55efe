"""What hangs on an object: for tests that nothing is kept for good. Counts the same on every run of the same session."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, ModuleType
from typing import Any

NO_STATE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodDescriptorType)


def reachable(root: object) -> Counter[str]:
    """Bytes of all objects that hang on `root`, by type."""
    seen, waiting, found = {id(root)}, [root], Counter[str]()
    while waiting:
        each: Any = waiting.pop()
        found[type(each).__name__] += sys.getsizeof(each)
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, NO_STATE):
                seen.add(id(other))
                waiting.append(other)
    return found
