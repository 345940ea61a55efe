"""What the documentation says of speed is what its evidence says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmd.benchmark.table import evidence_of, rewritten, section, table

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanation" / "performance.md"


def test_the_page_shows_its_evidence_as_it_is() -> None:
    page = PAGE.read_text()
    evidence = evidence_of(page)
    runs = [json.loads((ROOT / name).read_text()) for name in evidence.split()]
    assert section(evidence, *runs) in page, f"run: python -m mmd.benchmark.table {PAGE.relative_to(ROOT)} {evidence}"


def test_a_figure_is_held_or_it_is_not_and_one_that_is_missing_is_left_out() -> None:
    text = table(
        {"features_us": {"p50": 3.01, "p99": 9.0}, "inference_us": {"p50": 20.0, "p99": 300.4}, "messages_per_second": 39_999}
    )
    assert "| 32 market features (the hold is for 20), one update, in its place in a tick, µs | 3.01 | 9 | ≤ 3 | **no** |" in text
    assert "| 20 | 300 | ≤ 20 | yes |" in text
    assert "| 39,999 |  | ≥ 40,000 | **no** |" in text
    assert "echo" not in text


def test_each_core_is_held_to_its_own_column() -> None:
    figures = {"hot_without_inference_us": {"p50": 9.0, "p99": 20.0}, "messages_per_second": 160_000}
    text = table({**figures, "core": "pure"}, {**figures, "core": "compiled", "messages_per_second": 140_000})
    assert "| 9 | 20 | ≤ 20 | yes | 9 | 20 | ≤ 8 | **no** |" in text
    assert "| 160,000 |  | ≥ 40,000 | yes | 140,000 |  | ≥ 150,000 | **no** |" in text


def test_a_page_without_a_section_is_refused() -> None:
    with pytest.raises(ValueError, match="bench: FILE"):
        rewritten("# Nothing here\n", "a.json", {})
    with pytest.raises(ValueError, match="bench: FILE"):
        evidence_of("# Nothing here\n")
