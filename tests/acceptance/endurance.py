"""Load and soak: one daemon in a process of its own, much market or many faults, and what becomes of it over minutes.

    python -m tests.acceptance.endurance load --seconds 600 --write docs/evidence/load.md
    python -m tests.acceptance.endurance soak --seconds 1800 --write docs/evidence/soak.md

*Load* runs the simulated market so fast that some seven thousand messages a second arrive (`--speed`), and halts and resumes all
the while.
*Soak* draws faults at random and looks for what grows, and for an order, a limit or a position that is not as it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import Progress

from mmd.execution.settings import ExecutionSettings
from mmd.journal.settings import JournalSettings
from mmd.ledger.settings import LedgerSettings
from tests.acceptance.processes import Process, World, wait_until, world

WARM_UP_SECONDS = 15.0
FILLING_SHARE = 0.5
"""Of a run: until then what is bounded may fill up; its second half tells what grows for good."""
HALT_EVERY_SECONDS = 2.0
HALT_WAIT_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
"""For one answer, and for orders to be gone: correctness is asked for here, on however busy a machine; times are told."""
LIMIT_SLACK = 1.001
JOURNAL_BOUND = JournalSettings().max_waiting_records
ORDERS_KEPT = ExecutionSettings().terminal_orders_kept
LEDGER_BOUND = LedgerSettings().max_waiting_records
FAULTS = (
    "drop_frames", "skip_depth_update", "delay_frames", "duplicate_frames", "reorder_frames", "corrupt_frames", "cut_connections",
    "refuse_connections", "delay_acknowledgements", "lose_acknowledgements", "server_errors", "backend_timeouts", "refuse_orders",
    "partial_fills", "freeze", "clock_offset",
)  # fmt: skip


@dataclass
class Samples:
    """What was seen, once a second; times in s since the warm-up, memory in bytes."""

    times: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    """Of the resident memory what is no page of a file: programs and networks that are mapped are not ours to grow."""
    tasks: list[int] = field(default_factory=list)
    load_average: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    in_flight: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)
    open_orders: list[int] = field(default_factory=list)
    answer_ms: list[float] = field(default_factory=list)
    """From the request to /halt to its answer, which comes once the latch is on disk."""
    gone_ms: list[float] = field(default_factory=list)
    """From the same to the exchange's confirmation of the last cancel."""
    cancels_ms: list[float] = field(default_factory=list)
    """By the daemon's own clock: from the request's arrival to the last cancel's being with the socket."""
    ping_ms: list[float] = field(default_factory=list)
    venue_ping_ms: list[float] = field(default_factory=list)
    journal_waiting: list[float] = field(default_factory=list)
    ledger_waiting: list[float] = field(default_factory=list)
    put_off: float = 0.0
    orders_sent: int = 0
    pauses: dict[str, int] = field(default_factory=dict)
    daemon_cpu: float = 0.0
    exchange_cpu: float = 0.0
    """Processor time over wall time: 1 is a core."""
    halts: int = 0
    own_halts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    ledger_difference: float = 0.0
    orders_left: int = 0

    def filled(self) -> int:
        """Index of the first sample by which what is bounded has had its time to fill."""
        begin = FILLING_SHARE * self.times[-1]
        return next(index for index, at in enumerate(self.times) if at >= begin)

    def slope_per_hour(self, memory: list[float], begin: int) -> float:
        """Of that memory from that sample on, by least squares, bytes an hour."""
        times, memory = self.times[begin:], memory[begin:]
        mean_time, mean_memory = sum(times) / len(times), sum(memory) / len(times)
        above = sum((t - mean_time) * (m - mean_memory) for t, m in zip(times, memory, strict=True))
        return 3600.0 * above / sum((t - mean_time) ** 2 for t in times)

    def rate(self) -> float:
        """Frames a second over the whole run."""
        return (self.frames[-1] - self.frames[0]) / (self.times[-1] - self.times[0])


