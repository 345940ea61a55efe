from __future__ import annotations

from pathlib import Path

import pytest

from mmd.daemon.reference import PAGES, write_pages

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_code_says(name: str) -> None:
    committed = (PROJECT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert committed == PAGES[name](), "run `make docs`"


def test_pages_are_written(tmp_path: Path) -> None:
    write_pages(tmp_path / "reference")
    assert {path.name for path in (tmp_path / "reference").iterdir()} == set(PAGES)
    assert "`risk.max_daily_loss`<br>`MMD_RISK__MAX_DAILY_LOSS`" in (tmp_path / "reference" / "settings.md").read_text()
    assert "## mmd halt" in (tmp_path / "reference" / "command-line.md").read_text()
