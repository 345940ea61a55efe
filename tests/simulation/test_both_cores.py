"""The compiled core is the pure one, to the byte: pinned sessions, and drawn markets through books, features and quotes.

This process runs the sources as written; the compiled core runs in processes of its own. `make compile` builds it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmd.compiled import build_folder, judge
from tests.acceptance.processes import clean_environment

pytestmark = pytest.mark.compiled

ROOT = Path(__file__).parents[2]


def run(core: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(MMD_CORE=core),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    return done.stdout


@pytest.fixture(scope="module")
def compiled_core() -> None:
    core, finder = judge(build_folder())
    if finder is None:
        word = f"{core.detail}: `make compile` makes one, where there is a C compiler"
        if os.environ.get("CI"):
            pytest.fail(word)
        pytest.skip(word)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("core", ["pure", "compiled"])
def test_pinned_sessions_send_what_they_sent_before(core: str, request: pytest.FixtureRequest) -> None:
    if core == "compiled":
        request.getfixturevalue("compiled_core")
    # The whole of them on the pure core is this suite's own run.
    chosen = ("-k", "money") if core == "pure" else ()
    said = run(core, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/simulation/test_golden_session.py", *chosen)
    assert "passed" in said or "[100%]" in said


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("compiled_core")
def test_books_features_and_quotes_agree_to_the_last_bit() -> None:
    pure, compiled = (run(core, "-m", "tests.simulation.core_digest").split() for core in ("pure", "compiled"))
    assert (pure[0], compiled[0]) == ("pure", "compiled")
    assert len(set(pure[1:])) == len(pure) - 1
    assert pure[1:] == compiled[1:]
