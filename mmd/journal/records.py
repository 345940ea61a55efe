"""What may stand in a journal: the code of each kind of record, and the records that are no event and no command.

A session's records have one total order. A `SessionBegin` is first. Each event of the core is followed by what the networks
said and took while it was handled, then by the commands that came of it, then by the requests that were written for them.
Codes are never given twice: a kind that is no longer written keeps its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mmd.market.signals import ExternalSignal
from mmd.types import control, market, orders
from mmd.types.control import HaltRecord
from mmd.types.instrument import Instrument

FORMAT_VERSION = 1


class NetworksInUse(msgspec.Struct, frozen=True):
    """A bundle and what evaluates it. `digest` names its contents."""

    folder: str
    name: str
    version: str
    digest: str
    runtime: str
    runtime_version: str
    variant: str


class Machine(msgspec.Struct, frozen=True):
    """What predictions depend on to the last bit, beside the bundle."""

    processor: str
    architecture: str
    python: str
    numpy: str


class SessionBegin(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the core was made of. Recurrent state is not in here: every session begins with all of it zero."""

    format_version: int
    program_version: str
    session: str
    """The session epoch: the middle part of every client order id."""
    started_ns: int
    venue: str
    mode: str
    account: str
    symbols: tuple[str, ...]
    settings: bytes
    """JSON of every setting, secrets masked."""
    settings_sha256: str
    trader_config: bytes
    """JSON of the core's configuration."""
    exchange: bytes
    """JSON of the venue's settings, secrets masked."""
    instruments: tuple[Instrument, ...]
    checkpoint: bytes | None
    """JSON of ledger, loss budget and order counts, as an earlier session left them; none at a first start."""
    halt: HaltRecord | None
    networks: NetworksInUse | None
    machine: Machine


class SessionEnd(msgspec.Struct, frozen=True):
    """The session was closed in order. `outbound_sha256` is the hash of everything that went out."""

    ended_ns: int
    detail: str
    records: int
    requests: int
    commands: int
    outbound_sha256: str


class Gap(msgspec.Struct, frozen=True):
    """So many records are missing here: the disk did not take them in time. Nothing after it can be replayed."""

    lost: int


class NetworksSwapped(msgspec.Struct, frozen=True):
    """Stands for the event that put other networks into service."""

    receive_ns: int
    networks: NetworksInUse


class NetworksChallenged(msgspec.Struct, frozen=True):
    """Stands for the event that put networks into shadow, or ended that. Nothing that goes out depends on it."""

    receive_ns: int
    networks: NetworksInUse | None


class SentByShell(msgspec.Struct, frozen=True):
    """A cancel that no command of the core asked for: it had failed, or the process was leaving."""

    command: orders.CancelOrder


class CoreFailed(msgspec.Struct, frozen=True):
    """The core raised on the event before this; it was not asked again."""

    text: str


class Unreadable(msgspec.Struct, frozen=True):
    """An object of a type that has no code, as text: no replay goes beyond it."""

    kind: str
    text: str


INFERENCE_TIME, PREDICTION, REQUEST = 1, 2, 3
"""Codes of the records that bear no struct: ns that an evaluation took; (symbol, outputs …); bytes of a request."""

Prediction = tuple[str | float, ...]

CODES: dict[type, int] = {
    int: INFERENCE_TIME,
    tuple: PREDICTION,
    bytes: REQUEST,
    SessionBegin: 10,
    SessionEnd: 11,
    Gap: 12,
    NetworksSwapped: 13,
    NetworksChallenged: 14,
    SentByShell: 15,
    Unreadable: 16,
    CoreFailed: 17,
    market.DepthUpdate: 20,
    market.DepthSnapshot: 21,
    market.TouchUpdate: 22,
    market.MarketTrade: 23,
    market.MarkPrice: 24,
    market.FeedStatus: 25,
    market.BatchEnd: 26,
    market.FeedAnnouncement: 27,
    orders.OrderAccepted: 40,
    orders.OrderRejected: 41,
    orders.CancelRejected: 42,
    orders.OutcomeUnknown: 43,
    orders.OrderUpdate: 44,
    orders.OrderNotFound: 45,
    orders.Fill: 46,
    orders.FundingPaid: 47,
    orders.BalanceReport: 48,
    orders.ExternalBalanceChange: 49,
    orders.DeadMansSwitchLapsed: 50,
    orders.ForcedTrade: 51,
    orders.ReconciliationReport: 52,
    orders.ReconciliationFailed: 53,
    orders.OrderChannelStatus: 54,
    orders.OrderBudgetReport: 55,
    orders.RateLimited: 56,
    orders.ClockSync: 57,
    orders.InstrumentsLoaded: 58,
    control.Timer: 70,
    control.HaltRequest: 71,
    control.ResumeRequest: 72,
    control.Shutdown: 73,
    ExternalSignal: 74,
    control.GuardStatus: 75,
    control.FlattenRequest: 76,
    orders.PlaceOrder: 90,
    orders.CancelOrder: 91,
    orders.ReplaceOrder: 92,
    orders.AmendOrder: 93,
    orders.ModifyOrder: 94,
    orders.QueryOrder: 95,
    orders.RequestDepthSnapshot: 96,
    orders.RequestReconciliation: 97,
    control.PersistHalt: 98,
    control.PersistLedger: 99,
    control.Exit: 100,
}
FIRST_COMMAND_CODE, LAST_COMMAND_CODE = 90, 119
FIRST_EVENT_CODE, LAST_EVENT_CODE = 20, 89
COMMANDS = frozenset(kind for kind, code in CODES.items() if FIRST_COMMAND_CODE <= code <= LAST_COMMAND_CODE)
EVENTS = frozenset(kind for kind, code in CODES.items() if FIRST_EVENT_CODE <= code <= LAST_EVENT_CODE) | {
    NetworksSwapped,
    NetworksChallenged,
}
"""What begins a new turn of the core."""

Record = Any
"""One of the types that `CODES` lists."""
