"""Draw docs/assets/demo.svg: run what `mmd demo` runs for a minute, and export the live view as it stands near the end.

.venv/bin/python deploy/scripts/demo_picture.py docs/assets/demo.svg
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console

from mmd.daemon.latency import StageClock
from mmd.daemon.launch import DemoOptions, demo_venue
from mmd.daemon.logs import configure_logging
from mmd.daemon.process import run_daemon
from mmd.daemon.view import Dashboard
from mmd.types.report import TraderReport

SECONDS = 60.0
WIDTH, HEIGHT = 80, 24
SYMBOLS = "BTCUSDT"


def main(target: Path) -> None:
    """Trade, and draw the newest report of the second half in which most of our sides rest at the venue."""
    heard: list[tuple[TraderReport, StageClock]] = []

    def keep(report: TraderReport, stages: StageClock) -> None:
        heard.append((report, stages))

    with tempfile.TemporaryDirectory(prefix="mmd-picture-") as directory:
        options = DemoOptions(Path(directory), SECONDS, SYMBOLS, seed=1, speed=1.0)
        with demo_venue(options, {}) as settings:
            configure_logging(settings.logging, settings.secrets(), console=True)
            summary = uvloop.run(run_daemon(settings, seconds=SECONDS, on_report=keep))
    # Leaving cancels everything: the picture is of the trading before that.
    later = range(len(heard) // 2, len(heard))
    newest = max(later, key=lambda index: (sides_resting(heard[index][0]), index))
    dashboard = Dashboard("mmd demo", SECONDS)
    for report, stages in heard[: newest + 1]:
        dashboard.show(report, stages)
    console = Console(record=True, file=io.StringIO(), width=WIDTH, height=HEIGHT)
    console.print(dashboard)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(console.export_svg(title="mmd demo"), encoding="utf-8")
    sys.stdout.write(f"{target}: {summary.quotes} quotes, {summary.fills} fills, exit code {summary.exit_code}\n")


def sides_resting(report: TraderReport) -> int:
    """On how many sides, 0 to 2, an order of ours stands at the venue."""
    return len({order.side for order in report.open_orders})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/demo.svg"))
