"""What the journal costs the way of a tick: the same ticks through two sessions by turns, one with a journal and one without.

`python bench/journal.py [--minutes 5] [--write docs/evidence/journal-cost.md]`. Read the ratio; the times are this machine's.
The journaled session appends as the daemon's dispatcher does, through one call more than that needs: the ratio is an upper bound.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from mmd.benchmark.frames import Frames, simulated_frames
from mmd.benchmark.session import HotSession, nowhere
from mmd.daemon.bundles import load_networks, plain_predictor
from mmd.daemon.core_building import trader_config
from mmd.daemon.latency import LatencyHistogram, StageClock
from mmd.daemon.session_journal import session_begin
from mmd.daemon.settings import Settings
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import load_runtime
from mmd.journal.networks import JournaledPredictor
from mmd.journal.settings import JournalSettings
from mmd.journal.writer import JournalWriter

WARM_TICKS = 1_000
BUNDLE = Path("models/quote-v2")
SYMBOL = "BTCUSDT"


class Figures:
    """Of one session."""

    def __init__(self) -> None:
        self.whole = LatencyHistogram()
        self.ordering = LatencyHistogram()


def measure(frames: Frames, folder: Path) -> tuple[Figures, Figures, Any, float]:
    """Without and with journal, the journal's status, and CPU seconds of its thread."""
    bundle, _ = load_networks(BUNDLE, (), "auto")
    runtime = load_runtime("auto")
    instruments = {SYMBOL: frames.instrument}
    settings = Settings()
    config = trader_config(settings, time.time_ns())
    writer = JournalWriter(folder, config.session, JournalSettings(min_free_bytes=0))
    predictors: dict[str, QuotePredictor] = {SYMBOL: JournaledPredictor(bundle, runtime, SYMBOL, lambda said: writer.append(said))}
    journaled = HotSession(frames.snapshot, instruments, bundle, predictors, StageClock(writer.append))
    plain = HotSession(frames.snapshot, instruments, bundle, {SYMBOL: plain_predictor(bundle, runtime, SYMBOL)}, StageClock())
    _attach(journaled, writer)
    writer.begin(session_begin(settings, config, time.time_ns(), instruments, None, None, bundle, predictors))
    figures = (Figures(), Figures())
    cpu_before, own_before = time.process_time(), time.thread_time()
    gc.collect()
    gc.disable()
    for number, (receive_ns, frame) in enumerate(frames.frames):
        pairs = ((plain, figures[0]), (journaled, figures[1]))
        for session, found in pairs if number % 2 else pairs[::-1]:
            begin = perf_counter_ns()
            session.tick(receive_ns, frame, nowhere)
            taken = perf_counter_ns() - begin
            sent = session.settle(receive_ns)
            if number >= WARM_TICKS:
                found.whole.record(taken)
                if sent:
                    found.ordering.record(taken)
        writer.check()
    gc.enable()
    thread_seconds = (time.process_time() - cpu_before) - (time.thread_time() - own_before)
    return figures[0], figures[1], writer.close("measured", time.time_ns()), thread_seconds


def _attach(session: HotSession, writer: JournalWriter) -> None:
    handle = session.trader.on_event

    def on_event(event: Any) -> Sequence[Any]:
        writer.append(event)
        commands = handle(event)
        if commands:
            writer.extend(commands)  # type: ignore[arg-type]
        return commands

    session.trader.on_event = on_event  # type: ignore[method-assign]


def table(plain: Figures, journaled: Figures, status: Any, thread_seconds: float, ticks: int) -> str:
    """Markdown."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    rows = []
    for name, one, other in (
        ("every tick", plain.whole, journaled.whole),
        ("ticks with orders", plain.ordering, journaled.ordering),
    ):
        without, kept = one.percentiles(), other.percentiles()
        rows.append(
            f"| {name} | {without.n:,} | {without.p50:.1f} | {kept.p50:.1f} | {kept.p50 / without.p50:.3f} | "
            f"{without.p99:.1f} | {kept.p99:.1f} | {kept.p99 / without.p99:.3f} |"
        )
    return (
        f"# What the journal costs\n\nCommit {commit}; {ticks:,} ticks through two sessions by turns, networks running; µs\n"
        "from bytes in hand to signed requests in hand. `python bench/journal.py`\n\n"
        "| | ticks | p50 without | p50 with | ratio | p99 without | p99 with | ratio |\n|---|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\n{status.records:,} records, {status.bytes_written / status.records:.1f} bytes each on disk; the thread took\n"
        f"{thread_seconds / status.records * 1e6:.2f} µs of CPU a record, beside the ticks; lost {status.lost}.\n"
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of simulated market")
    parser.add_argument("--write", type=Path, default=None, help="also into this file")
    arguments = parser.parse_args()
    frames = simulated_frames(arguments.minutes * 60)
    with tempfile.TemporaryDirectory(prefix="mmd-journal-") as folder:
        text = table(*measure(frames, Path(folder)), len(frames.frames))
    print(text)
    if arguments.write is not None:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
