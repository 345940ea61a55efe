"""Real processes for acceptance tests: `mmd mock` and `mmd run`, their ports, and patience with a deadline."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
"""For a process to come up, on however busy a machine."""

MMD = [sys.executable, "-m", "mmd.cli"]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**extra: str) -> dict[str, str]:
    """This environment without settings of the developer's own."""
    return {**{key: value for key, value in os.environ.items() if not key.startswith("MMD_")}, **extra}


def wait_until(what: str, check: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of `check`; an `AssertionError` that names `what` at the deadline."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = check()
        except (OSError, urllib.error.URLError, json.JSONDecodeError) as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what}; last: {last!r}")


class Process:
    """One child; its output goes to a file that a failing test shows."""

    def __init__(
        self, arguments: list[str], environment: dict[str, str], folder: Path, name: str, command: list[str] | None = None
    ) -> None:
        self.output = folder / f"{name}-{time.monotonic_ns()}.log"
        with self.output.open("wb") as sink:
            self.child = subprocess.Popen([*(command or MMD), *arguments], env=environment, cwd=folder, stdout=sink, stderr=sink)

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait(10)

    def terminate(self, seconds: float = 15.0) -> int:
        """SIGTERM, and the exit code."""
        self.child.send_signal(signal.SIGTERM)
        return self.child.wait(seconds)

    def wait_until_up(self, what: str, check: Callable[[], Any]) -> None:
        """Until `check` is true; an `AssertionError` at once where the process has ended instead."""

        def up() -> Any:
            assert self.child.poll() is None, f"it ended with {self.child.returncode} before {what} was there:\n{self.tail()}"
            return check()

        wait_until(what, up, START_SECONDS)

    def tail(self) -> str:
        """The end of what it wrote."""
        return self.output.read_text(errors="replace")[-4000:]


class World:
    """A mock exchange and a daemon with folders, ports and settings of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mock_port, self.control_port, self.guard_port = free_port(), free_port(), free_port()
        self.venue_state = folder / "venue"
        self.state = folder / "state"
        self.processes: list[Process] = []

    def start_mock(self, *extra: str, keep_state: bool = True) -> Process:
        """`mmd mock`, answering."""
        arguments = ["mock", "--port", str(self.mock_port), *extra]
        if keep_state:
            arguments += ["--state", str(self.venue_state)]
        process = self._start(arguments, clean_environment(), "mock")
        process.wait_until_up("the mock exchange", lambda: self.venue("ping") == {})
        return process

    def start_daemon(self, command: list[str] | None = None, **settings: str) -> Process:
        """`mmd run` on that mock; `command` in the place of `mmd`."""
        process = self._start(["run"], self._environment(settings), "daemon", command)
        process.wait_until_up("the control port", lambda: self.control("GET", "/state"))
        return process

    def start_guard(self, *, wait: bool = True, **settings: str) -> Process:
        """`mmd guard` beside that daemon, on watch."""
        process = self._start(["guard"], self._environment(settings), "guard")
        if wait:
            process.wait_until_up("the guard's port", self.guard_state)
        return process

    def guard_state(self) -> dict[str, Any]:
        """What the guard says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.guard_port}/state", timeout=5) as answer:
            state: dict[str, Any] = json.loads(answer.read())
        return state

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        base = f"127.0.0.1:{self.mock_port}"
        usual = {
            "MMD_EXCHANGE__REST_URL": f"http://{base}",
            "MMD_EXCHANGE__STREAM_URL": f"ws://{base}",
            "MMD_EXCHANGE__WEBSOCKET_API_URL": f"ws://{base}/ws-api/v3",
            "MMD_EXCHANGE__API_KEY": "K1",
            "MMD_EXCHANGE__API_SECRET": "S1",
            "MMD_CONTROL__PORT": str(self.control_port),
            "MMD_GUARD__PORT": str(self.guard_port),
            "MMD_STATE_DIR": str(self.state),
            "MMD_QUOTING__STRATEGY": "fixed",
        }
        return clean_environment(**{**usual, **settings})

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One `mmd` command against the daemon's control port."""
        environment = clean_environment(MMD_CONTROL__PORT=str(self.control_port), MMD_STATE_DIR=str(self.state))
        return subprocess.run(
            [*MMD, *arguments], env=environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def control(self, method: str, path: str, body: dict[str, str] | None = None, seconds: float = 10.0) -> Any:
        """A request to the daemon, and its answer within so long; JSON where it answers so."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith(("{", "[")) else text

    def venue_post(self, path: str, **parameters: str) -> Any:
        """A signed POST of our account, past the daemon."""
        return self.venue(path, "K1", "S1", "POST", **parameters)

    def venue(self, path: str, key: str = "", secret: str = "", method: str = "GET", **parameters: str) -> Any:
        """A REST request to the mock exchange, signed where a key is given."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        if key:
            query = f"{query}&" * bool(query) + f"timestamp={time.time_ns() // 1_000_000}"
            query += "&signature=" + hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.mock_port}/api/v3/{path}?{query}",
            headers={"X-MBX-APIKEY": key} if key else {},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())

    def open_orders(self) -> list[dict[str, Any]]:
        """What the exchange itself says is open on our account."""
        orders: list[dict[str, Any]] = self.venue("openOrders", "K1", "S1")
        return orders

    def report(self) -> dict[str, Any]:
        """The trader's own report."""
        state: dict[str, Any] = self.control("GET", "/state")
        trader: dict[str, Any] = state.get("trader", state)
        return trader

    def quoting(self) -> bool:
        """Both sides of some symbol stand at the exchange."""
        sides = {(order["symbol"], order["side"]) for order in self.open_orders()}
        return any((symbol, "BUY") in sides and (symbol, "SELL") in sides for symbol, _ in sides)

    def _start(self, arguments: list[str], environment: dict[str, str], name: str, command: list[str] | None = None) -> Process:
        process = Process(arguments, environment, self.folder, name, command)
        self.processes.append(process)
        return process


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """Ends every process, and shows what they wrote if the test failed."""
    made = World(folder)
    try:
        yield made
    except BaseException:
        for process in made.processes:
            print(f"---- {process.output.name}\n{process.tail()}")
        raise
    finally:
        for process in made.processes:
            if process.child.poll() is None:
                process.kill()
