"""Counting of requests, weight and unfilled orders in calendar-aligned intervals, and the bans of those who do not listen."""

from __future__ import annotations

import msgspec

from mmd.mock.server import errors
from mmd.mock.server.config import RateLimits

_MINUTE_MS = 60_000
_TEN_SECONDS_MS = 10_000
_FIVE_MINUTES_MS = 300_000
_DAY_MS = 86_400_000
_LONGEST_BAN_MS = 3 * _DAY_MS
_MAX_ADDRESSES = 10_000


class RateLimitLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One limit, as `exchangeInfo` (without a count) and the WebSocket API's replies (with it) list it."""

    rateLimitType: str
    interval: str
    intervalNum: int
    limit: int
    count: int | None = None


class _Counter:
    """Usage within the current interval."""

    __slots__ = ("_interval_ms", "_started_ms", "limit", "used")

    def __init__(self, limit: int, interval_ms: int) -> None:
        self.limit = limit
        self.used = 0
        self._interval_ms = interval_ms
        self._started_ms = -1

    def roll(self, now_ms: int) -> None:
        started = now_ms - now_ms % self._interval_ms
        if started != self._started_ms:
            self._started_ms = started
            self.used = 0

    @property
    def ends_ms(self) -> int:
        return self._started_ms + self._interval_ms


class _Address:
    """What one address has used."""

    __slots__ = ("banned_until_ms", "bans", "connections", "refusals", "requests", "weight")

    def __init__(self, limits: RateLimits) -> None:
        self.weight = _Counter(limits.weight_per_minute, _MINUTE_MS)
        self.requests = _Counter(limits.requests_per_5_minutes, _FIVE_MINUTES_MS)
        self.connections = _Counter(limits.connections_per_5_minutes, _FIVE_MINUTES_MS)
        self.refusals = _Counter(limits.refusals_before_ban, _MINUTE_MS)
        self.bans = 0
        self.banned_until_ms = 0


class _Account:
    __slots__ = ("day", "ten_seconds")

    def __init__(self, limits: RateLimits) -> None:
        self.ten_seconds = _Counter(limits.orders_per_10_seconds, _TEN_SECONDS_MS)
        self.day = _Counter(limits.orders_per_day, _DAY_MS)


class RateLimiter:
    """All counts of the venue. Times are the venue's, in ms."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits
        self._addresses: dict[str, _Address] = {}
        self._accounts: dict[str, _Account] = {}

    def charge(self, address: str, weight: int, now_ms: int) -> None:
        """Count one request of that weight. Raises -1003 (429 or 418) where the address has used up its own."""
        usage = self._address(address, now_ms)
        if now_ms < usage.banned_until_ms:
            raise errors.banned(usage.banned_until_ms)
        usage.requests.used += 1
        if usage.requests.used > usage.requests.limit:
            self._refuse(usage, now_ms)
            raise errors.too_many_requests(usage.requests.limit, usage.requests.ends_ms)
        if usage.weight.used + weight > usage.weight.limit:
            self._refuse(usage, now_ms)
            raise errors.too_much_weight(usage.weight.limit, usage.weight.ends_ms)
        usage.weight.used += weight

    def refund(self, address: str, weight: int, now_ms: int) -> None:
        """An order operation succeeded: it weighs nothing."""
        usage = self._address(address, now_ms)
        usage.weight.used = max(0, usage.weight.used - weight)

    def connect(self, address: str, weight: int, now_ms: int) -> None:
        """Count a connection attempt, and its weight. Raises -1003 for a banned address, and where there were too many."""
        usage = self._address(address, now_ms)
        if now_ms < usage.banned_until_ms:
            raise errors.banned(usage.banned_until_ms)
        usage.connections.used += 1
        usage.weight.used += weight
        if usage.connections.used > usage.connections.limit:
            raise errors.too_many_connections(usage.connections.limit, usage.connections.ends_ms)

    def check_order(self, account: str, now_ms: int) -> None:
        """Raises -1015 where one more order would exceed a limit."""
        usage = self._account(account, now_ms)
        if usage.ten_seconds.used >= usage.ten_seconds.limit:
            raise errors.too_many_orders(usage.ten_seconds.limit, 10, "S", usage.ten_seconds.ends_ms)
        if usage.day.used >= usage.day.limit:
            raise errors.too_many_orders(usage.day.limit, 1, "D", usage.day.ends_ms)

    def count_order(self, account: str, now_ms: int) -> None:
        """An order was placed."""
        usage = self._account(account, now_ms)
        usage.ten_seconds.used += 1
        usage.day.used += 1

    def credit_first_fill(self, account: str, now_ms: int, *, is_maker: bool) -> None:
        """An order traded for the first time: the account's counts sink, never below zero."""
        usage = self._account(account, now_ms)
        credit = self._limits.maker_fill_credit if is_maker else 1
        usage.ten_seconds.used = max(0, usage.ten_seconds.used - credit)
        usage.day.used = max(0, usage.day.used - credit)

    def used_weight(self, address: str, now_ms: int) -> int:
        """Weight used by the address in this minute."""
        return self._address(address, now_ms).weight.used

    def order_counts(self, account: str, now_ms: int) -> tuple[int, int]:
        """Unfilled orders of the account in these 10 s and this day."""
        usage = self._account(account, now_ms)
        return usage.ten_seconds.used, usage.day.used

    def order_lines(self, account: str, now_ms: int) -> list[RateLimitLine]:
        """The account's order limits with their counts."""
        ten_seconds, day = self.order_counts(account, now_ms)
        return [
            RateLimitLine("ORDERS", "SECOND", 10, self._limits.orders_per_10_seconds, ten_seconds),
            RateLimitLine("ORDERS", "DAY", 1, self._limits.orders_per_day, day),
        ]

    def weight_line(self, address: str, now_ms: int) -> RateLimitLine:
        """The address's weight limit with its count."""
        return RateLimitLine("REQUEST_WEIGHT", "MINUTE", 1, self._limits.weight_per_minute, self.used_weight(address, now_ms))

    def _refuse(self, usage: _Address, now_ms: int) -> None:
        usage.refusals.used += 1
        if usage.refusals.used > usage.refusals.limit:
            usage.banned_until_ms = now_ms + min(_LONGEST_BAN_MS, self._limits.first_ban_seconds * 1000 * 2**usage.bans)
            usage.bans = min(usage.bans + 1, 12)
            usage.refusals.used = 0
            raise errors.banned(usage.banned_until_ms)

    def _address(self, address: str, now_ms: int) -> _Address:
        usage = self._addresses.get(address)
        if usage is None:
            if len(self._addresses) >= _MAX_ADDRESSES:
                self._addresses.pop(next(iter(self._addresses)))
            usage = self._addresses[address] = _Address(self._limits)
        for counter in (usage.weight, usage.requests, usage.connections, usage.refusals):
            counter.roll(now_ms)
        return usage

    def _account(self, account: str, now_ms: int) -> _Account:
        usage = self._accounts.get(account)
        if usage is None:
            usage = self._accounts[account] = _Account(self._limits)
        usage.ten_seconds.roll(now_ms)
        usage.day.roll(now_ms)
        return usage


def limit_lines(limits: RateLimits) -> list[RateLimitLine]:
    """The limits without counts, for `exchangeInfo`."""
    return [
        RateLimitLine("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_per_minute),
        RateLimitLine("ORDERS", "SECOND", 10, limits.orders_per_10_seconds),
        RateLimitLine("ORDERS", "DAY", 1, limits.orders_per_day),
        RateLimitLine("RAW_REQUESTS", "MINUTE", 5, limits.requests_per_5_minutes),
    ]
