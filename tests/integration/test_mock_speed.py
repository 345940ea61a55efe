"""The speed benchmark of the mock exchange runs and counts what it says; how fast it is is no business of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bench" / "mock_speed.py"


def test_a_quick_run_gives_every_figure() -> None:
    arguments = [sys.executable, str(SCRIPT), "--engine-messages", "2000", "--socket-messages", "600"]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode in (0, 1), run.stderr
    figures = json.loads(run.stdout)
    assert figures["engine"]["messages"] >= 2000
    assert figures["engine"]["orders_that_took"] > 100
    assert figures["sockets"]["messages"] == 600
    for part in ("engine", "sockets"):
        assert figures[part]["per_wall_second"] > 0
        assert figures[part]["reached"] is (figures[part]["per_core_second"] >= figures[part]["target"])
    assert figures["machine"]
