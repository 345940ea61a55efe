"""Prints that are off by so many bps, and a book that is not."""

from __future__ import annotations

import json

import pytest

from mmd.mock.faults.corruption import drifted
from mmd.mock.faults.kinds import parse_fault

TRADE = b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":5,"p":"60000.01000000","q":"0.01","m":true}}'


@pytest.mark.parametrize(("bps", "price"), [(100.0, "60600.01000000"), (-50.0, "59700.01000000"), (0.0, "60000.01000000")])
def test_the_price_moves_and_nothing_else(bps: float, price: str) -> None:
    before, after = json.loads(TRADE)["data"], json.loads(drifted(TRADE, bps))["data"]
    assert after == {**before, "p": price}


def test_frames_without_a_print_stay_what_they_are() -> None:
    touch = b'{"u":1,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}'
    assert drifted(touch, 100.0) == touch


def test_it_befalls_trades_alone() -> None:
    assert [kind.value for kind in parse_fault({"kind": "drift_trades"}).frames] == ["trade"]  # type: ignore[attr-defined]
