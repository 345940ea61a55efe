"""Damaging a frame in one of several ways, and which of them a client can tell from the frame alone.

A websocket runs over TCP and TLS, which leave no room for damage on the wire; what comes damaged was damaged by the sender.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Any

import msgspec

from mmd.types.decoding import UNREADABLE

_STRUCTURE = b'{}[]:,"'
_ESSENTIAL = {
    "depthUpdate": ("U", "u", "s", "b", "a", "E"),
    "trade": ("t", "p", "q", "m", "s", "E"),
    "bookTicker": ("u", "s", "b", "B", "a", "A"),
    "": ("u", "s", "b", "B", "a", "A"),
}
_FOREIGN_SYMBOL = "NOSUCHUSDT"


class Corruption(StrEnum):
    """Ways in which a frame is damaged."""

    TRUNCATED = "truncated"
    GARBLED = "garbled"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    FOREIGN_SYMBOL = "foreign_symbol"
    ABSURD_NUMBER = "absurd_number"
    CHANGED_DIGIT = "changed_digit"

    @classmethod
    def detectable(cls) -> tuple[Corruption, ...]:
        """Those which a client can tell from the frame alone."""
        return tuple(each for each in cls if each is not cls.CHANGED_DIGIT)


MEANINGS: dict[Corruption, tuple[str, str]] = {
    Corruption.TRUNCATED: ("the frame ends too early", "always: it is no JSON any more"),
    Corruption.GARBLED: ("a byte of its punctuation is overwritten", "always: it is no JSON any more"),
    Corruption.WRONG_TYPE: ("a field holds a value of another type", "always, for the fields a book or a trade is made of"),
    Corruption.MISSING_FIELD: ("a field is missing", "always, for the fields a book or a trade is made of"),
    Corruption.FOREIGN_SYMBOL: ("it names a symbol that is not its stream's", "always"),
    Corruption.ABSURD_NUMBER: (
        "a price or quantity below zero, a price of zero, NaN, infinity, or a range of update ids that ends before it begins",
        "always",
    ),
    Corruption.CHANGED_DIGIT: (
        "a digit of a price or quantity is another",
        "not from the frame; later if the book comes out crossed, or a snapshot is compared with it",
    ),
}
"""What each does, and whether it can be detected."""


def corrupt(frame: bytes, how: Corruption, random: Random) -> bytes:
    """The frame, damaged. Where a way does not fit the frame (a foreign symbol in a frame without one) it is truncated instead."""
    if how is Corruption.GARBLED:
        places = [place for place, byte in enumerate(frame) if byte in _STRUCTURE]
        place = random.choice(places) if places else 0
        return frame[:place] + b"\xff" + frame[place + 1 :]
    if how is not Corruption.TRUNCATED:
        changed = _rewritten(frame, how, random)
        if changed is not None and changed != frame:
            return changed
    return frame[: random.randrange(1, max(2, len(frame)))]


def drifted(frame: bytes, bps: float) -> bytes:
    """The frame of a trade with another price, as many decimals as before; any other frame as it is."""
    document = msgspec.json.decode(frame)
    data = document.get("data", document) if isinstance(document, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("p"), str):
        return frame
    price: str = data["p"]
    decimals = len(price.partition(".")[2])
    kept = _decimals_of_tick(price)
    data["p"] = f"{round(float(price) * (1.0 + bps * 1e-4), kept):.{decimals}f}"
    return msgspec.json.encode(document)


def _decimals_of_tick(price: str) -> int:
    """Prices come with more decimals than their tick has: so many of them are used."""
    return min(2, len(price.partition(".")[2]))


def _rewritten(frame: bytes, how: Corruption, random: Random) -> bytes | None:
    try:
        document = msgspec.json.decode(frame)
    except UNREADABLE:
        return None
    data = document.get("data", document) if isinstance(document, dict) else None
    if not isinstance(data, dict):
        return None
    essential = [name for name in _ESSENTIAL.get(str(data.get("e", "")), ()) if name in data] or list(data)
    if how is Corruption.WRONG_TYPE:
        name = random.choice(essential)
        data[name] = {"not": "this"}
    elif how is Corruption.MISSING_FIELD:
        del data[random.choice(essential)]
    elif how is Corruption.FOREIGN_SYMBOL:
        if "s" not in data:
            return None
        data["s"] = _FOREIGN_SYMBOL
    else:
        numbers = _numbers_of(data)
        if not numbers:
            return None
        holder, key, is_price = random.choice(numbers)
        if how is Corruption.CHANGED_DIGIT:
            holder[key] = _other_digit(str(holder[key]), random)
        elif "U" in data and random.random() < 0.3:
            data["U"] = data["u"] + 1 + random.randrange(1000)
        else:
            absurd = ["-1.00000000", "NaN", "Infinity", "-Infinity", "1e400"] + ["0.00000000"] * is_price
            holder[key] = random.choice(absurd)
    return msgspec.json.encode(document)


def _numbers_of(data: dict[str, Any]) -> list[tuple[Any, Any, bool]]:
    """Where prices and quantities stand: holder, key, whether it is a price."""
    found: list[tuple[Any, Any, bool]] = []
    for name in ("b", "a"):
        value = data.get(name)
        if isinstance(value, list):
            for level in value:
                found += [(level, 0, True), (level, 1, False)]
        elif isinstance(value, str):
            found += [(data, name, True), (data, name.upper(), False)]
    if "p" in data:
        found += [(data, "p", True), (data, "q", False)]
    return found


def _other_digit(text: str, random: Random) -> str:
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    place = random.choice(places)
    digit = random.choice([letter for letter in "0123456789" if letter != text[place]])
    return text[:place] + digit + text[place + 1 :]
