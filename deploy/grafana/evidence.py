"""`python deploy/grafana/evidence.py`: run every check of rules and dashboards, and write docs/evidence/dashboards.md.

What needs containers is taken from the transcript that `make test-compose` leaves in build/.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/evidence/dashboards.md"
TRANSCRIPT = ROOT / "build/compose-transcript.txt"
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))


def tool(*command: str) -> str:
    """In a word."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "passes" if done.returncode == 0 else f"fails: {(done.stdout + done.stderr).strip()[:200]}"


def schema_errors() -> dict[str, list[str]]:
    """By file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(ROOT / "deploy/grafana/schema", Path(name, "schema")))
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
        done = subprocess.run(["node", "check.mjs", *DASHBOARDS], cwd=folder, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def round_trips(board: dict[str, object]) -> bool:
    """Whether the SDK reads it and writes the same."""
    from grafana_foundation_sdk.cog import plugins
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    return bool(json.loads(JSONEncoder().encode(Dashboard.from_json(board))) == board)


def main() -> None:
    """Write the page."""
    rules = "deploy/prometheus/rules"
    alerts = (ROOT / f"{rules}.yml").read_text(encoding="utf-8").count("- alert:")
    cases = (ROOT / f"{rules}_test.yml").read_text(encoding="utf-8").count("- name:")
    rows = [
        ("promtool check rules", f"{alerts} alerts", tool("promtool", "check", "rules", f"{rules}.yml")),
        ("promtool test rules", f"{cases} cases, two an alert", tool("promtool", "test", "rules", f"{rules}_test.yml")),
        (
            "promtool check config",
            "prometheus.yml",
            tool("promtool", "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml"),
        ),
    ]
    for path in sorted((ROOT / "deploy/alertmanager").glob("*.yml")):
        rows.append(("amtool check-config", path.name, tool("amtool", "check-config", str(path))))
    errors = schema_errors()
    for path in DASHBOARDS:
        board = json.loads(path.read_text(encoding="utf-8"))
        size = f"{path.name}: {len(board['panels'])} panels, {sum(len(p['targets']) for p in board['panels'])} queries"
        rows.append(("Grafana's published schema (@grafana/schema)", size, f"{len(errors[path.name])} errors"))
        rows.append(("round trip through grafana-foundation-sdk", path.name, "the same" if round_trips(board) else "differs"))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    containers = TRANSCRIPT.read_text(encoding="utf-8").strip() if TRANSCRIPT.is_file() else "not run"
    PAGE.write_text(
        "# Rules and dashboards, checked\n\n"
        f"Made by `deploy/grafana/evidence.py` on {datetime.now(UTC):%Y-%m-%d}.\n\n"
        f"| check | of what | outcome |\n|---|---|---|\n{table}\n\n"
        "Grafana itself was not run. The schema is held open, as Grafana's own is: it says what the fields it names must be, not "
        "that there are no others (an annotation's `expr` is such a field).\n\n"
        "## In containers\n\nWhat `make test-compose` told, on a real engine with a real Prometheus and Alertmanager:\n\n"
        f"```text\n{containers}\n```\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
