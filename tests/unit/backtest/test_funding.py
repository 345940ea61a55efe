"""Funding worked out by hand: who pays whom, of which position, at which mark; a whole run over a settlement."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmd.backtest.attribution import split_pnl
from mmd.backtest.errors import BacktestError
from mmd.backtest.funding import INTERVAL_NS, FundingPoint, funding_points, payment_atoms
from mmd.backtest.options import parse_options
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from tests.unit.backtest.synthetic import COIN, MS, SECOND, HandMadeMarket, Session

BTC = msgspec.structs.replace(Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.1", lot_size="0.001"), perpetual=True)
NOON = 1_680_652_800 * SECOND  # 2023-04-05 00:00 UTC
PERPETUAL = msgspec.structs.replace(COIN, perpetual=True)


def test_a_long_pays_and_a_short_receives_the_rate_of_its_value_at_the_mark() -> None:
    # 0.250 BTC at a mark of 28,142.1 USDT is worth 7,035.525 USDT; 0.0001 of it is 0.7035525 USDT.
    assert payment_atoms(BTC, 250, 281_421, Decimal("0.0001")) == -70_355_250
    assert payment_atoms(BTC, -250, 281_421, Decimal("0.0001")) == 70_355_250
    assert payment_atoms(BTC, 250, 281_421, Decimal("-0.0001")) == 70_355_250
    assert payment_atoms(BTC, 0, 281_421, Decimal("0.0001")) == 0


def marks(path: Path, *rows: tuple[int, str, str, int]) -> Path:
    with gzip.open(path, "wb") as file:
        for at_ms, mark, rate, due_ms in rows:
            data = {"e": "markPriceUpdate", "E": at_ms, "s": "BTCUSDT", "p": mark, "r": rate, "T": due_ms}
            frame = json.dumps({"stream": "btcusdt@markPrice@1s", "data": data}, separators=(",", ":"))
            file.write(f"{at_ms * 1_000_000} {frame}\n".encode())
    return path


def test_recorded_marks_say_rate_and_mark_and_the_last_before_the_settlement_counts(tmp_path: Path) -> None:
    noon_ms = NOON // MS
    later_ms = noon_ms + INTERVAL_NS // MS
    path = marks(
        tmp_path / "a.gz",
        (noon_ms - 2_000, "28140.0", "0.0002", noon_ms),
        (noon_ms - 1_000, "28142.1", "0.0001", noon_ms),
        (noon_ms + 1_000, "28150.0", "0.0003", later_ms),
    )
    offset = -1_500 * MS
    (point,) = funding_points(BTC, [path], NOON - 5 * SECOND, NOON + 5 * SECOND, offset, None)
    assert point == FundingPoint("BTCUSDT", NOON, NOON + offset, Decimal("0.0001"), pytest.approx(281_421), True)
    (told,) = funding_points(BTC, [path], NOON - 5 * SECOND, NOON + 5 * SECOND, offset, Decimal("0.0005"))
    assert told.rate == Decimal("0.0005")
    assert told.recorded


def test_without_marks_it_is_the_mid_and_the_rate_that_was_told(tmp_path: Path) -> None:
    points = funding_points(BTC, [tmp_path / "BTC.book.parquet"], NOON - 1, NOON + INTERVAL_NS, 0, Decimal("0.0001"))
    assert [(point.exchange_ns, point.rate, point.mark_ticks) for point in points] == [
        (NOON, Decimal("0.0001"), None),
        (NOON + INTERVAL_NS, Decimal("0.0001"), None),
    ]
    (silent,) = funding_points(BTC, [], NOON - 1, NOON + 1, 0, None)
    assert silent.rate == 0
    spot = msgspec.structs.replace(BTC, perpetual=False)
    assert not funding_points(spot, [], NOON - 1, NOON + 1, 0, Decimal("0.0001"))


def test_a_mark_that_makes_no_sense_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b'1680652800000000000 {"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","s":"BTCUSDT"}}\n')
    with pytest.raises(BacktestError, match=r"a\.gz, line 1: a mark price"):
        funding_points(BTC, [tmp_path / "a.gz"], NOON - 1, NOON + 1, 0, None)


@pytest.mark.parametrize(("text", "rate"), [("0.01%", "0.0001"), ("0.0001", "0.0001"), ("-0.01%", "-0.0001")])
def test_a_rate_is_a_fraction_or_a_percentage(text: str, rate: str) -> None:
    assert parse_options(strategy="fixed", funding_rate=text).funding_rate == Decimal(rate)


@pytest.mark.parametrize("text", ["much", "5%", "nan"])
def test_a_rate_that_is_a_slip_is_an_error(text: str) -> None:
    with pytest.raises(BacktestError, match="funding rate"):
        parse_options(strategy="fixed", funding_rate=text)


def held_over_a_settlement(rate: str, at_ms: float) -> Session:
    """A bid at 9,999 ticks is filled at 3,000 ms; the settlement comes at `at_ms`; the mid stays 10,000, nothing else trades."""
    market = HandMadeMarket().snapshot(0, [(9_999, 500)], [(10_001, 500)])
    for each in range(200, 6_000, 200):
        market.levels(each, bids=[(9_999, 500 + each // 200 % 2)])
        if each == 3_000:
            market.trade(each, Side.SELL, 9_998, 2_000)
    time = HandMadeMarket._time(at_ms)
    point = FundingPoint("COINUSD", time, time, Decimal(rate), None, False)
    return Session(market, {"order_notional": 600.0}, instrument=PERPETUAL, funding=[point])


def test_a_run_books_the_payment_of_what_it_holds_and_explains_it() -> None:
    session = held_over_a_settlement("0.001", 4_000)
    bought = sum(fill.lots * fill.side.sign for fill in session.fills if fill.exchange_ns <= HandMadeMarket._time(4_000))
    assert bought > 0
    (record,) = session.recorder.tracks["COINUSD"].funding
    # The mid is 10,000 ticks of 0.01: 100 a lot, of which the rate takes 0.1.
    assert (record.lots, record.mark_ticks) == (bought, 10_000)
    assert record.payment.amount_atoms == -bought * 10_000_000
    ledger = session.trader.desks["COINUSD"].ledger
    assert ledger.funding_atoms == record.payment.amount_atoms
    split = split_pnl(session.recorder.tracks["COINUSD"])
    assert split.funding == pytest.approx(-0.1 * bought)
    assert split.unexplained == pytest.approx(0.0, abs=1e-9)
    paid = [event for event in session.told if type(event).__name__ == "FundingPaid"]
    assert len(paid) == 1
    assert paid[0].receive_ns > record.point.happens_ns


def test_what_is_bought_after_the_settlement_pays_nothing_however_soon_it_is_reported() -> None:
    assert not held_over_a_settlement("0.001", 2_999).recorder.tracks["COINUSD"].funding


def test_what_was_bought_before_it_pays_though_nobody_has_heard_of_the_fill_yet() -> None:
    session = held_over_a_settlement("0.001", 3_002)
    (record,) = session.recorder.tracks["COINUSD"].funding
    assert session.fills[0].receive_ns > record.point.happens_ns
    assert record.lots == session.fills[0].lots


def test_the_venue_states_positions_of_a_future_and_no_balance_of_its_base() -> None:
    session = held_over_a_settlement("0", 4_000)
    reports: list[Any] = [event for event in session.told if type(event).__name__ == "ReconciliationReport"]
    assert reports
    assert all(report.positions and report.margin is not None for report in reports)
    assert all({balance.asset for balance in report.balances} == {"USD"} for report in reports)
    halted = session.trader.safeguards.latch.halted
    assert not halted
