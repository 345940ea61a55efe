"""The kinds of fault there are, each with its parameters: what the admin endpoint, scenario files and the documentation know of.

*Lasting* faults stay on until their `seconds` or `count` are over or they are cleared; *acts* happen once, when switched on.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from mmd.mock.faults.corruption import Corruption
from mmd.mock.faults.frame_class import FrameClass

FrameChannel = Literal["all", "market", "order_entry"]
RequestChannel = Literal["all", "rest", "order_entry"]


def _number(value: object) -> object:
    """Choices among numbers, unlike other numbers, are not read from text by themselves; command lines give text."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


NORMAL_CLOSURE = 1000
ABNORMAL_CLOSURE = 1006

ORDER_REFUSALS: dict[int, str] = {
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
    -1013: "Filter failure: PERCENT_PRICE_BY_SIDE",
    -1015: "Too many new orders.",
    -2010: "Account has insufficient balance for requested action.",
    -2015: "Invalid API-key, IP, or permissions for action.",
}
"""Texts for the codes with which orders are refused; another code needs a `message` of its own."""


class FaultError(ValueError):
    """No fault can be made of this; the text says what is wrong and what is allowed. `parameter` names what is ("" for none)."""

    def __init__(self, text: str, parameter: str = "") -> None:
        super().__init__(text)
        self.parameter = parameter


class Fault(BaseModel):
    """What all faults have in common. Times in seconds of the wall clock."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    effect: ClassVar[str] = ""

    kind: str


class LastingFault(Fault):
    """Stays on."""

    seconds: float | None = Field(default=None, gt=0, description="how long it stays on, s (default: until it is cleared)")


class CountedFault(LastingFault):
    """Befalls single frames or requests."""

    probability: float = Field(default=1.0, gt=0, le=1, description="share of the frames or requests it befalls")
    count: int | None = Field(default=None, gt=0, description="it ends after it has befallen so many")
    connection: int | None = Field(default=None, ge=1, description="only this connection (`mmd mock fault list` numbers them)")


class FrameFault(CountedFault):
    """Befalls frames on their way out."""

    channel: FrameChannel = Field(default="all", description="only market streams, or only the WebSocket API")
    frames: tuple[FrameClass, ...] = Field(default=(), description="only frames of these classes (default: all)")
    symbols: tuple[str, ...] = Field(default=(), description="only frames of these symbols (default: all)")


class DropFrames(FrameFault):
    """Never sent."""

    effect: ClassVar[str] = "the frame is never sent"
    kind: Literal["drop_frames"] = "drop_frames"


class SkipDepthUpdate(FrameFault):
    """A hole in the book's sequence."""

    effect: ClassVar[str] = "a diff-depth frame is left out, so that the next one leaves a gap in the sequence of update ids"
    kind: Literal["skip_depth_update"] = "skip_depth_update"
    count: int | None = Field(default=1, gt=0, description="it ends after so many were left out")
    frames: tuple[FrameClass, ...] = Field(default=(FrameClass.DEPTH,), description="frames that count as such")


class DelayFrames(FrameFault):
    """Sent late."""

    effect: ClassVar[str] = "the frame is sent late, and with it all that follow on the connection: the order stays"
    kind: Literal["delay_frames"] = "delay_frames"
    milliseconds: float = Field(default=100.0, gt=0, le=60_000, description="delay, ms")
    jitter_milliseconds: float = Field(default=0.0, ge=0, le=60_000, description="up to so much more, evenly drawn, ms")


class DuplicateFrames(FrameFault):
    """Sent more than once."""

    effect: ClassVar[str] = "the frame is sent again right behind itself"
    kind: Literal["duplicate_frames"] = "duplicate_frames"
    copies: int = Field(default=1, ge=1, le=100, description="copies beside the first")


class ReorderFrames(FrameFault):
    """Overtaken."""

    effect: ClassVar[str] = "the frame is held back until so many later ones of the connection have passed it"
    kind: Literal["reorder_frames"] = "reorder_frames"
    distance: int = Field(default=1, ge=1, le=100, description="frames that overtake it")


class CorruptFrames(FrameFault):
    """Sent damaged."""

    effect: ClassVar[str] = "the frame is sent damaged; the table of corruptions says which damage a client can detect"
    kind: Literal["corrupt_frames"] = "corrupt_frames"
    corruptions: tuple[Corruption, ...] = Field(
        default=Corruption.detectable(),
        min_length=1,
        description="one of them is drawn for each frame (default: the detectable ones)",
    )


class DriftTrades(FrameFault):
    """Prints of another market."""

    effect: ClassVar[str] = "the price of a public trade is off by so many bps; the book stays right"
    kind: Literal["drift_trades"] = "drift_trades"
    bps: float = Field(default=50.0, gt=-10_000, lt=100_000, description="how far off, bps (below 0: too low)")
    frames: tuple[FrameClass, ...] = Field(default=(FrameClass.TRADE,), description="frames that count as such")


