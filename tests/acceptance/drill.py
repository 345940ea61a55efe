"""The kill drill: real processes are killed, stopped, starved and cut off, and the venue is asked what is left.

python -m tests.acceptance.drill --kills 100 --write docs/evidence/drill.md
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import Progress

from tests.acceptance.processes import Process, World, wait_until, world

GUARD_TIMEOUT_SECONDS = 1.0
GUARD = {
    "MMD_GUARD__TIMEOUT_SECONDS": f"{GUARD_TIMEOUT_SECONDS:g}",
    "MMD_GUARD__API_KEY": "G1",
    "MMD_GUARD__API_SECRET": "G1S",
}
DAEMON = {"MMD_GUARD__TIMEOUT_SECONDS": f"{GUARD_TIMEOUT_SECONDS:g}", "MMD_GUARD__REQUIRED": "true"}
LOOK_SECONDS = 0.02


@dataclass
class Row:
    """What was done, how often, and what came of it. `safe_seconds`: until the venue listed none of our orders."""

    what: str
    expected: str
    times: int = 0
    orders_left: int = 0
    safe_seconds: list[float] = field(default_factory=list)
    ledger_difference: float = 0.0

    def cells(self) -> list[str]:
        """For the table."""
        safe = sorted(self.safe_seconds)
        middle = f"{safe[len(safe) // 2]:.2f}" if safe else "–"
        longest = f"{safe[-1]:.2f}" if safe else "–"
        return [self.what, str(self.times), str(self.orders_left), middle, longest, f"{self.ledger_difference:g}", self.expected]


class Proxy:
    """A TCP line between the daemon and its venue that can go dead: bytes are swallowed both ways, connections stay open."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._dead = threading.Event()
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self) -> None:
        """From now on nothing passes."""
        self._dead.set()

    def heal(self) -> None:
        """New connections pass; those that lost bytes are reset."""
        for line in self._lines:
            line.close()
        self._lines.clear()
        self._dead.clear()

    def close(self) -> None:
        """End it."""
        self._listener.close()
        self.heal()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                venue = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                client.close()
                continue
            self._lines += [client, venue]
            for source, sink in ((client, venue), (venue, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self._dead.is_set():
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Drill:
    """One venue, one guard, one daemon, and what is done to them. Instants are drawn from `seed`."""

    def __init__(self, system: World, seed: int) -> None:
        self.system = system
        self.random = random.Random(seed)
        self.mock = self._start_mock()
        self.base = self._balance()
        self.proxy = Proxy(system.mock_port)
        self.guard = system.start_guard(**GUARD)
        self.daemon = self._start_daemon()
        self._quoting()

    def close(self) -> None:
        """The processes are the world's to end."""
        self.proxy.close()

    # ---- what is done

    def kill_daemon(self) -> Iterator[Row]:
        """kill -9 at any instant."""
        row = Row("`kill -9` of the daemon", "guard clears and latches; restart comes up halted, ledger right")
        while True:
            self._at_any_instant()
            self.daemon.kill()
            self._safe(row)
            self._guard_clear()
            self.daemon = self._start_daemon()
            self._assert_halted_by("guard")
            self._settle(row)
            yield row

    def stop_daemon(self) -> Iterator[Row]:
        """SIGSTOP, and SIGCONT when the guard is through."""
        row = Row("SIGSTOP of the daemon, then SIGCONT", "guard clears and latches; the daemon halts before it quotes")
        while True:
            self._at_any_instant()
            self.daemon.child.send_signal(signal.SIGSTOP)
            self._safe(row)
            self._guard_clear()
            self.daemon.child.send_signal(signal.SIGCONT)
            wait_until("the halt", lambda: self.system.report()["halt"]["halted"])
            self._settle(row)
            yield row

    def kill_guard(self) -> Iterator[Row]:
        """kill -9 of the guard that the daemon requires."""
        row = Row("`kill -9` of the guard", "the daemon pauses until there is one again; no halt")
        while True:
            self._at_any_instant()
            self.guard.kill()
            self._safe(row)
            self.guard = self.system.start_guard(**GUARD)
            self._quoting()
            self._settle(row)
            yield row

    def kill_exchange(self) -> Iterator[Row]:
        """kill -9 of the exchange, which keeps its state on disk."""
        row = Row("`kill -9` of the exchange", "pause; after its return resync, reconciliation, quotes; no halt")
        while True:
            self._at_any_instant()
            self.mock.kill()
            wait_until("a pause", lambda: self.system.report()["pauses"])
            self.mock = self._start_mock()
            self._quoting()
            assert not self.system.report()["halt"]["halted"]
            self._settle(row)
            yield row

    def cut_network(self) -> Iterator[Row]:
        """The daemon's line goes dead, the guard's does not."""
        row = Row("the daemon's network cut (bytes swallowed)", "guard clears what the daemon cannot; quotes again after; no halt")
        while True:
            self._at_any_instant()
            self.proxy.die()
            self._safe(row, seconds=60)
            self.proxy.heal()
            self._quoting()
            assert not self.system.report()["halt"]["halted"]
            self._settle(row)
            yield row

    def fill_disk(self) -> Iterator[Row]:
        """Every write of the daemon fails (its file size limit is set to 0)."""
        row = Row("the daemon's disk full", "halt, everything cancelled; after mending and a resume it quotes")
        while True:
            self._at_any_instant()
            process = self.daemon.child.pid
            _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            self._safe(row)
            wait_until("the halt", lambda: self.system.report()["halt"]["halted"])
            resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
            self._settle(row)
            yield row

    def slow_exchange(self) -> Iterator[Row]:
        """Answers to orders come late."""
        row = Row("the exchange answers orders 2 s late, for 5 s", "nothing is assumed; ledger right after it")
        while True:
            self._fault("delay_acknowledgements", "milliseconds=2000", "seconds=5")
            time.sleep(5)
            self._settle(row)
            yield row

    def ban(self) -> Iterator[Row]:
        """418 for a while."""
        row = Row("418, banned for 10 s", "silence until the time is over, then quotes; no halt")
        while True:
            self._at_any_instant()
            before = self._pauses("rate_limited")
            self._fault("rate_limit_ban", "status=418", "seconds=10")
            wait_until("a pause", lambda before=before: self._pauses("rate_limited") > before)
            wait_until("quotes", self._quoting_by_report, 60)
            assert not self.system.report()["halt"]["halted"]
            self._settle(row)
            yield row

    # ---- what is looked at

    def _safe(self, row: Row, seconds: float = 30.0) -> None:
        """Until the venue lists none of ours."""
        begun = time.monotonic()
        deadline = begun + seconds
        while self.system.open_orders() and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        row.safe_seconds.append(time.monotonic() - begun)
        row.orders_left += len(self.system.open_orders())

    def _guard_clear(self) -> None:
        wait_until("the guard's word", lambda: self.system.guard_state()["market_clear"] is True)

    def _settle(self, row: Row) -> None:
        """Halt, so that nothing moves; compare the ledgers; go on."""
        system = self.system
        if not system.report()["halt"]["halted"]:
            system.control("POST", "/halt", {"reason": "drill: comparing ledgers"})
        wait_until("no order of ours", lambda: system.open_orders() == [])

        def difference() -> float:
            (symbol,) = system.report()["symbols"]
            return abs(float(symbol["position"]) - (self._balance() - self.base))

        with contextlib.suppress(AssertionError):
            wait_until("equal ledgers", lambda: difference() < 1e-9, 10)
        row.ledger_difference = max(row.ledger_difference, round(difference(), 9))
        row.orders_left += len(system.open_orders())
        row.times += 1
        # Refused until the daemon, too, knows its orders to be gone.
        wait_until("a resume", lambda: not system.control("POST", "/resume", {"reason": "drill: looked at"})["halted"])
        self._quoting()

    def _pauses(self, reason: str) -> int:
        return int(self.system.report()["pause_counts"].get(reason, 0))

    def _balance(self) -> float:
        account = self.system.venue("account", "K1", "S1")
        (held,) = [line for line in account["balances"] if line["asset"] == "BTC"]
        return float(held["free"]) + float(held["locked"])

    def _assert_halted_by(self, actor: str) -> None:
        halt = self.system.report()["halt"]
        assert halt["halted"], halt
        assert halt["actor"] == actor, halt

    def _quoting(self) -> None:
        wait_until("two-sided quotes", self.system.quoting, 60)

    def _quoting_by_report(self) -> bool:
        orders = self.system.report()["open_orders"]
        return {order["side"] for order in orders} >= {"buy", "sell"} or len(orders) >= 2

    def _at_any_instant(self) -> None:
        time.sleep(self.random.uniform(0.0, 2.0))

    def _start_mock(self) -> Process:
        # The drill itself looks at the venue fifty times a second: within the usual limits it would have the address banned.
        return self.system.start_mock(
            "--rate-limits", "off", "--account", "K1:S1", "--account", "G1:G1S", "--key-account", "G1:K1", "--symbols", "BTCUSDT"
        )

    def _start_daemon(self) -> Process:
        line = f"127.0.0.1:{self.proxy.port}"
        urls = {
            "MMD_EXCHANGE__REST_URL": f"http://{line}",
            "MMD_EXCHANGE__STREAM_URL": f"ws://{line}",
            "MMD_EXCHANGE__WEBSOCKET_API_URL": f"ws://{line}/ws-api/v3",
            "MMD_RISK__MAX_PAUSES_PER_HOUR": "10000",
            "MMD_RISK__MAX_CONSECUTIVE_ERRORS": "10000",
            # The venue dies more often here than anywhere: left as they are, the waits would grow to half a minute each.
            "MMD_EXCHANGE__BACKOFF_RESET_SECONDS": "1",
            "MMD_EXCHANGE__BACKOFF_CAP_SECONDS": "2",
        }
        return self.system.start_daemon(**DAEMON, **urls)

    def _fault(self, *words: str) -> None:
        switched = self.system.command("mock", "fault", "on", *words, "--url", f"http://127.0.0.1:{self.system.mock_port}")
        assert switched.returncode == 0, switched.stderr


SCENARIOS: dict[str, Callable[[Drill], Iterator[Row]]] = {
    "kill-daemon": Drill.kill_daemon,
    "stop-daemon": Drill.stop_daemon,
    "kill-guard": Drill.kill_guard,
    "kill-exchange": Drill.kill_exchange,
    "cut-network": Drill.cut_network,
    "fill-disk": Drill.fill_disk,
    "slow-exchange": Drill.slow_exchange,
    "ban": Drill.ban,
}


def run(folder: Path, plan: dict[str, int], seed: int, advance: Callable[[str], Any] = lambda name: None) -> list[Row]:
    """Each scenario of the plan so many times, on one system. Raises `AssertionError` where something did not come about."""
    rows = []
    with world(folder) as system:
        drill = Drill(system, seed)
        try:
            for name, times in plan.items():
                scenario = SCENARIOS[name](drill)
                for _ in range(times):
                    row = next(scenario)
                    advance(name)
                rows.append(row)
        finally:
            drill.close()
    return rows


def table(rows: list[Row], seed: int) -> str:
    """Markdown."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    head = ["what", "times", "orders left", "safe after, s (median)", "longest, s", "ledger difference", "expected"]
    lines = [
        "<!-- made by `make drill`; run it again instead of editing -->",
        "",
        "# The kill drill",
        "",
        f"Commit `{commit}`, {time.strftime('%Y-%m-%d', time.gmtime())}, seed {seed}: real processes on one machine, the guard's "
        f"time-out {GUARD_TIMEOUT_SECONDS:g} s. *Safe* is when the exchange lists no order of ours any more; *ledger difference* "
        "is the daemon's position against the exchange's balance, in BTC, once everything is quiet.",
        "",
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="kills of the daemon; everything else a tenth of it (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the instants (default: 1)")
    parser.add_argument("--only", default="", help=f"one scenario: {', '.join(SCENARIOS)}")
    parser.add_argument("--write", type=Path, help="write the table here too")
    given = parser.parse_args()
    few = max(1, given.kills // 10)
    plan = {name: given.kills if name == "kill-daemon" else few for name in SCENARIOS if given.only in ("", name)}
    with tempfile.TemporaryDirectory(prefix="mmd-drill-") as folder, Progress() as progress:
        task = progress.add_task("drill", total=sum(plan.values()))

        def advance(name: str) -> None:
            progress.update(task, advance=1, description=name)

        rows = run(Path(folder), plan, given.seed, advance)
    text = table(rows, given.seed)
    print(text)
    if given.write is not None:
        given.write.write_text(text)
    return int(any(row.orders_left or row.ledger_difference for row in rows))


if __name__ == "__main__":
    sys.exit(main())
