"""`mmd train` from the outside: its help, what it refuses, and a whole small run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmd.learning.command import EXIT_ERROR, EXIT_USAGE, app

RUNNER = CliRunner()


def test_help_shows_examples_and_exit_codes() -> None:
    shown = RUNNER.invoke(app, ["--help"]).output
    assert "mmd train quote --data" in shown
    assert "Exit codes" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["poem", "--data", "sim:1,0.1"], EXIT_USAGE, "there is no network 'poem'"),
        (["quote", "--data", "sim:1"], EXIT_ERROR, "write sim:SEEDS,HOURS"),
        (["quote", "--data", "/no/such/folder"], EXIT_ERROR, "nor a folder of recordings"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == code
    assert words in result.output
    assert not (tmp_path / "out").exists()
