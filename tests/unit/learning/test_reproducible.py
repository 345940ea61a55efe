"""The same training twice gives the same bundle hash, in another process too; one that was killed goes on to the same end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.learning.tiny_training import bundle

ROOT = Path(__file__).resolve().parents[3]

# Each process starts TensorFlow.
pytestmark = [pytest.mark.training, pytest.mark.timeout(600)]


def begin(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.learning.tiny_training", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate()
    assert process.returncode == 0, err[-2_000:]
    return out.strip().splitlines()[-1]


def test_the_same_training_twice_gives_the_same_bundle_hash(tmp_path: Path) -> None:
    process = begin("bundle", str(tmp_path / "first"))
    # And in this one, whatever was trained in it before.
    digest = bundle(tmp_path / "second")
    digests = printed(process), digest
    assert len(digests[0]) == 64
    assert digests[0] == digests[1]
    cards = [(tmp_path / name / "bundle" / "card.json").read_bytes() for name in ("first", "second")]
    assert cards[0] != cards[1], "they were made at different times, and their cards say so"


@pytest.mark.long
def test_a_killed_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    unbroken = printed(begin("cross", str(tmp_path / "unbroken")))
    killed = begin("cross", str(tmp_path / "killed"), "die")
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert printed(begin("cross", str(tmp_path / "killed"), "resume")) == unbroken
