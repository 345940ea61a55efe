"""Alert rules and dashboards name metrics that are exported, and each alert has what a person needs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmd.daemon.guard_port import GUARD_METRICS
from mmd.daemon.metric_table import METRICS

ROOT = Path(__file__).resolve().parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
TESTED = [each["name"] for each in yaml.safe_load((ROOT / "deploy/prometheus/rules_test.yml").read_text(encoding="utf-8"))["tests"]]
RUNBOOK = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
DASHBOARDS = {
    path.name: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")
}
EXPORTED = {metric.name: metric for metric in (*METRICS, *GUARD_METRICS)}
OF_PROMETHEUS = {"instance", "job", "le"}


def expressions() -> list[tuple[str, str]]:
    found = [(rule["alert"], rule["expr"]) for rule in RULES]
    for name, board in DASHBOARDS.items():
        found += [(f"{name}: {panel['title']}", each["expr"]) for panel in board["panels"] for each in panel["targets"]]
        found += [(f"{name}: {each['name']}", each["expr"]) for each in board["annotations"]["list"]]
    return found


def test_every_metric_and_label_that_is_asked_for_is_exported() -> None:
    asked = expressions()
    assert len(asked) > 100
    for where, expression in asked:
        for name, selector in re.findall(r"\b(mmd_[a-z_]+)(?:\{([^}]*)\})?", expression):
            bare = re.sub(r"_(bucket|sum|count)$", "", name)
            metric = EXPORTED.get(name) or EXPORTED.get(bare)
            assert metric is not None, f"{where} asks for {name}, which nobody exports"
            labels = set(re.findall(r"(\w+)\s*(?:=|!)", selector))
            assert labels <= {*metric.labels, *OF_PROMETHEUS}, f"{where}: {name} has no label {labels - set(metric.labels)}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
    assert re.search(rf"^#+ {name}$", RUNBOOK, re.MULTILINE), f"the runbook has no section {name}"
    assert {f"{name} fires", f"{name} does not fire"} <= set(TESTED)


def test_the_dashboards_are_what_the_code_makes() -> None:
    script = "import sys, json; sys.path.insert(0, sys.argv[1]); import generate; print(json.dumps(generate.dashboards()))"
    done = subprocess.run([sys.executable, "-c", script, str(ROOT / "deploy/grafana")], capture_output=True, text=True, check=True)
    made = json.loads(done.stdout)
    kept = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert made == kept, "run `make dashboards`"


def test_the_dashboards_survive_a_round_trip_through_the_foundation_sdk() -> None:
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    assert set(DASHBOARDS) == {"trading.json", "health.json", "networks.json", "risk.json"}
    for name, board in DASHBOARDS.items():
        assert json.loads(JSONEncoder().encode(Dashboard.from_json(board))) == board, name


def test_each_dashboard_links_the_runbook_and_shows_halts_and_swaps() -> None:
    for name, board in DASHBOARDS.items():
        assert any("runbook" in link["url"] for link in board["links"]), name
        assert [each["name"] for each in board["annotations"]["list"]] == ["Halts", "Networks swapped"]
        assert all(panel["description"] for panel in board["panels"])


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command",
    [
        "promtool check rules deploy/prometheus/rules.yml",
        "promtool check config --syntax-only deploy/prometheus/prometheus.yml",
        "promtool test rules deploy/prometheus/rules_test.yml",
        "amtool check-config deploy/alertmanager/alertmanager.yml",
        "amtool check-config deploy/alertmanager/alertmanager.example.yml",
    ],
)
def test_the_tools_of_prometheus_and_alertmanager_agree(command: str) -> None:
    if shutil.which(command.split()[0]) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{command.split()[0]} is missing: make setup-system")
    done = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.system
@pytest.mark.timeout(600)
def test_the_dashboards_fit_the_schema_that_grafana_publishes(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("npm is missing: make setup-system")
    folder = shutil.copytree(ROOT / "deploy/grafana/schema", tmp_path / "schema", ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({**DASHBOARDS["risk.json"], "refresh": 5}), encoding="utf-8")
    paths = [*sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")), broken]
    done = subprocess.run(["node", "check.mjs", *paths], cwd=folder, capture_output=True, text=True, check=True)
    errors = json.loads(done.stdout)
    assert errors.pop("broken.json") == ["/refresh: must be string"]
    assert errors == {name: [] for name in DASHBOARDS}
