"""What the documentation tells people to type works, in the order in which it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from mmd.cli import app
from tests.acceptance.processes import clean_environment, free_port

pytestmark = pytest.mark.pages

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECONDS = re.compile(r"--seconds (\d+)")
LONGEST_SECONDS = 4
"""What a page lets run for longer, for people to look at, need not run longer here."""
LONG = {"first-backtest", "paper"}
"""Pages whose commands take many seconds of computing: with the long tests."""
PAGES = sorted(page for page in DOCS.rglob("*.md") if BLOCK.search(page.read_text()))


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.long] if page.stem in LONG else [], id=page.stem) for page in PAGES]
)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    script = "set -euo pipefail\ntrap 'kill -KILL $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(blocks)
    script = SECONDS.sub(lambda found: f"--seconds {min(LONGEST_SECONDS, int(found[1]))}", script)
    # Other tests run beside this one, and the usual ports are theirs as much as ours.
    mock_port, control_port = str(free_port()), str(free_port())
    script = script.replace("9080", mock_port).replace("8780", control_port)
    binaries = Path(sys.executable).parent
    environment = clean_environment(
        MMD_CONTROL__PORT=control_port,
        MMD_EXCHANGE__REST_URL=f"http://127.0.0.1:{mock_port}",
        MMD_EXCHANGE__STREAM_URL=f"ws://127.0.0.1:{mock_port}",
        MMD_EXCHANGE__WEBSOCKET_API_URL=f"ws://127.0.0.1:{mock_port}/ws-api/v3",
    )
    environment["PATH"] = f"{binaries}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-m", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    log = tmp_path / "daemon.log"
    tail = log.read_text()[-3000:] if log.exists() else ""
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{tail}"


def test_some_page_has_commands() -> None:
    assert {page.stem for page in PAGES} > LONG


def test_every_command_that_a_page_or_the_readme_names_exists() -> None:
    program = typer.main.get_command(app)
    texts = {page: page.read_text(encoding="utf-8") for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]}
    unknown = []
    for page, text in texts.items():
        for words in re.findall(r"(?:^ {4,}|^|`|\| )mmd ((?:[a-z][a-z-]*[ `\n])+)", text, re.MULTILINE):
            command = program
            for word in words.replace("`", " ").split():
                commands = getattr(command, "commands", None)
                if not commands:
                    break
                if word not in commands:
                    unknown.append(f"{page.name}: mmd {words.strip()}")
                    break
                command = commands[word]
    assert unknown == []
