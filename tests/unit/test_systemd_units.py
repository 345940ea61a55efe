"""The units of deploy/systemd say what the program understands, and systemd understands what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mmd.cli import app
from mmd.daemon.settings_sources import is_secret, known_fields, load_settings, variable_name

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAM = "/usr/local/bin/mmd"
MOST_EXPOSURE = 15
"""Tenths; what `systemd-analyze security` may give at most."""


def values(unit: Path, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_command_variables_and_credentials_exist(unit: Path) -> None:
    [command] = values(unit, "ExecStart")
    program, name, *options = command.split()
    assert program == PROGRAM
    assert options == ["--config", "/etc/mmd/mmd.toml"]
    assert name in typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {variable_name(key) for key, _ in known_fields()}
    files = {f"{variable_name(key)}_FILE" for key, field in known_fields() if is_secret(key, field)}
    credentials = [each.partition(":")[0] for each in values(unit, "LoadCredential")]
    handed = []
    for variable, _, value in (each.partition("=") for each in values(unit, "Environment")):
        assert variable in known | files
        if variable in files:
            handed.append(value.removeprefix("%d/"))
    assert handed == credentials
    assert len(handed) == 2


def test_the_example_of_settings_is_understood(tmp_path: Path) -> None:
    secrets = {"MMD_EXCHANGE__API_KEY": "k", "MMD_EXCHANGE__API_SECRET": "s"}
    settings = load_settings(FOLDER / "mmd.toml", environment=secrets, directory=tmp_path)
    assert settings.mode == "testnet"
    assert settings.guard.required


@pytest.mark.system
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed (apt-get install systemd)")
@pytest.mark.parametrize("check", [["verify", "--man=no"], ["security", "--offline=true", f"--threshold={MOST_EXPOSURE}"]], ids=str)
def test_systemd_takes_them(check: list[str], tmp_path: Path) -> None:
    # The program is looked for where it is to be installed: here it stands in the environment.
    here = str(Path(sys.executable).with_name("mmd"))
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text(encoding="utf-8").replace(PROGRAM, here), encoding="utf-8")
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", *check, *paths], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "Unknown key" not in done.stderr
    assert check[0] == "security" or not done.stderr.strip(), done.stderr