class Cut(Fault):
    """Ends connections."""

    effect: ClassVar[str] = "the websockets that are open are ended: with a close frame, without one (1006), or by a TCP reset"
    kind: Literal["cut_connections"] = "cut_connections"
    connection: int | None = Field(default=None, ge=1, description="only this connection")
    channel: FrameChannel = Field(default="all", description="only market streams, or only the WebSocket API")
    code: int = Field(default=NORMAL_CLOSURE, ge=1000, le=4999, description="close code; 1006 ends TCP without a close frame")
    reason: str = Field(default="", max_length=120, description="reason in the close frame")
    reset: bool = Field(default=False, description="abort with a TCP reset, and no close frame, whatever the code")


class RefuseConnections(LastingFault):
    """Nobody gets in."""

    effect: ClassVar[str] = "new websockets are refused with an HTTP status"
    kind: Literal["refuse_connections"] = "refuse_connections"
    channel: FrameChannel = Field(default="all", description="only market streams, or only the WebSocket API")
    status: int = Field(default=503, ge=400, le=599, description="HTTP status of the refusal")


class RequestFault(CountedFault):
    """Befalls requests, and what is answered."""

    channel: RequestChannel = Field(default="all", description="only REST, or only the WebSocket API")
    operations: tuple[str, ...] = Field(
        default=(),
        description="only these, as `order.place` (REST: `GET depth` where it has no such name; default: see the effect)",
    )


class DelayAcknowledgements(RequestFault):
    """Answered late."""

    effect: ClassVar[str] = "an operation on orders is carried out at once and answered late"
    kind: Literal["delay_acknowledgements"] = "delay_acknowledgements"
    milliseconds: float = Field(default=1000.0, gt=0, le=600_000, description="delay of the answer, ms")


class LoseAcknowledgements(RequestFault):
    """Never answered."""

    effect: ClassVar[str] = "an operation on orders is carried out and never answered: the order lives; REST keeps the line open"
    kind: Literal["lose_acknowledgements"] = "lose_acknowledgements"


class ServerErrors(RequestFault):
    """5xx."""

    effect: ClassVar[str] = "any request is answered with a 5xx status; it may have been carried out"
    kind: Literal["server_errors"] = "server_errors"
    status: int = Field(default=503, ge=500, le=599, description="HTTP status")
    executed: Literal["yes", "no", "random"] = Field(default="random", description="whether the request is carried out")


class BackendTimeouts(RequestFault):
    """-1007."""

    effect: ClassVar[str] = "an operation on orders is answered with -1007: status unknown; it may have been carried out"
    kind: Literal["backend_timeouts"] = "backend_timeouts"
    status: int = Field(default=408, ge=400, le=599, description="HTTP status")
    executed: Literal["yes", "no", "random"] = Field(default="random", description="whether the request is carried out")


class RefuseOrders(LastingFault):
    """The matching engine says no."""

    effect: ClassVar[str] = "the matching engine refuses new orders with this error; in a cancelReplace after the cancel"
    kind: Literal["refuse_orders"] = "refuse_orders"
    probability: float = Field(default=1.0, gt=0, le=1, description="share of the orders it befalls")
    count: int | None = Field(default=None, gt=0, description="it ends after so many orders")
    code: int = Field(default=-2010, lt=0, description="error code")
    message: str = Field(default="", max_length=200, description="text of the error (default: the usual one of the code)")
    accounts: tuple[str, ...] = Field(default=(), description="only orders of these accounts (default: all)")
    symbols: tuple[str, ...] = Field(default=(), description="only orders of these symbols (default: all)")

    @property
    def text(self) -> str:
        """What the client is told."""
        return self.message or ORDER_REFUSALS.get(self.code, "Order refused.")


class PartialFills(LastingFault):
    """A taker comes for a part of each order."""

    effect: ClassVar[str] = "a resting order of an account is filled in part at its own price, whatever else stands in the book"
    kind: Literal["partial_fills"] = "partial_fills"
    probability: float = Field(default=1.0, gt=0, le=1, description="share of the orders it befalls")
    count: int | None = Field(default=None, gt=0, description="it ends after so many orders")
    fraction: float = Field(default=0.5, gt=0, lt=1, description="share of the order that trades")
    milliseconds: float = Field(default=0.0, ge=0, le=60_000, description="time after the order came to rest, ms")
    accounts: tuple[str, ...] = Field(default=(), description="only orders of these accounts (default: all)")
    symbols: tuple[str, ...] = Field(default=(), description="only orders of these symbols (default: all)")


