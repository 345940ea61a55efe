"""Bans: two minutes at first, doubled for who does not learn, three days at most."""

from __future__ import annotations

import pytest

from mmd.mock.server.config import RateLimits
from mmd.mock.server.errors import WireError
from mmd.mock.server.rate_limits import RateLimiter

_DAY_MS = 86_400_000


def test_bans_double_up_to_three_days():
    limiter = RateLimiter(RateLimits(weight_per_minute=1, refusals_before_ban=1))
    now_ms = 20_000 * _DAY_MS
    lengths = []
    for _ in range(14):
        limiter.charge("here", 1, now_ms)
        with pytest.raises(WireError) as refused:
            limiter.charge("here", 1, now_ms)
        assert (refused.value.status, refused.value.retry_at_ms) == (429, now_ms + 60_000)
        with pytest.raises(WireError) as banned:
            limiter.charge("here", 1, now_ms)
        assert banned.value.status == 418
        assert banned.value.retry_at_ms is not None
        lengths.append(banned.value.retry_at_ms - now_ms)
        with pytest.raises(WireError) as still:
            limiter.charge("here", 1, banned.value.retry_at_ms - 1)
        assert still.value.status == 418
        limiter.charge("elsewhere", 1, now_ms)
        # The ban ends on the minute, so that nothing is used any more.
        now_ms = banned.value.retry_at_ms
        now_ms += -now_ms % 60_000
    assert lengths[:3] == [120_000, 240_000, 480_000]
    assert lengths[-2:] == [3 * _DAY_MS] * 2


def test_addresses_are_bounded():
    limiter = RateLimiter(RateLimits())
    for number in range(10_500):
        limiter.charge(f"address-{number}", 1, 0)
    assert limiter.used_weight("address-10499", 0) == 1
    assert limiter.used_weight("address-0", 0) == 0
