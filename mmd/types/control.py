"""What people and timers may tell the core, and what the core tells its shell that is not for the venue."""

from __future__ import annotations

from enum import Enum

import msgspec


class Timer(msgspec.Struct, frozen=True, gc=False):
    """The shell's clock, some ten times a second: time-outs, stale checks and retries hang on it."""

    receive_ns: int


class HaltRequest(msgspec.Struct, frozen=True, gc=False):
    """Stop for good: latch, cancel all of ours, send nothing more. `actor`: http, cli, signal, file, watchdog, guard or core."""

    receive_ns: int
    reason: str
    actor: str


class FlattenRequest(msgspec.Struct, frozen=True, gc=False):
    """Halt, and then work towards no position with reduce-only orders until the deadline, UTC ns. A halt or a resume ends it."""

    receive_ns: int
    reason: str
    actor: str
    deadline_ns: int


class ResumeRequest(msgspec.Struct, frozen=True, gc=False):
    """Lift the halt. Refused without a reason."""

    receive_ns: int
    reason: str
    actor: str


class GuardStatus(msgspec.Struct, frozen=True, gc=False):
    """Whether the guard, the process that would clear the market for us, is alive. Sent where one is required, when it changes."""

    receive_ns: int
    alive: bool


class Shutdown(msgspec.Struct, frozen=True, gc=False):
    """Leave: cancel everything of ours and place nothing more (no latch)."""

    receive_ns: int
    reason: str


class PauseReason(Enum):
    """Why no quote stands although nothing is latched; clears itself when the cause is gone."""

    STARTING = "starting"
    FEED_DISCONNECTED = "feed_disconnected"
    ORDER_CHANNEL_DOWN = "order_channel_down"
    BOOK_INVALID = "book_invalid"
    DATA_STALE = "data_stale"
    FEED_LAG = "feed_lag"
    RECONCILING = "reconciling"
    RATE_LIMITED = "rate_limited"
    EXTERNAL_BALANCE_CHANGE = "external_balance_change"
    RECORDING_ENDED = "recording_ended"
    GUARD_LOST = "guard_lost"

    # The enumeration's own hash is a Python call, and pauses are looked up at each quote.
    __hash__ = object.__hash__


class HaltRecord(msgspec.Struct, frozen=True):
    """What the latch keeps on disk. `realised_atoms` and `unrealised_atoms` are quote atoms at the time of the halt."""

    halted: bool
    reason: str
    actor: str
    time_ns: int
    realised_atoms: int = 0
    unrealised_atoms: int = 0


class PersistHalt(msgspec.Struct, frozen=True):
    """Write the latch to disk, before any other command of the same batch is carried out."""

    record: HaltRecord


class PersistLedger(msgspec.Struct, frozen=True):
    """Write this checkpoint of ledger and loss budget (already encoded JSON) to disk, before later commands."""

    document: bytes


class Exit(msgspec.Struct, frozen=True, gc=False):
    """Everything of ours is gone from the venue: the process may leave."""

    decided_ns: int
    detail: str
