"""`mmd run` with a plug before its quote network, for tests alone: `python -m tests.acceptance.plugged_daemon FOLDER run`.

While FOLDER holds a file `nan`, every row that the network is given is no number; while it holds `stall`, every evaluation takes
far longer than its budget. The rest of the process is the one that trades.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmd.daemon import bundles
from mmd.inference.predictor import QuotePredictor

STALL_SECONDS = 0.004
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


class PluggedPredictor(QuotePredictor):
    """The real one, and what is in its way."""

    __slots__ = ()

    def step_on(self, row: Sequence[float]) -> None:
        super().step_on([float("nan")] * len(row) if (FOLDER / "nan").exists() else row)
        if (FOLDER / "stall").exists():
            # Not a wait for something: the evaluation itself is to be slow, as on a machine that swaps.
            time.sleep(STALL_SECONDS)


if __name__ == "__main__":
    bundles.QuotePredictor = PluggedPredictor  # type: ignore[misc]
    del sys.argv[1]
    from mmd.cli import app

    app(prog_name="mmd")
