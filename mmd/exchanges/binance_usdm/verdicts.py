"""What an error of the futures says about the order: refused for certain, or an outcome nobody knows."""

from __future__ import annotations

from mmd.exchanges.binance import verdicts
from mmd.exchanges.binance.verdicts import Verdict

POST_ONLY_WOULD_TAKE = -5022
DUPLICATE_CLIENT_ID = -4116
NO_SUCH_LISTEN_KEY = -1125

DEFINITE_CODES: dict[int, str] = {
    -2018: "balance is insufficient",
    -2019: "margin is insufficient",
    -2020: "unable to fill",
    -2022: "a reduce-only order would not reduce",
    -2025: "too many open orders",
    -2027: "the position would exceed what the leverage allows",
    -2028: "the leverage is too small for the margin",
    -4003: "quantity too small",
    -4005: "quantity too large",
    -4014: "price off the tick grid",
    -4061: "the account is in hedge mode",
    -4131: "price too far from the market",
    -4164: "notional too small",
    -5021: "fill-or-kill not filled",
    -5022: "post-only would take",
    -5026: "modified too often",
    -5027: "nothing to modify",
    -5028: "timestamp outside of recvWindow at the matching engine: not processed",
    -5029: "notional of the modification too small",
    -5043: "a modification of this order is pending",
}


def verdict(status: int, code: int, message: str) -> Verdict:
    """Judge one error; what is not said here is as on Spot."""
    if code == DUPLICATE_CLIENT_ID:
        # An order with this id lives: an earlier try of ours that was thought lost. Only a query tells its state.
        return Verdict.UNKNOWN
    if code in DEFINITE_CODES and status < 500:
        return Verdict.REFUSED
    return verdicts.verdict(status, code, message)
