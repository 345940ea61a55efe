"""Limits cannot be switched off, and an unknown one is an error."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from mmd.risk.limits import RiskLimits

LIMIT_NAMES = [name for name in RiskLimits.model_fields if name != "day_start_hour_utc"]


@pytest.mark.parametrize("name", LIMIT_NAMES)
@pytest.mark.parametrize("value", [0, -1, "inf", "-inf", "nan", None, "off"])
def test_no_limit_can_be_switched_off(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        RiskLimits.model_validate({name: value})


@pytest.mark.parametrize("name", LIMIT_NAMES)
def test_every_default_is_above_zero_and_described(name: str) -> None:
    assert getattr(RiskLimits(), name) > 0
    assert RiskLimits.model_fields[name].description


def test_an_unknown_limit_is_an_error() -> None:
    with pytest.raises(ValidationError, match="max_positon_notional"):
        RiskLimits.model_validate({"max_positon_notional": 5})


def test_a_limit_that_rounds_to_nothing_is_an_error() -> None:
    with pytest.raises(ValidationError, match="finer than"):
        RiskLimits(max_daily_loss=Decimal("1e-9"))


def test_the_lag_window_must_outlast_the_longest_pause() -> None:
    with pytest.raises(ValidationError, match="feed_lag_window_seconds"):
        RiskLimits(feed_lag_window_seconds=100, max_pause_seconds=100)


def test_limits_are_frozen() -> None:
    with pytest.raises(ValidationError):
        RiskLimits().max_open_orders = 5  # type: ignore[misc]