class ClockOffset(LastingFault):
    """The server's clock is wrong."""

    effect: ClassVar[str] = "the server's clock is off: /time, timestamp checks and, with `stamps`, the times in market frames"
    kind: Literal["clock_offset"] = "clock_offset"
    milliseconds: int = Field(default=5000, ge=-86_400_000, le=86_400_000, description="ms ahead of the true time (< 0: behind)")
    stamps: bool = Field(default=False, description="market frames bear the wrong time too")


class RateLimitBan(LastingFault):
    """Too much asked."""

    effect: ClassVar[str] = "every request is refused with -1003, 429 or 418, and told when to come again"
    kind: Literal["rate_limit_ban"] = "rate_limit_ban"
    seconds: float | None = Field(default=10.0, gt=0, description="how long the ban lasts, s")
    channel: RequestChannel = Field(default="all", description="only REST, or only the WebSocket API")
    status: Annotated[Literal[418, 429], BeforeValidator(_number)] = Field(
        default=418, description="429: asked to stop; 418: banned"
    )


class ServerShutdown(Fault):
    """Announced, then done."""

    effect: ClassVar[str] = "`serverShutdown` is announced to every websocket; those still there after the grace are closed"
    kind: Literal["server_shutdown"] = "server_shutdown"
    connection: int | None = Field(default=None, ge=1, description="only this connection")
    channel: FrameChannel = Field(default="all", description="only market streams, or only the WebSocket API")
    grace_seconds: float = Field(default=10.0, ge=0, le=600, description="time between announcement and close, s")


class Freeze(LastingFault):
    """Silence on an open line."""

    effect: ClassVar[str] = "the server stops answering and sending while TCP stays up; then everything comes at once"
    kind: Literal["freeze"] = "freeze"
    seconds: float | None = Field(default=5.0, gt=0, le=600, description="length of the silence, s")
    connection: int | None = Field(default=None, ge=1, description="only this connection (REST goes on)")
    channel: FrameChannel = Field(default="all", description="only market streams, or only the WebSocket API (REST goes on)")


class Restart(Fault):
    """Down and up again."""

    effect: ClassVar[str] = "the exchange goes down and comes back on the same port, with its accounts, orders and ids or without"
    kind: Literal["restart"] = "restart"
    keep_state: bool = Field(default=True, description="whether accounts, orders, trades and ids survive")
    down_seconds: float = Field(default=1.0, ge=0, le=600, description="time between going down and coming back, s")
    announce: bool = Field(default=False, description="announce `serverShutdown` and close with 1001; else connections just break")


AnyFault = Annotated[
    DropFrames
    | SkipDepthUpdate
    | DelayFrames
    | DuplicateFrames
    | ReorderFrames
    | CorruptFrames
    | DriftTrades
    | Cut
    | RefuseConnections
    | DelayAcknowledgements
    | LoseAcknowledgements
    | ServerErrors
    | BackendTimeouts
    | RefuseOrders
    | PartialFills
    | ClockOffset
    | RateLimitBan
    | ServerShutdown
    | Freeze
    | Restart,
    Field(discriminator="kind"),
]

KINDS: dict[str, type[Fault]] = {
    fault.model_fields["kind"].default: fault
    for fault in (
        DropFrames, SkipDepthUpdate, DelayFrames, DuplicateFrames, ReorderFrames, CorruptFrames, DriftTrades, Cut,
        RefuseConnections, DelayAcknowledgements, LoseAcknowledgements, ServerErrors, BackendTimeouts, RefuseOrders,
        PartialFills, ClockOffset, RateLimitBan, ServerShutdown, Freeze, Restart,
    )
}  # fmt: skip
"""Every kind by its name, in the order of the documentation."""

_ADAPTER: TypeAdapter[Fault] = TypeAdapter(AnyFault)


def parse_fault(values: Mapping[str, Any]) -> Fault:
    """A fault from names and values, as JSON, TOML or `name=value` texts give them. Raises `FaultError`."""
    kind = values.get("kind")
    if kind is None:
        raise FaultError(f"a fault needs a kind: {', '.join(KINDS)}", "kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise FaultError(f"there is no fault {kind!r}{_nearest(str(kind), KINDS)}; there are {', '.join(KINDS)}", "kind")
    allowed = KINDS[kind].model_fields
    for name in values:
        if name not in allowed:
            raise FaultError(f"{kind} has no {name!r}{_nearest(name, allowed)}; it has {', '.join(allowed)}", name)
    try:
        fault = _ADAPTER.validate_python({**values})
    except ValidationError as error:
        problem = error.errors()[0]
        place = [str(part) for part in problem["loc"] if part != kind]
        raise FaultError(f"{kind}: {'.'.join(place)}: {problem['msg']}", place[0] if place else "") from error
    if isinstance(fault, RefuseOrders) and not fault.message and fault.code not in ORDER_REFUSALS:
        known = ", ".join(map(str, ORDER_REFUSALS))
        raise FaultError(f"refuse_orders: code {fault.code} needs a message; without one there are {known}", "message")
    return fault


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""
