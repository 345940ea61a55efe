"""The form in which an exchange's accounts survive a restart: balances, account orders, trades, and every counter of ids.

Orders of the background are not kept: a market that starts anew brings its own.
"""

from __future__ import annotations

import msgspec

from mmd.mock.engine_events import AccountTrade, Order
from mmd.types.decoding import UNREADABLE

VERSION = 1


class SnapshotError(ValueError):
    """The bytes are no snapshot of this version, or one of symbols that the engine does not list."""


class IndexState(msgspec.Struct, frozen=True):
    """Orders and trades of one account on one symbol, each oldest first."""

    live: list[Order]
    closed: list[Order]
    trades: list[AccountTrade]


class AccountState(msgspec.Struct, frozen=True):
    """One account; balances in atoms by asset."""

    name: str
    free: dict[str, int]
    locked: dict[str, int]
    indexes: dict[str, IndexState]


class SymbolState(msgspec.Struct, frozen=True):
    """Counters of one symbol."""

    update_id: int
    last_trade_id: int
    last_price_ticks: int


class EngineState(msgspec.Struct, frozen=True):
    """The whole snapshot."""

    version: int
    last_order_id: int
    fees_collected: dict[str, int]
    symbols: dict[str, SymbolState]
    accounts: list[AccountState]
    last_prevented_match_id: int = 0


def encode(state: EngineState) -> bytes:
    """The snapshot as bytes (MessagePack)."""
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> EngineState:
    """The snapshot from bytes. Raises `SnapshotError`."""
    try:
        state = msgspec.msgpack.decode(data, type=EngineState)
    except UNREADABLE as error:
        raise SnapshotError(f"not a snapshot of the mock exchange ({error}); delete it to start with fresh accounts") from error
    if state.version != VERSION:
        raise SnapshotError(
            f"snapshot of the mock exchange has version {state.version}, this program reads {VERSION}; delete it to start afresh"
        )
    return state
