"""Where the mid stands after a fill."""

from __future__ import annotations

import pytest

from mmd.execution.markout import MarkoutMeter
from mmd.types.market import Side
from mmd.types.orders import Fill

SYMBOL = "BTCUSDT"
MS = 1_000_000
SECOND = 1_000 * MS


def fill(side: Side, price_ticks: int, at_ns: int, symbol: str = SYMBOL) -> Fill:
    return Fill(at_ns, symbol, 1, "mmd-e1-1", 1, side, price_ticks, 1, 0, "USDT", True, at_ns)


@pytest.mark.parametrize("side", Side)
def test_positive_is_good_for_the_maker(side: Side) -> None:
    meter = MarkoutMeter()
    meter.on_fill(fill(side, 10_000, 0), 2 * (10_000 + side.sign * 5))
    for at_ns, move in ((100 * MS, 3), (1 * SECOND, 0), (10 * SECOND, -4), (60 * SECOND, -20)):
        meter.on_mid(at_ns, SYMBOL, 2 * (10_000 + side.sign * move))
    assert meter.mean_bps(SYMBOL) == {"0s": 5.0, "0.1s": 3.0, "1s": 0.0, "10s": -4.0, "60s": -20.0}
    assert meter.pending(SYMBOL) == 0


def test_the_mid_is_the_one_that_stood_at_the_horizon() -> None:
    meter = MarkoutMeter((1.0,))
    meter.on_fill(fill(Side.BUY, 10_000, 0), 20_000)
    meter.on_mid(900 * MS, SYMBOL, 20_002)
    meter.on_mid(1_500 * MS, SYMBOL, 20_200)
    assert meter.mean_bps(SYMBOL)["1s"] == 1.0


def test_means_are_over_fills_and_by_symbol() -> None:
    meter = MarkoutMeter((1.0,))
    meter.on_fill(fill(Side.BUY, 10_000, 0), 20_000)
    meter.on_fill(fill(Side.SELL, 10_000, 0), 20_000)
    meter.on_fill(fill(Side.BUY, 10_000, 0, "ETHUSDT"), 20_000)
    meter.on_mid(1 * SECOND, SYMBOL, 20_010)
    assert meter.mean_bps(SYMBOL) == {"0s": 0.0, "1s": 0.0}
    assert meter.counts(SYMBOL) == {"0s": 2, "1s": 2}
    assert meter.counts("ETHUSDT") == {"0s": 1, "1s": 0}
    assert meter.mean_bps("XRPUSDT") == meter.counts("XRPUSDT") == {}
    assert meter.pending("XRPUSDT") == 0


def test_without_a_mid_nothing_is_measured() -> None:
    meter = MarkoutMeter((1.0, 10.0))
    meter.on_fill(fill(Side.BUY, 10_000, 0), 20_000)
    meter.on_invalid(500 * MS, SYMBOL)
    meter.on_mid(5 * SECOND, SYMBOL, 20_400)
    meter.on_mid(10 * SECOND, SYMBOL, 20_100)
    assert meter.mean_bps(SYMBOL) == {"0s": 0.0, "10s": 50.0}
    assert meter.missed == 1
    meter.on_invalid(0, "XRPUSDT")


def test_a_late_recovered_fill_keeps_the_queues_in_order() -> None:
    meter = MarkoutMeter((1.0,))
    meter.on_fill(fill(Side.BUY, 10_000, 5 * SECOND), 20_000)
    meter.on_fill(fill(Side.BUY, 10_000, 2 * SECOND), 20_000)
    meter.on_mid(6 * SECOND, SYMBOL, 20_020)
    assert meter.counts(SYMBOL)["1s"] == 2


def test_memory_is_bounded_and_the_overflow_counted() -> None:
    meter = MarkoutMeter(max_pending=40)
    for number in range(1_000):
        meter.on_fill(fill(Side.BUY, 10_000, number), 20_000)
    assert (meter.pending(SYMBOL), meter.overflow) == (40, 990)
    meter.on_mid(1_000 * SECOND, SYMBOL, 20_000)
    assert meter.pending(SYMBOL) == 0
    assert meter.counts(SYMBOL)["60s"] == 10


@pytest.mark.parametrize("horizons", [(), (0.0, 1.0), (1.0, 0.1), (1.0, 1.0)])
def test_horizons_that_make_no_sense_are_refused(horizons: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above zero and growing"):
        MarkoutMeter(horizons)


def test_spread_captured_and_adverse_selection_as_money() -> None:
    meter = MarkoutMeter((1.0,))
    bought = Fill(0, SYMBOL, 1, "mmd-e1-1", 1, Side.BUY, 9_998, 3, 0, "USDT", True, 0)
    sold = Fill(0, SYMBOL, 2, "mmd-e1-2", 2, Side.SELL, 10_001, 2, 0, "USDT", True, 0)
    meter.on_fill(bought, 20_000)
    meter.on_fill(sold, 20_000)
    assert meter.captured_and_drift(SYMBOL, "1s") == (3 * 2 + 2 * 1, 0.0)
    meter.on_mid(1 * SECOND, SYMBOL, 19_994)
    assert meter.captured_and_drift(SYMBOL, "1s") == (8.0, -3 * 3 + 2 * 3)
    assert meter.against(SYMBOL) == {"0s": 0.0, "1s": 0.5}
    assert meter.against("XRPUSDT") == {}
    assert meter.captured_and_drift("XRPUSDT", "1s") == (0.0, 0.0)
    with pytest.raises(ValueError):
        meter.captured_and_drift(SYMBOL, "2s")
