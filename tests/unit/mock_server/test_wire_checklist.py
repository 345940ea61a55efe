"""The checklist of the mock exchange's wire names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
CHECKLIST = ROOT / "docs" / "evidence" / "mock-exchange.md"


def test_every_test_that_the_checklist_names_exists():
    named = re.findall(r"`(tests/[^`]+)`", CHECKLIST.read_text())
    assert len(named) > 60
    for each in named:
        path, _, name = each.partition("::")
        assert (ROOT / path).is_file(), each
        assert not name or re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), each