def quantile(values: list[float], share: float) -> float:
    """Of the sorted values, the one at this share; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Endurance:
    """One exchange, one daemon, one guard."""

    def __init__(self, system: World, *, symbols: str, speed: float, scenario: str = "") -> None:
        self.system = system
        self.samples = Samples()
        arguments = ["--rate-limits", "off", "--symbols", symbols, "--speed", f"{speed:g}"]
        if scenario:
            file = system.folder / "faults.toml"
            file.write_text(scenario)
            arguments += ["--scenario", str(file)]
        self.mock = system.start_mock(*arguments)
        self.symbols = symbols.split(",")
        self.base = self._balances()
        self.guard = system.start_guard()
        self.daemon: Process = system.start_daemon(
            MMD_SYMBOLS=symbols,
            MMD_QUOTING__STRATEGY="neural",
            MMD_RISK__MAX_OPEN_ORDERS="40",
            MMD_RISK__MAX_PAUSES_PER_HOUR="10000",
            MMD_RISK__MAX_CONSECUTIVE_ERRORS="10000",
            MMD_RISK__MAX_DAILY_LOSS="1000000",
            MMD_RISK__MAX_DRAWDOWN="1000000",
        )
        wait_until("two-sided quotes", system.quoting, 60)

    def run(self, seconds: float, *, halts: bool, advance: Callable[[float], Any]) -> None:
        """Sample once a second; halt and resume in between where that is asked for."""
        time.sleep(min(WARM_UP_SECONDS, seconds / 4))
        begun, next_halt = time.monotonic(), time.monotonic()
        used = [cpu_seconds(process) for process in (self.daemon, self.mock)]
        while (passed := time.monotonic() - begun) < seconds:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._sample(passed)
            if halts and time.monotonic() >= next_halt:
                next_halt = time.monotonic() + HALT_EVERY_SECONDS
                self._halt_once()
            elif not halts:
                self._resume_what_halted()
            advance(passed)
            time.sleep(0.2 if halts else 1.0)
        taken = time.monotonic() - begun
        shares = [(cpu_seconds(process) - before) / taken for process, before in zip((self.daemon, self.mock), used, strict=True)]
        self.samples.daemon_cpu, self.samples.exchange_cpu = shares

    def settle(self) -> None:
        """Everything quiet: no order at the exchange, both ledgers the same."""
        system = self.system
        subprocess.run(
            [sys.executable, "-m", "mmd.cli", "mock", "fault", "clear", "--url", f"http://127.0.0.1:{system.mock_port}"],
            check=False,
            capture_output=True,
        )
        wait_until("the control port", lambda: system.control("POST", "/halt", {"reason": "endurance: the end"}), 60)
        wait_until("no order of ours", lambda: system.open_orders() == [], 60)
        with contextlib.suppress(AssertionError):
            wait_until("equal ledgers", lambda: self._difference() < 1e-9, 60)
        self.samples.ledger_difference = self._difference()
        self.samples.orders_left = len(system.open_orders())

    # ---- looking

    def _sample(self, passed: float) -> None:
        samples, process = self.samples, self.daemon.child.pid
        text = self.system.control("GET", "/metrics")
        samples.frames.append(metric(text, "mmd_adapter_frames_total"))
        samples.in_flight.append(metric(text, "mmd_adapter_requests_in_flight"))
        samples.journal_waiting.append(metric(text, "mmd_journal_waiting_records"))
        samples.ledger_waiting.append(metric(text, "mmd_ledger_waiting_records"))
        samples.put_off = metric(text, "mmd_adapter_frames_put_off_total")
        status = Path(f"/proc/{process}/status").read_text()
        samples.resident.append(1024.0 * int(status.split("VmRSS:")[1].split()[0]))
        samples.own.append(1024.0 * int(status.split("RssAnon:")[1].split()[0]))
        samples.tasks.append(int(metric(text, "mmd_tasks")))
        samples.load_average.append(os.getloadavg()[0])
        samples.threads.append(int(status.split("Threads:")[1].split()[0]))
        samples.handles.append(sum(1 for _ in Path(f"/proc/{process}/fd").iterdir()))
        report = self.system.report()
        samples.open_orders.append(len(report["open_orders"]))
        samples.orders_sent, samples.pauses = report["orders_sent"], report["pause_counts"]
        samples.times.append(passed)
        for name, used in report["limits_used"].items():
            if used > LIMIT_SLACK and not name.startswith(("daily_loss", "drawdown")):
                samples.violations.append(f"limit {name} used to {used:.3f}")

    def _halt_once(self) -> None:
        system, samples = self.system, self.samples
        samples.ping_ms.append(self._timed(lambda: system.control("GET", "/healthz", seconds=PATIENCE_SECONDS)))
        samples.venue_ping_ms.append(self._timed(lambda: system.venue("ping")))
        begun = time.perf_counter()
        answer = self._ask_to_halt(wait=0.0)
        samples.answer_ms.append(1e3 * (time.perf_counter() - begun))
        if answer["cancels_sent_after_ms"] is not None:
            samples.cancels_ms.append(answer["cancels_sent_after_ms"])
        self._count_own_halt(answer["record"])
        while not answer["confirmed_gone"] and time.perf_counter() - begun < PATIENCE_SECONDS:
            answer = self._ask_to_halt(HALT_WAIT_SECONDS)
        samples.gone_ms.append(1e3 * (time.perf_counter() - begun))
        samples.halts += 1
        if not answer["confirmed_gone"]:
            samples.violations.append(f"orders not confirmed gone {PATIENCE_SECONDS:g} s after a halt")
        elif left := system.open_orders():
            samples.violations.append(f"{len(left)} orders open at the exchange that were confirmed gone")
        wait_until("a resume", lambda: not system.control("POST", "/resume", {"reason": "endurance"})["halted"], PATIENCE_SECONDS)

    def _ask_to_halt(self, wait: float) -> Any:
        return self.system.control("POST", "/halt", {"reason": "endurance", "wait": f"{wait:g}"}, wait + PATIENCE_SECONDS)

    @staticmethod
    def _timed(ask: Callable[[], Any]) -> float:
        begun = time.perf_counter()
        ask()
        return 1e3 * (time.perf_counter() - begun)

    def _count_own_halt(self, record: dict[str, Any]) -> None:
        if record["actor"] != "http":
            why = record["reason"].split(":")[0][:60]
            self.samples.own_halts[why] = self.samples.own_halts.get(why, 0) + 1

    def _resume_what_halted(self) -> None:
        """Faults may halt it, and rightly; what for is counted, and it goes on."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            halt = self.system.report()["halt"]
            if halt["halted"]:
                self._count_own_halt(halt)
                if self.system.open_orders():
                    wait_until("no order of ours after a halt", lambda: self.system.open_orders() == [], 30)
                self.system.control("POST", "/resume", {"reason": "endurance goes on"})

    def _balances(self) -> dict[str, float]:
        account = wait_until("the account", lambda: self.system.venue("account", "K1", "S1"))
        held = {line["asset"]: float(line["free"]) + float(line["locked"]) for line in account["balances"]}
        return {symbol: held[symbol.removesuffix("USDT")] for symbol in self.symbols}

    def _difference(self) -> float:
        balances = self._balances()
        lines = self.system.report()["symbols"]
        return max(abs(line["position"] - (balances[line["symbol"]] - self.base[line["symbol"]])) for line in lines)


