"""A long demo session comes out of its journal again; its table goes to docs/evidence. MMD_REPLAY_MINUTES: how long (60)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.processes import MMD, clean_environment

MINUTES = float(os.environ.get("MMD_REPLAY_MINUTES", "60"))
EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence" / "replay.md"


def run(*arguments: str, folder: Path) -> str:
    finished = subprocess.run([*MMD, *arguments], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return finished.stdout


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=EVIDENCE.parent, capture_output=True, text=True, check=False).stdout.strip()


@pytest.mark.long
@pytest.mark.timeout(round(MINUTES * 60 * 2) + 600)
def test_a_long_demo_session_matches_and_one_of_its_orders_is_explained(tmp_path: Path) -> None:
    summary = json.loads(run("demo", "--seconds", str(MINUTES * 60), "--json", "--state", "state", folder=tmp_path))
    begun = time.monotonic()
    text = run("replay", "last", "--verify", "--state", "state", folder=tmp_path).strip()
    took = time.monotonic() - begun
    again = ("replay", "last", "--verify", "--predictions", "recorded", "--json", "--state", "state")
    verdict = json.loads(run(*again, folder=tmp_path))
    assert verdict["matches"] is True
    assert verdict["incomplete"] == ""
    assert f"MATCH {verdict['outbound_sha256']}" in text
    records = run("replay", "last", "--records", "--state", "state", folder=tmp_path).splitlines()
    fills = [json.loads(line)["record"] for line in records if '"kind":"Fill"' in line]
    why = run("explain", fills[len(fills) // 2]["client_order_id"], "--state", "state", folder=tmp_path)
    size = sum(path.stat().st_size for path in (tmp_path / "state" / "journal").rglob("*.journal"))
    EVIDENCE.write_text(
        f"# A demo session lived again\n\n{MINUTES:g} minutes of `mmd demo` at commit {git('rev-parse', '--short', 'HEAD')}; "
        "`make long` writes this page.\n\n| | |\n|---|---|\n"
        f"| ticks, quotes, orders sent, fills | {summary['ticks']:,}, {summary['quotes']:,}, {summary['orders_sent']:,}, "
        f"{summary['fills']:,} |\n"
        f"| events in, commands out, requests written | {verdict['events']:,}, {verdict['commands']:,}, {verdict['requests']:,} |\n"
        f"| predictions | {verdict['evaluations']:,} |\n"
        f"| journal | {size / 1e6:.1f} MB |\n| time to replay with every network | {took:.0f} s |\n\n"
        f"`mmd replay last --verify`:\n\n```text\n{text}\n```\n\nThe same from recorded predictions gives the same hash. "
        f"`mmd explain` of the order behind the middle fill:\n\n```text\n{why.rstrip()}\n```\n",
        encoding="utf-8",
    )
