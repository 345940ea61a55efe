"""What a frame is, told from its first bytes: faults choose by it, whatever the form (raw, combined, WebSocket API)."""

from __future__ import annotations

import re
from enum import StrEnum

_HEAD = 160
_STREAM = re.compile(rb'^\{"stream":"([^"@!]*)[@!]?([a-zA-Z]*)')
_EVENT_TYPE = re.compile(rb'"e":"([^"]+)"')
_SYMBOL = re.compile(rb'"s":"([^"]+)"')


class FrameClass(StrEnum):
    """Kinds of outgoing frame."""

    DEPTH = "depth"
    TRADE = "trade"
    TOUCH = "bookTicker"
    REPLY = "reply"
    EVENT = "event"
    OTHER = "other"


_BY_STREAM = {b"depth": FrameClass.DEPTH, b"trade": FrameClass.TRADE, b"bookTicker": FrameClass.TOUCH}
_BY_EVENT = {
    b"depthUpdate": FrameClass.DEPTH,
    b"trade": FrameClass.TRADE,
    b"bookTicker": FrameClass.TOUCH,
    # User data of futures come bare.
    b"ORDER_TRADE_UPDATE": FrameClass.EVENT,
    b"ACCOUNT_UPDATE": FrameClass.EVENT,
    b"listenKeyExpired": FrameClass.EVENT,
}


def classify(frame: bytes) -> FrameClass:
    """The class of a frame. `EVENT` is user data; partial depth, tickers and announcements are `OTHER`."""
    head = frame[:_HEAD]
    if head.startswith((b'{"subscriptionId":', b'{"event":')):
        return FrameClass.EVENT
    if head.startswith((b'{"id":', b'{"result":', b'{"code":')):
        return FrameClass.REPLY
    stream = _STREAM.match(head)
    event = _EVENT_TYPE.search(head)
    if event is not None:
        return _BY_EVENT.get(event.group(1), FrameClass.OTHER)
    if stream is not None:
        return _BY_STREAM.get(stream.group(2), FrameClass.OTHER) if b'"lastUpdateId"' not in head else FrameClass.OTHER
    return FrameClass.TOUCH if head.startswith(b'{"u":') else FrameClass.OTHER


def symbol_of(frame: bytes) -> str:
    """The symbol a frame speaks of, "" where it names none near its beginning."""
    found = _SYMBOL.search(frame[:_HEAD])
    return found.group(1).decode() if found else ""
