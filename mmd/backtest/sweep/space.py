"""What is varied, as a person types it: `KEY=a,b,c` for values, `KEY=LOW..HIGH` for a range (`:log` and `:int` behind it)."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mmd.backtest.errors import BacktestError
from mmd.backtest.experiment import Experiment

Choice = str | float | int
WHOLE = ("strategy", "latency", "queue", "maker-fee", "bundle", "fill-model")
"""Keys that are options of `mmd backtest`; every other one is a setting such as quoting.risk_aversion."""
MOST_GRID = 100_000
_RANGE = re.compile(r"^(-?[\d.eE+-]+?)\.\.(-?[\d.eE+-]+?)((?::log|:int)*)$")


@dataclass(frozen=True)
class Axis:
    """One thing that varies: `values`, or else everything from `low` to `high`."""

    key: str
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    @property
    def ranged(self) -> bool:
        """Whether it is a range rather than a list."""
        return not self.values


def parse_axes(texts: Sequence[str]) -> list[Axis]:
    """Raises `BacktestError`."""
    axes = [_axis(text) for text in texts]
    keys = [axis.key for axis in axes]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise BacktestError(f"--vary {min(twice)} is there twice: name all of its values in one")
    return axes


def _axis(text: str) -> Axis:
    key, found, spec = text.partition("=")
    group = key.partition(".")[0]
    if not found or not spec or (key not in WHOLE and group not in ("quoting", "risk")):
        raise BacktestError(
            f"--vary {text}: write KEY=a,b,c or KEY=LOW..HIGH, KEY being quoting.NAME, risk.NAME or one of {', '.join(WHOLE)}"
        )
    match = _RANGE.match(spec)
    if match is None:
        values = tuple(value.strip() for value in spec.split(","))
        if not all(values) or len(set(values)) < len(values):
            raise BacktestError(f"--vary {text}: an empty value, or one that is there twice")
        return Axis(key, values)
    try:
        low, high = float(match[1]), float(match[2])
    except ValueError as error:
        raise BacktestError(f"--vary {text}: write a range as 0.1..2, or 0.1..2:log, or 1..10:int") from error
    log, whole = ":log" in match[3], ":int" in match[3]
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        raise BacktestError(f"--vary {text}: a range needs low < high, and one with :log a low above zero")
    return Axis(key, (), low, high, log, whole)


def grid(axes: Sequence[Axis]) -> Iterator[dict[str, Choice]]:
    """Every combination, the last axis fastest. Raises `BacktestError` for a range, and beyond `MOST_GRID`."""
    ranged = [axis.key for axis in axes if axis.ranged]
    if ranged:
        raise BacktestError(f"{', '.join(ranged)}: a range has no end of values: give --trials N for a study, or name the values")
    size = math.prod(len(axis.values) for axis in axes)
    if size > MOST_GRID:
        raise BacktestError(f"the grid has {size:,} points, more than {MOST_GRID:,}: name fewer values, or give --trials N")
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip((axis.key for axis in axes), values, strict=True))


def applied(base: Experiment, point: Mapping[str, Choice]) -> Experiment:
    """The experiment at a point of the space."""
    changes: dict[str, Any] = {}
    settings = [each for each in base.settings if each.partition("=")[0] not in point]
    for key, value in point.items():
        text = str(value) if isinstance(value, str | int) else repr(float(value))
        if key in WHOLE:
            changes[key.replace("-", "_")] = text
        else:
            settings.append(f"{key}={text}")
    return msgspec.structs.replace(base, **changes, settings=tuple(settings))


def distributions(axes: Sequence[Axis]) -> dict[str, Any]:
    """Optuna's, by key."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for axis in axes:
        if not axis.ranged:
            found[axis.key] = CategoricalDistribution(axis.values)
        elif axis.whole:
            found[axis.key] = IntDistribution(math.ceil(axis.low), math.floor(axis.high), log=axis.log)
        else:
            found[axis.key] = FloatDistribution(axis.low, axis.high, log=axis.log)
    return found
