"""Listen keys: the user data stream as it was until 20 February 2026, for clients of that time; off unless the settings say so.

A key is the name of a market stream on which the events of one account come bare. It lives for an hour from when it was last asked
for or kept alive.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from mmd.mock.server import errors
from mmd.mock.server.user_data import UserDataHub

VALIDITY_MS = 3_600_000
_KEY_BYTES = 32
_NS_PER_MS = 1_000_000


class _ListenKey:
    """One account's key; reads the account's events and publishes them as long as it is valid."""

    def __init__(self, key: str, now_ms: Callable[[], int], publish: Callable[[str, bytes], None]) -> None:
        self.key = key
        self._now_ms = now_ms
        self._publish = publish
        self.extend()

    def extend(self) -> None:
        self._valid_until_ms = self._now_ms() + VALIDITY_MS

    @property
    def is_valid(self) -> bool:
        return self._now_ms() < self._valid_until_ms

    def send(self, frame: bytes) -> None:
        if self.is_valid:
            self._publish(self.key, frame)


class ListenKeys:
    """At most one key an account. `publish` sends a frame to the readers of a stream."""

    def __init__(self, user_data: UserDataHub, now_ms: Callable[[], int], publish: Callable[[str, bytes], None]) -> None:
        self._user_data = user_data
        self._now_ms = now_ms
        self._publish = publish
        self._keys: dict[str, _ListenKey] = {}

    def open(self, account: str) -> str:
        """The account's key, good for another hour."""
        current = self._keys.get(account)
        if current is not None and current.is_valid:
            current.extend()
            return current.key
        if current is not None:
            self._remove(account, current)
        created = _ListenKey(secrets.token_hex(_KEY_BYTES), self._now_ms, self._publish)
        self._keys[account] = created
        self._user_data.subscribe(account, created, None)
        return created.key

    def extend(self, account: str, key: str) -> None:
        """Another hour. Raises -1125."""
        self._find(account, key).extend()

    def close(self, account: str, key: str) -> None:
        """Nothing more comes on that stream. Raises -1125."""
        self._remove(account, self._find(account, key))

    def _find(self, account: str, key: str) -> _ListenKey:
        current = self._keys.get(account)
        if current is None or current.key != key or not current.is_valid:
            raise errors.unknown_listen_key()
        return current

    def _remove(self, account: str, current: _ListenKey) -> None:
        del self._keys[account]
        self._user_data.unsubscribe(account, current, None, self._now_ms() * _NS_PER_MS, announce=False)
