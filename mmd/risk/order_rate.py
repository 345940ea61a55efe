"""How many orders we send: our own sliding windows (10 s, 24 h) and the venue's count of unfilled orders.

Counts survive restarts without being written for every order: a checkpoint counts `order_count_reserve` orders ahead, and what is
left of the reserve at a crash is lost, never won. The day slides by whole hours, the venue's intervals are aligned to the calendar.
"""

from __future__ import annotations

from collections import deque
from typing import Final, TypedDict

from mmd.risk.limits import NS_PER_SECOND, RiskLimits
from mmd.types.orders import OrderBudgetReport

_SHORT_WINDOW_NS: Final = 10 * NS_PER_SECOND
_HOUR_NS: Final = 3_600 * NS_PER_SECOND
_HOURS_KEPT: Final = 24
_VENUE_INTERVALS_KEPT: Final = 8


class OrderRateState(TypedDict):
    """Checkpoint: orders of the last 10 s (a number), and [hour since 1970, orders] of the last day, reserve included."""

    recent: int
    hours: list[list[int]]


class _VenueCount:
    """The venue's newest word on one interval, and what we sent since."""

    __slots__ = ("allowed", "period", "since", "used")

    def __init__(self, used: int, allowed: int, period: int) -> None:
        self.used = used
        self.allowed = allowed
        self.period = period
        self.since = 0


class OrderRateBudget:
    """`allows` before an order, `record` when it is sent, `persist_due` then says whether a checkpoint must be written first."""

    __slots__ = (
        "_day_count", "_day_limit", "_fraction", "_hours", "_now_ns", "_recent", "_reserve", "_reserved", "_restored",
        "_short_limit", "_slid_ns", "_venue", "total",
    )  # fmt: skip

    def __init__(self, limits: RiskLimits) -> None:
        self._short_limit = limits.max_orders_per_10s
        self._day_limit = limits.max_orders_per_day
        self._fraction = limits.max_venue_order_fraction
        self._reserve = limits.order_count_reserve
        self._reserved = 0
        self._restored = 0
        self._now_ns = 0
        self._slid_ns = -1
        self._recent: deque[int] = deque(maxlen=self._short_limit)
        self._hours: deque[list[int]] = deque()
        self._day_count = 0
        self._venue: dict[int, _VenueCount] = {}
        self.total = 0
        """Orders recorded by this process."""

    def allows(self, now_ns: int, count: int = 1) -> bool:
        """Whether `count` more orders stay within `max_orders_per_10s` and `max_orders_per_day`."""
        self._slide(now_ns)
        return len(self._recent) + count <= self._short_limit and self._day_count + count <= self._day_limit

    def venue_allows(self, now_ns: int, count: int = 1) -> bool:
        """Whether the venue's unfilled-order count leaves room, as far as it has told us."""
        for interval_ns, venue in self._venue.items():
            if now_ns // interval_ns <= venue.period and venue.used + venue.since + count > venue.allowed:
                return False
        return True

    def pressure(self, now_ns: int) -> float:
        """Largest share of any order limit in use, ours or the venue's, 0 to 1 and above: what pacing goes by."""
        self._slide(now_ns)
        pressure = len(self._recent) / self._short_limit
        if self._day_count / self._day_limit > pressure:
            pressure = self._day_count / self._day_limit
        for interval_ns, venue in self._venue.items():
            if now_ns // interval_ns <= venue.period:
                pressure = max(pressure, (venue.used + venue.since) / venue.allowed)
        return pressure

    def used_share(self, now_ns: int) -> float:
        """As `pressure`, but nothing slides: a report may come before an event of an earlier time."""
        recent = self._restored + sum(1 for sent_ns in self._recent if sent_ns > now_ns - _SHORT_WINDOW_NS)
        shares = [recent / self._short_limit, self._day_count / self._day_limit]
        for interval_ns, venue in self._venue.items():
            if now_ns // interval_ns <= venue.period:
                shares.append((venue.used + venue.since) / venue.allowed)
        return max(shares)

    def record(self, now_ns: int, count: int = 1) -> None:
        """`count` orders are about to be written (a replacement is one, an amend and a cancel are none)."""
        self._slide(now_ns)
        hour = self._now_ns // _HOUR_NS
        if not self._hours or self._hours[-1][0] != hour:
            self._hours.append([hour, 0])
        self._hours[-1][1] += count
        self._day_count += count
        if count == 1:
            self._recent.append(self._now_ns)
        else:
            self._recent.extend([self._now_ns] * min(count, self._short_limit))
        self._reserved -= count
        self.total += count
        for venue in self._venue.values():
            venue.since += count

    def on_venue_report(self, report: OrderBudgetReport) -> None:
        """The venue's own count. Nonsense (no limit, no interval) is an error."""
        if report.limit <= 0 or report.interval_ns <= 0 or report.used < 0:
            raise ValueError(f"order budget report makes no sense: {report}; expected limit and interval above zero")
        if report.interval_ns not in self._venue and len(self._venue) >= _VENUE_INTERVALS_KEPT:
            raise ValueError(f"order budget report for a {_VENUE_INTERVALS_KEPT + 1}th interval: {report}")
        allowed = max(1, int(report.limit * self._fraction))
        self._venue[report.interval_ns] = _VenueCount(report.used, allowed, report.receive_ns // report.interval_ns)

    @property
    def persist_due(self) -> bool:
        """More orders were recorded than the last checkpoint counted ahead: write one before these orders leave."""
        return self._reserved < 0

    def used(self, now_ns: int) -> tuple[int, int]:
        """Orders in the last 10 s and in the last day."""
        self._slide(now_ns)
        return len(self._recent), self._day_count

    def state(self) -> OrderRateState:
        """The checkpoint. Call it only to write it to disk: it renews the reserve."""
        if self._reserved < 0:
            self._reserved = self._reserve
        hours = [list(bucket) for bucket in self._hours]
        if self._reserved:
            hour = self._now_ns // _HOUR_NS
            if not hours or hours[-1][0] != hour:
                hours.append([hour, 0])
            hours[-1][1] += self._reserved
        return {"recent": len(self._recent) + self._restored + self._reserved, "hours": hours}

    def restore(self, state: OrderRateState) -> None:
        """Take up a checkpoint. Its last 10 s count from the first moment seen hereafter. Raises ValueError for a damaged one."""
        hours, recent = state["hours"], state["recent"]
        if recent < 0 or any(len(bucket) != 2 or bucket[1] < 0 for bucket in hours):
            raise ValueError(f"order-rate checkpoint is damaged: {state}")
        self._hours = deque(sorted(list(bucket) for bucket in hours))
        self._day_count = sum(bucket[1] for bucket in self._hours)
        self._recent.clear()
        self._restored = min(recent, self._short_limit)
        self._reserved = 0
        self._slid_ns = -1

    def _slide(self, now_ns: int) -> None:
        if now_ns <= self._slid_ns:
            return
        if now_ns > self._now_ns:
            self._now_ns = now_ns
        self._slid_ns = self._now_ns
        if self._restored:
            self._recent.extend([self._now_ns] * self._restored)
            self._restored = 0
        oldest = self._now_ns - _SHORT_WINDOW_NS
        recent = self._recent
        while recent and recent[0] <= oldest:
            recent.popleft()
        first_hour = self._now_ns // _HOUR_NS - _HOURS_KEPT
        while self._hours and self._hours[0][0] < first_hour:
            self._day_count -= self._hours.popleft()[1]
