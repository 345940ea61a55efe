"""Other networks for a running trader, in one event: between two ticks, for every symbol at once."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor


class SwapNetworks(msgspec.Struct, frozen=True):
    """From now on quote with these. Made by the shell, which may load files; `predictors` holds one for each quoted symbol.

    Recurrent states are warmed from the rows at hand; where there are too few, quotes fall back until there are enough.
    """

    receive_ns: int
    bundle: Bundle
    predictors: Mapping[str, QuotePredictor]
