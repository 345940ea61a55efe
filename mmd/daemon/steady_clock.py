"""UTC that is never set back: the machine's clock as it stood at the start, carried on by one that nobody sets.

Data age, time-outs, bans and order counts are differences of times. A clock that is set back in between would let old data pass for
fresh and would keep an unanswered order waiting for as long as the step. Requests are stamped by the venue's clock, whose distance
from this one is measured all the time; files that people read may be off by the step until the next start.
"""

from __future__ import annotations

import time
from time import clock_gettime_ns

# Goes on while the machine sleeps, where there is such a clock: what stood meanwhile is old then.
ELAPSED: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_UTC_AT_ZERO_NS = time.time_ns() - clock_gettime_ns(ELAPSED)


def utc_ns() -> int:
    """Nanoseconds since 1970. Of two calls the later one never gives less."""
    return _UTC_AT_ZERO_NS + clock_gettime_ns(ELAPSED)
