"""A sweep on a Ray cluster of this machine: real workers, the same trials as in processes here, and a cluster that is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmd.cli import app
from tests.unit.backtest.quotes import write_quotes

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]
VARY = "quoting.fixed_half_spread_bps=1,2,4"


def swept(path: Path, out: Path, *more: str) -> dict[str, object]:
    command = ["sweep", "-d", str(path), "-s", "fixed", "--vary", VARY, "--out", str(out), "--calibrate", "0", *more]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads((out / "results.json").read_text())
    return found


def test_a_cluster_finds_what_processes_here_find(tmp_path: Path) -> None:
    path = write_quotes(tmp_path)
    assert swept(path, tmp_path / "ray", "--ray", "local")["ranked"] == swept(path, tmp_path / "here", "--jobs", "1")["ranked"]


def test_a_cluster_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    path = write_quotes(tmp_path, seconds=10)
    done = CliRunner().invoke(
        app, ["sweep", "-d", str(path), "--vary", VARY, "--ray", "127.0.0.1:1", "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 1
    assert "no cluster there" in done.output
