"""Other networks for a running trader, in service or in shadow, in one event: between two ticks, for every symbol at once."""

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


class ChallengeNetworks(msgspec.Struct, frozen=True):
    """From now on watch these in shadow, beside those that serve; a bundle of None ends it."""

    receive_ns: int
    bundle: Bundle | None
    predictors: Mapping[str, QuotePredictor]
