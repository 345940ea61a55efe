"""What an exception of ccxt says about a request: refused for certain, or an outcome nobody knows.

ccxt raises `ExchangeError` and its subclasses for a venue that looked at the request and turned it down, and `OperationFailed` (of
which `NetworkError`, `RequestTimeout`, `ExchangeNotAvailable` and `BadResponse` are some) where something went wrong on the way.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class Verdict(Enum):
    """What is known of a request that raised."""

    REFUSED = "refused"
    LIMITED = "limited"
    """Refused because there were too many; the venue did not look at it."""
    CLOCK = "clock"
    """Refused for its timestamp."""
    UNKNOWN = "unknown"


def verdict(error: BaseException, errors: Any) -> Verdict:
    """Judge one exception; `errors` is the module ccxt. The more certain classes come first, since some inherit from the others."""
    if isinstance(error, errors.RateLimitExceeded | errors.DDoSProtection):
        return Verdict.LIMITED
    if isinstance(error, errors.InvalidNonce) and not isinstance(error, errors.ChecksumError):
        return Verdict.CLOCK
    if isinstance(error, errors.DuplicateOrderId):
        # An order with this id lives: an earlier try of ours that was thought lost. Only a query tells its state.
        return Verdict.UNKNOWN
    if isinstance(error, errors.ExchangeError):
        return Verdict.REFUSED
    return Verdict.UNKNOWN
