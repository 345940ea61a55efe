"""The frames of market data as they lie on the wire, and the typed decoders of them."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec

from mmd.types.market import NO_UPDATE_ID

Price = Annotated[float, msgspec.Meta(gt=0)]

Amount = Annotated[float, msgspec.Meta(ge=0)]

Id = Annotated[int, msgspec.Meta(ge=0)]


class TouchFrame(msgspec.Struct, gc=False):
    u: Id
    s: str
    b: Amount
    B: Amount
    a: Amount
    A: Amount
    E: int = 0


class TradeFrame(msgspec.Struct, gc=False):
    E: int
    s: str
    t: Id
    p: Amount
    q: Amount
    m: bool
    X: str = "MARKET"


class DepthFrame(msgspec.Struct, gc=False):
    E: int
    s: str
    U: Id
    u: Id
    b: list[tuple[Price, Amount]]
    a: list[tuple[Price, Amount]]
    pu: int = NO_UPDATE_ID


class AnnouncementFrame(msgspec.Struct, gc=False):
    epoch: int
    speed: float
    ended: bool


class SnapshotReply(msgspec.Struct, gc=False):
    lastUpdateId: Id
    bids: list[tuple[Price, Amount]]
    asks: list[tuple[Price, Amount]]


class NamedFrame(msgspec.Struct, gc=False):
    stream: str = ""


Data = TypeVar("Data")


class Frame(msgspec.Struct, Generic[Data], gc=False):
    data: Data


# Not strict: numbers arrive as texts, and msgspec reads them straight into floats.
TOUCH = msgspec.json.Decoder(Frame[TouchFrame], strict=False)

TRADE = msgspec.json.Decoder(Frame[TradeFrame], strict=False)

DEPTH = msgspec.json.Decoder(Frame[DepthFrame], strict=False)

ANNOUNCEMENT = msgspec.json.Decoder(Frame[AnnouncementFrame], strict=False)

SNAPSHOT = msgspec.json.Decoder(SnapshotReply, strict=False)

NAME = msgspec.json.Decoder(NamedFrame)
