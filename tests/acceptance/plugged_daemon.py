"""`mmd run` with a plug in its quote network, for tests alone: `python -m tests.acceptance.plugged_daemon FOLDER run`.

While FOLDER holds a file `nan`, every row that the network is given is no number; while it holds `stall`, every evaluation takes
far longer than its budget. The rest of the process is the one that trades.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmd.inference.predictor import QuotePredictor

STALL_SECONDS = 0.004


def plug(folder: Path) -> None:
    """Into whatever steps a quote network in this process from now on."""
    evaluate = QuotePredictor.step_on

    def step_on(self: QuotePredictor, row: Sequence[float]) -> None:
        evaluate(self, [float("nan")] * len(row) if (folder / "nan").exists() else row)
        if (folder / "stall").exists():
            # Not a wait for something: the evaluation itself is to be slow, as on a machine that swaps.
            time.sleep(STALL_SECONDS)

    QuotePredictor.step_on = step_on  # type: ignore[method-assign]


if __name__ == "__main__":
    plug(Path(sys.argv.pop(1)))
    from mmd.cli import app

    app(prog_name="mmd")
