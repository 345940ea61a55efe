from __future__ import annotations

from pathlib import Path

import pytest

from mmd.reference import PAGES, write_pages

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "reference"
    write_pages(folder)
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_the_committed_page_is_what_the_code_says(name: str, made: Path) -> None:
    committed = (PROJECT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert committed == (made / name).read_text(encoding="utf-8"), "run `make docs`"


def test_pages_are_written(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == set(PAGES)
    assert "`risk.max_daily_loss`<br>`MMD_RISK__MAX_DAILY_LOSS`" in (made / "settings.md").read_text()
    assert "## mmd halt" in (made / "command-line.md").read_text()
    assert "## mmd mock fault on" in (made / "command-line.md").read_text()
