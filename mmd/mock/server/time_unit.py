"""`timeUnit` and `X-MBX-TIME-UNIT`: times in replies and frames as microseconds, for those who ask for it.

The exchange counts milliseconds; in microseconds they end in three zeros. Only who asks pays for the second encoding.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mmd.mock.server import errors

_PER_MILLISECOND = 1000
_REPLY_TIMES = frozenset({"time", "updateTime", "transactTime", "workingTime", "serverTime", "openTime", "closeTime"})
_EVENT_TIMES = frozenset({"E", "T", "O", "C", "W"})
_KLINE_LENGTH = 12
_KLINE_TIMES = (0, 6)


def wants_microseconds(text: str | None) -> bool:
    """Reads a time unit; none means milliseconds. Raises -1194."""
    unit = (text or "MILLISECOND").upper()
    if unit not in ("MILLISECOND", "MICROSECOND"):
        raise errors.bad_time_unit()
    return unit == "MICROSECOND"


def in_microseconds(document: bytes) -> bytes:
    """A reply or frame in JSON with all its times in microseconds."""
    return msgspec.json.encode(_scaled(msgspec.json.decode(document)))


def _scaled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _scaled_field(value, name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        if len(value) == _KLINE_LENGTH and isinstance(value[0], int):
            return [inner * _PER_MILLISECOND if index in _KLINE_TIMES else inner for index, inner in enumerate(value)]
        return [_scaled(inner) for inner in value]
    return value


def _scaled_field(parent: dict[str, Any], name: str, value: Any) -> Any:
    # In events `O` and `C` may also be prices or ids: those are texts.
    is_time = name in _REPLY_TIMES or name in _EVENT_TIMES
    is_time |= name == "u" and parent.get("e") == "outboundAccountPosition"
    is_time |= name == "t" and "i" in parent and "x" in parent and "e" not in parent
    if is_time and type(value) is int:
        return value * _PER_MILLISECOND
    return _scaled(value)
