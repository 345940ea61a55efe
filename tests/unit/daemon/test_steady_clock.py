"""The daemon's clock: UTC, and never set back with the machine's."""

from __future__ import annotations

import importlib
import time

import pytest

from mmd.daemon import steady_clock, venue
from mmd.daemon.settings import Settings

SECOND_NS = 1_000_000_000


def test_it_shows_utc() -> None:
    before = time.time_ns()
    assert abs(steady_clock.utc_ns() - before) < 3_600 * SECOND_NS


def test_it_does_not_follow_the_machines_clock_back_nor_forth(monkeypatch: pytest.MonkeyPatch) -> None:
    true = time.time_ns
    clock = importlib.reload(steady_clock)
    readings = [clock.utc_ns()]
    for step_seconds in (-3_600, 3_600):
        monkeypatch.setattr(time, "time_ns", lambda step_seconds=step_seconds: true() + step_seconds * SECOND_NS)
        readings.append(clock.utc_ns())
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] < 600 * SECOND_NS


def test_adapters_are_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are stamped by the clock that measures the distance to the venue's: there must not be two."""
    given = {}

    def factory(*_arguments: object, **named: object) -> object:
        given.update(named)
        return object()

    monkeypatch.setattr(venue, "adapter_factory", lambda _name: factory)
    venue.make_adapter(Settings(), lambda _error: None)
    assert given["clock_ns"] is venue.utc_ns
