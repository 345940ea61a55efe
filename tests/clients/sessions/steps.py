"""The steps that every client's session goes through, and the record of how each went.

Runs in the clients' own environment, and is read by the test that judges the record: only the standard library here.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

STEPS: dict[str, str] = {
    "markets": "load the markets",
    "book": "watch the book, compare with REST snapshots",
    "post_only": "post-only order rests",
    "crossing": "crossing post-only refused",
    "fill": "fill against a second account",
    "partial_fill": "partial fill",
    "amend": "amend in place",
    "replace_both": "cancelReplace: both succeed",
    "replace_stop_cancel_fails": "STOP_ON_FAILURE: cancel fails, nothing placed",
    "replace_stop_order_fails": "STOP_ON_FAILURE: cancel done, order fails",
    "replace_allow_cancel_fails": "ALLOW_FAILURE: cancel fails, order placed",
    "replace_allow_order_fails": "ALLOW_FAILURE: cancel done, order fails",
    "replace_none": "cancelReplace: both fail",
    "cancel": "cancel",
    "cancel_all": "cancel all",
    "balances": "balances",
    "own_trades": "own trades",
    "websocket_api": "order over the WebSocket API",
    "order_events": "order events",
    "trade_events": "trade events",
    "ed25519": "trade with an Ed25519 key",
    "rsa": "trade with an RSA key",
    "types": "replies fit the client's declared types",
}
"""Name of a step to its heading, in the order of the session."""


class Record:
    """How each step of one client's session went."""

    def __init__(self, unsupported: dict[str, str]) -> None:
        unknown = unsupported.keys() - STEPS.keys()
        if unknown:
            raise ValueError(f"no such steps: {sorted(unknown)}")
        self.outcomes: dict[str, dict[str, str]] = {
            step: {"outcome": "unsupported", "detail": reason} for step, reason in unsupported.items()
        }

    def supports(self, step: str) -> bool:
        """Whether the client can do this at all."""
        return self.outcomes.get(step, {}).get("outcome") != "unsupported"

    @asynccontextmanager
    async def step(self, step: str) -> AsyncIterator[list[str]]:
        """Runs one step; what is appended to the list goes into the table. A failure is kept whole, and the session goes on."""
        if step not in STEPS:
            raise ValueError(f"no such step: {step}")
        detail: list[str] = []
        try:
            yield detail
        except Exception:  # noqa: BLE001 - kept whole in the record, which the test judges
            self.outcomes[step] = {"outcome": "failed", "detail": traceback.format_exc()}
        else:
            self.outcomes[step] = {"outcome": "passed", "detail": "; ".join(detail)}

    def write(self, path: Path, version: str) -> None:
        """The record as JSON."""
        path.write_text(json.dumps({"version": version, "outcomes": self.outcomes}, indent=1))
