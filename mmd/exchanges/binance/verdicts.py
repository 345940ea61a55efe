"""What an error reply says about the order: refused for certain, or an outcome nobody knows.

The rule: a status of 500 or above, and the codes below by which the venue says that it does not know, leave the outcome unknown;
any other error with a 4xx status came from a venue that looked at the request and turned it down.
"""

from __future__ import annotations

from enum import Enum

UNKNOWN_ORDER = -2011
UNSUPPORTED_OPERATION = -1020
NO_SUCH_ORDER = -2013
BAD_TIMESTAMP = -1021
DUPLICATE_ORDER_MESSAGE = "Duplicate order sent."

AMBIGUOUS_CODES: dict[int, str] = {
    -1000: "an unknown error occurred while the request was processed",
    -1001: "internal error: the venue could not say what became of the request",
    -1006: "unexpected reply from the message bus, execution status unknown",
    -1007: "time-out waiting for the backend, send status and execution status unknown",
}

DEFINITE_CODES: dict[int, str] = {
    -1002: "not authorised",
    -1003: "too much request weight: not processed",
    -1008: "server busy: not processed",
    -1013: "a filter refused it before it reached the matching engine",
    -1014: "unsupported order combination",
    -1015: "too many orders: not processed",
    -1016: "the service is shutting down: not processed",
    -1020: "unsupported operation",
    -1021: "timestamp outside of recvWindow: not processed; the clock is measured again",
    -1022: "bad signature",
    -1100: "illegal characters in a parameter",
    -1102: "a parameter is missing or malformed",
    -1106: "a parameter was sent that is not wanted",
    -1111: "too much precision",
    -1115: "bad time in force",
    -1116: "bad order type",
    -1117: "bad side",
    -1121: "bad symbol",
    -1130: "bad data in a parameter",
    -2010: "the matching engine refused it (but see `Duplicate order sent.`)",
    -2011: "the matching engine refused the cancel",
    -2013: "no such order",
    -2014: "API key badly formed",
    -2015: "API key, address or permission refused",
    -2021: "cancelReplace half done: `data` says which half",
    -2022: "cancelReplace failed: `data` says what was attempted",
    -2038: "amend refused, the order stands as it was",
}


class Verdict(Enum):
    """What is known of a request that was answered with an error."""

    REFUSED = "refused"
    UNKNOWN = "unknown"


def verdict(status: int, code: int, message: str) -> Verdict:
    """Judge one error. `status` is the HTTP-like status of the reply (0 where a nested reply has none).

    A code in neither table is a refusal when the status says that the venue processed the request (4xx).
    """
    if status >= 500 or code in AMBIGUOUS_CODES:
        return Verdict.UNKNOWN
    if message == DUPLICATE_ORDER_MESSAGE:
        # An order with this id lives: an earlier try of ours that was thought lost. Only a query tells its state.
        return Verdict.UNKNOWN
    if code in DEFINITE_CODES or 400 <= status < 500:
        return Verdict.REFUSED
    return Verdict.UNKNOWN
