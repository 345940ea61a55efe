"""One daemon quotes several symbols of one account at once; the long form quotes ten for five minutes and writes the evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.ten_symbols import SYMBOLS, page, run

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "ten-symbols.md"


@pytest.mark.parametrize(
    ("count", "seconds"),
    [
        pytest.param(3, 60.0, marks=pytest.mark.timeout(150)),
        pytest.param(10, 300.0, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
    ids=["three", "ten"],
)
def test_every_symbol_is_quoted_and_nothing_is_left_behind(tmp_path: Path, count: int, seconds: float) -> None:
    result = run(SYMBOLS[:count], seconds, tmp_path, as_seen=count < len(SYMBOLS))
    summary = result["summary"]
    assert set(result["symbols"]) == set(SYMBOLS[:count])
    for symbol, line in result["symbols"].items():
        assert line["ticks"] > 0, symbol
        assert line["steps"] > 0, symbol
        assert line["quotes"] > 0, symbol
        assert line["predictions"], f"{symbol} has networks of its own"
        assert result["one_sided"][symbol] > 0, f"an order of {symbol} stood"
    assert summary["sequence_gaps"] == 0
    assert summary["halted"] is False, summary["halt_reason"]
    assert summary["open_orders_at_exit"] == 0
    assert result["exit_code"] == 0
    if count == len(SYMBOLS):
        assert result["resident_last"] < 1.2 * result["resident_first"] + 20e6, "memory does not grow with time"
        EVIDENCE.write_text(page(result, seconds))
