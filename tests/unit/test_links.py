"""What stands outside the site, and so is not looked at when it is built: the links of the README and the changelog."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    links = LINK.findall((PROJECT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_the_readme_is_one_screen() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 60
