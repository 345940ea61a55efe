"""Prometheus and Alertmanager understand the examples of the how-to, as their own tools see it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "how-to" / "alerts.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CHECKS = {"promtool": ["check", "config"], "amtool": ["check-config"]}


@pytest.mark.system
@pytest.mark.parametrize(("tool", "example"), list(zip(CHECKS, EXAMPLES, strict=True)), ids=list(CHECKS))
def test_the_tool_takes_the_example(tool: str, example: str, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (apt-get install prometheus prometheus-alertmanager)")
    rules = PROJECT / "deploy" / "prometheus" / "rules.yml"
    config = tmp_path / "config.yml"
    config.write_text(example.replace("/etc/prometheus/mmd/rules.yml", str(rules)), encoding="utf-8")
    done = subprocess.run([tool, *CHECKS[tool], str(config)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
