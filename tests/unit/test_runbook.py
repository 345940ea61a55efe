"""The runbook has a section for each alert, and none for what does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from mmd.daemon.metrics import METRICS
from mmd.daemon.settings_sources import known_fields
from mmd.types.control import PauseReason

PROJECT = Path(__file__).resolve().parents[2]
RUNBOOK = (PROJECT / "docs" / "runbook.md").read_text(encoding="utf-8")
RULES = (PROJECT / "deploy" / "prometheus" / "rules.yml").read_text(encoding="utf-8")
ALERTS = re.findall(r"^ *- alert: (\w+)$", RULES, re.MULTILINE)
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    assert len(ALERTS) > 20
    assert list(SECTIONS) == ALERTS, "the sections stand in the order of the rules"


def test_every_section_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    for name, text in SECTIONS.items():
        assert re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) == ["Means", "Look at", "Do"], name


def test_an_alert_leads_to_its_section() -> None:
    links = re.findall(r"runbook_url: \S*runbook(?:\.md|/)#(\w+)$", RULES, re.MULTILINE)
    assert links == [name.lower() for name in ALERTS]


def test_settings_and_metrics_that_it_names_exist() -> None:
    settings = {".".join(key) for key, _ in known_fields()}
    named = set(re.findall(r"`([a-z]+\.[a-z_.]+)`", RUNBOOK))
    assert len(named) > 20
    assert named <= settings
    metrics = {metric.name for metric in METRICS} | {"mmd_guard_daemon", "mmd_guard_market_clear"}
    assert set(re.findall(r"`(mmd_[a-z_]+)", RUNBOOK)) <= metrics


def test_every_pause_stands_in_the_table_of_pauses() -> None:
    rows = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", SECTIONS["PausedLong"], re.MULTILINE))))
    assert rows == {reason.value for reason in PauseReason}
