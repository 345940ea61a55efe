"""What each head of the networks is worth: backtests with and without it, block by block, on the parts that nothing is judged on.

A head's gain is PnL per volume with this head alone minus that without any (leaving one out of all says little where another of
them, the spread head above all, changes what is traded altogether), at no fee, over the blocks of all markets together, each
market's blocks weighed by its own volume; its interval is a paired block bootstrap's. A head whose interval does not exclude harm
gets weight 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from mmd.backtest.evidence.kept import Line
from mmd.backtest.statistics import paired_bootstrap
from mmd.inference.bundle import Bundle, weighed
from mmd.inference.heads import ALL_HEADS, HEADS, NO_HEADS, HeadWeights
from mmd.quoting.settings import QuotingSettings
from mmd.trader.desk import quote_model

WHOLE, NONE = "all heads", "no head"
SEED = 1
Floats = npt.NDArray[np.float64]


def variants(bundle: Bundle) -> dict[str, HeadWeights]:
    """Names and weights of what is run: all heads, each one alone, none. One that moves no quote of these networks is none: what
    it is worth is known without a run."""
    settings = QuotingSettings()
    without = quote_model(weighed(bundle, NO_HEADS), settings)
    found = {WHOLE: ALL_HEADS}
    for head in HEADS:
        alone = msgspec.structs.replace(NO_HEADS, **{head: 1.0})
        found[alone_name(head)] = NO_HEADS if quote_model(weighed(bundle, alone), settings) == without else alone
    return {**found, NONE: NO_HEADS}


def alone_name(head: str) -> str:
    """Of the variant that has this head alone."""
    return f"{head} alone"


def gains(lines: Mapping[tuple[str, str], Line]) -> dict[str, dict[str, Any]]:
    """By head, and of all together, against none: gain in bps of volume and in 1 s markout, intervals, and the weight that follows.

    `lines` by (part, variant); a part where either run failed or traded nothing is left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in (*HEADS, NONE):
        with_it = WHOLE if name == NONE else alone_name(name)
        parts = [part for part, variant in lines if variant == NONE and _usable(lines.get((part, with_it)), lines[part, NONE])]
        pairs = [(_figures(lines, part, with_it), _figures(lines, part, NONE)) for part in parts]
        gain, interval = _paired(pairs, "pnl", "volume", 1e4)
        better, markout = _paired(pairs, "markout_sum", "markouts", 1.0)
        idle = bool(pairs) and all(one["blocks"] == two["blocks"] for one, two in pairs)
        found[name] = {
            "gain_bps": gain,
            "interval": msgspec.to_builtins(interval),
            "markout_gain_bps": better,
            "markout_interval": msgspec.to_builtins(markout),
            "parts": len(pairs),
            "moves_nothing": idle,
            "weight": 1.0 if interval.low is not None and interval.low > 0 else 0.0,
        }
    return found


def _usable(one: Line | None, two: Line | None) -> bool:
    return one is not None and two is not None and bool(one.figures and two.figures)


def _figures(lines: Mapping[tuple[str, str], Line], part: str, variant: str) -> dict[str, Any]:
    figures = lines[(part, variant)].figures
    assert figures is not None
    return figures


def _paired(pairs: list[tuple[dict[str, Any], dict[str, Any]]], top: str, bottom: str, scale: float) -> Any:
    """Each part's numerators are brought to the scale of its own volume, so that a dear market does not drown the others."""
    columns: list[list[Floats]] = [[], [], [], []]
    for one, two in pairs:
        unit = float(np.sum(one["blocks"][bottom]) + np.sum(two["blocks"][bottom])) / 2
        if not unit or len(one["blocks"][top]) != len(two["blocks"][top]):
            continue
        for number, (figures, name) in enumerate(((one, top), (one, bottom), (two, top), (two, bottom))):
            factor = (scale if name == top else 1.0) / unit
            columns[number].append(np.asarray(figures["blocks"][name], np.float64) * factor)
    joined = [np.concatenate(column) if column else np.zeros(0) for column in columns]
    return paired_bootstrap((joined[0], joined[1]), (joined[2], joined[3]), SEED)
