"""What the control port answers with, beside the state document: the types that its description is made from."""

from __future__ import annotations

import msgspec

from mmd.types.control import HaltRecord


class Refusal(msgspec.Struct, frozen=True):
    """Why a request was not carried out."""

    error: str


class HaltAnswer(msgspec.Struct, frozen=True):
    """What a halt came to."""

    halted: bool
    record: HaltRecord
    """The halt that stands: the first cause, if it was halted already."""
    open_orders: int
    """Orders of ours that were open when it came; -1 where the core cannot say."""
    cancels_sent_after_ms: float | None
    """From hearing the request to the last cancel written; null where nothing was to cancel."""
    confirmed_gone: bool
    """The venue has confirmed every one of them gone."""
    still_open: int
    latched_on_disk: bool


class FlattenAnswer(msgspec.Struct, frozen=True):
    """What a flattening came to."""

    halted: bool
    record: HaltRecord
    outcome: str
    left: dict[str, float]
    """Position that is left, by symbol, in base units."""
    orders_gone: bool


class ResumeAnswer(msgspec.Struct, frozen=True):
    """The latch after a resume."""

    halted: bool
    record: HaltRecord


class SignalsAnswer(msgspec.Struct, frozen=True):
    """How many signals were taken in."""

    taken: int


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    alive: bool


class Readiness(msgspec.Struct, frozen=True):
    """Whether quotes can stand now, and if not, why."""

    ready: bool
    why: list[str]


class PageAccess(msgspec.Struct, frozen=True):
    """What a browser must know before it can show anything."""

    token_needed: bool
    """A token is set, and this browser has no session yet."""
    logged_in: bool
    """This browser has a session."""
    charts: str | None
    """Where the script that draws charts is; null where it is not installed."""
    version: str
