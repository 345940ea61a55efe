"""Client order ids: made for our orders, and told from everybody else's."""

from __future__ import annotations

import re
from typing import Final

MAXIMUM_LENGTH: Final = 36
_PREFIX: Final = re.compile(r"[A-Za-z0-9_]{1,12}")
_EPOCH: Final = re.compile(r"[0-9a-z]{1,13}")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)
"""Two digits at a time: an id is made for every order."""


class ClientOrderIds:
    """Ids of the form `<prefix>-<session epoch>-<sequence>`, epoch and sequence in base 36.

    Raises `ValueError` for a prefix or epoch that would make ids the venue refuses, or that could not be told from others'.
    """

    def __init__(self, prefix: str, session_epoch: str) -> None:
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(f"client order id prefix {prefix!r}: use 1 to 12 letters, digits or underscores")
        if not _EPOCH.fullmatch(session_epoch):
            raise ValueError(f"session epoch {session_epoch!r}: use 1 to 13 digits or lower-case letters (base 36)")
        self._stem = f"{prefix}-{session_epoch}-"
        self._ours = re.compile(rf"{prefix}-[0-9a-z]{{1,13}}-[0-9a-z]{{1,9}}")
        self._sequence = 0

    def make(self) -> str:
        """A fresh id, at most 36 characters. Raises `OverflowError` after 36^9 of them."""
        self._sequence += 1
        digits = base36(self._sequence)
        if len(digits) > 9:
            raise OverflowError("a session has used up its client order ids; start another")
        return self._stem + digits

    def is_ours(self, client_order_id: str) -> bool:
        """Whether this or an earlier session made it: by the prefix and the exact form (`mmd-by-hand-1` is not ours)."""
        return self._ours.fullmatch(client_order_id) is not None


def base36(number: int) -> str:
    """A whole number, not negative, in base 36."""
    digits = ""
    while number >= 1296:
        number, rest = divmod(number, 1296)
        digits = _PAIRS[rest] + digits
    return (_PAIRS[number] if number >= 36 else _DIGITS[number]) + digits