def cpu_seconds(process: Process) -> float:
    """Processor time that the process has used."""
    fields = Path(f"/proc/{process.child.pid}/stat").read_text().rpartition(")")[2].split()
    return float(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(text: str, name: str) -> float:
    """The sum of a metric's samples."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))


def run(kind: str, folder: Path, seconds: float, *, seed: int = 1, speed: float = 60.0, advance: Callable[[float], Any]) -> Samples:
    """One run of `load` or `soak`, settled at the end."""
    kinds = ", ".join(f'"{name}"' for name in FAULTS)
    scenario = f"seed = {seed}\n\n[random]\nstart = 5.0\nevery = 6.0\nlongest = 4.0\nkinds = [{kinds}]\n"
    with world(folder) as system:
        load = kind == "load"
        endurance = Endurance(system, symbols="BTCUSDT,ETHUSDT", speed=speed if load else 1.0, scenario="" if load else scenario)
        endurance.run(seconds, halts=load, advance=advance)
        endurance.settle()
        return endurance.samples


def table(kind: str, samples: Samples, seconds: float) -> str:
    """Markdown."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    memory, anonymous = [value / 1e6 for value in samples.resident], [value / 1e6 for value in samples.own]
    filled = samples.filled()
    handles, threads, tasks = samples.handles, samples.threads, samples.tasks
    slopes = [f"{samples.slope_per_hour(samples.own, begin) / 1e6:+.1f}" for begin in (0, filled)]
    rows = [
        ("messages a second, mean", f"{samples.rate():,.0f}"),
        ("processor time, daemon / exchange, cores", f"{samples.daemon_cpu:.2f} / {samples.exchange_cpu:.2f}"),
        ("resident memory after warm-up → at the end, MB", f"{memory[0]:.1f} → {memory[-1]:.1f}"),
        (
            "of it the process's own (RssAnon), first → halfway → last, MB",
            f"{anonymous[0]:.1f} → {anonymous[filled]:.1f} → {anonymous[-1]:.1f}",
        ),
        ("its slope over the whole run, MB an hour", slopes[0]),
        ("its slope over the second half, MB an hour", slopes[1]),
        (f"orders sent (the newest {ORDERS_KEPT:,} finished ones are remembered)", f"{samples.orders_sent:,}"),
        ("open files, first → last (most)", f"{handles[0]} → {handles[-1]} ({max(handles)})"),
        ("threads, first → last (most)", f"{threads[0]} → {threads[-1]} ({max(threads)})"),
        ("tasks of the event loop, first → last (most)", f"{tasks[0]} → {tasks[-1]} ({max(tasks)})"),
        ("requests in flight, most (bound 500)", f"{max(samples.in_flight):g}"),
        (f"records that wait for the journal, most (bound {JOURNAL_BOUND:,})", f"{max(samples.journal_waiting):,.0f}"),
        (f"records that wait for the ledger, most (bound {LEDGER_BOUND:,})", f"{max(samples.ledger_waiting):,.0f}"),
        ("frames that waited for a later turn of the event loop", f"{samples.put_off:,.0f} of {samples.frames[-1]:,.0f}"),
        ("orders open, most (limit 40)", f"{max(samples.open_orders)}"),
        ("limits passed", "; ".join(sorted(set(samples.violations))) or "none"),
        ("orders left at the end", f"{samples.orders_left}"),
        ("ledger difference at the end", f"{samples.ledger_difference:.2g}"),
    ]
    if samples.halts:
        rows += [
            ("halts by HTTP under load (that found orders to cancel)", f"{samples.halts} ({len(samples.cancels_ms)})"),
            ("`/healthz`, request to answer, ms p50 / p99", _milliseconds(samples.ping_ms)),
            ("the exchange's `ping`, request to answer, ms p50 / p99", _milliseconds(samples.venue_ping_ms)),
            ("`/halt`, arrival to the last cancel with the socket, by the daemon, ms p50 / p99", _milliseconds(samples.cancels_ms)),
            ("`/halt`, request to answer (the latch is on disk), ms p50 / p99", _milliseconds(samples.answer_ms)),
            ("`/halt`, request to the last cancel confirmed, ms p50 / p99", _milliseconds(samples.gone_ms)),
        ]
    own = "; ".join(f"{why} ×{count}" for why, count in sorted(samples.own_halts.items()))
    pauses = "; ".join(f"{why} ×{count}" for why, count in sorted(samples.pauses.items()))
    rows += [("pauses, by reason", pauses or "none"), ("halts of its own, by reason", own or "none")]
    lines = [
        f"<!-- made by `python -m tests.acceptance.endurance {kind}`; run it again instead of editing -->",
        "",
        f"# {kind.capitalize()}",
        "",
        f"Commit `{commit}`, {time.strftime('%Y-%m-%d', time.gmtime())}, {seconds:g} s, {os.cpu_count()} cores shared by daemon, "
        f"exchange and guard, load average {min(samples.load_average):.1f} to {max(samples.load_average):.1f}.",
        "",
        "| what | figure |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
    ]
    return "\n".join(lines) + "\n"


def _milliseconds(values: list[float]) -> str:
    return f"{quantile(values, 0.5):.1f} / {quantile(values, 0.99):.1f}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("load", "soak"))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default: 1)")
    parser.add_argument("--speed", type=float, default=60.0, help="market time per wall time of the load (default: 60)")
    parser.add_argument("--write", type=Path, help="write the table here too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmd-endurance-") as folder, Progress() as progress:
        task = progress.add_task(given.kind, total=given.seconds)
        samples = run(
            given.kind, Path(folder), given.seconds, seed=given.seed, speed=given.speed,
            advance=lambda passed: progress.update(task, completed=passed),
        )  # fmt: skip
    text = table(given.kind, samples, given.seconds)
    print(text)
    if given.write is not None:
        given.write.write_text(text)
    return int(bool(samples.violations or samples.orders_left or samples.ledger_difference > 1e-9))


if __name__ == "__main__":
    sys.exit(main())
