"""`mmd top` on a pseudo-terminal, on a real daemon that trades on the mock exchange."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.processes import MMD, World, clean_environment, free_port, wait_until, world

WAIT_SECONDS = 60.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][A-Z0-9]")


class Terminal:
    """A program on a terminal of its own: keys in, and everything it has drawn."""

    def __init__(self, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 140, 0, 0))
        self.child = subprocess.Popen(
            [*MMD, *arguments], stdin=slave, stdout=slave, stderr=slave, cwd=folder, env={**environment, "TERM": "xterm-256color"}
        )
        os.close(slave)
        self.drawn = ""
        self._pressed = 0

    def shows(self, text: str) -> None:
        """Read until it has drawn that since the last key."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text not in ESCAPES.sub("", self.drawn[self._pressed :]):
            assert time.monotonic() < deadline, f"never drew {text!r}: {ESCAPES.sub('', self.drawn)[-3000:]}"
            self._read(0.2)

    def press(self, keys: str) -> None:
        """Type."""
        self._pressed = len(self.drawn)
        os.write(self.master, keys.encode())

    def ended(self) -> int:
        """The exit code; what it still draws is read meanwhile, so that it never waits for us."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.child.poll() is None:
            assert time.monotonic() < deadline, "it does not leave"
            self._read(0.05)
        return self.child.wait()

    def close(self) -> None:
        """Whatever became of it."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(10)
        os.close(self.master)

    def _read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.drawn += os.read(self.master, 65_536).decode(errors="replace")
            except OSError:
                # How a terminal ends whose program has left.
                time.sleep(seconds)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("top")) as made:
        made.start_mock(keep_state=False)
        made.start_daemon()
        wait_until("orders of ours", lambda: made.report()["open_orders"], 60)
        yield made


def environment_of(daemon: World) -> dict[str, str]:
    return clean_environment(MMD_CONTROL__PORT=str(daemon.control_port), MMD_STATE_DIR=str(daemon.state))


def test_it_is_live_and_halts_only_when_the_question_is_answered_yes(daemon: World, tmp_path: Path) -> None:
    terminal = Terminal(["top"], environment_of(daemon), tmp_path)
    try:
        terminal.shows("QUOTING")
        terminal.shows("h  halt    q  leave")
        terminal.press("h")
        terminal.shows("Halt trading?")
        terminal.press("n")
        terminal.shows("not halted")
        assert not daemon.report()["halt"]["halted"]
        terminal.press("h")
        terminal.shows("Halt trading?")
        terminal.press("y")
        terminal.shows("HALTED by cli: operator at mmd top")
        terminal.shows("lifts it")
        wait_until("the orders to be gone", lambda: not daemon.report()["open_orders"])
        assert daemon.report()["halt"]["halted"]
        terminal.press("q")
        assert terminal.ended() == 0
        # The terminal is given back as it was: echoing, line by line.
        assert termios.tcgetattr(terminal.master)[3] & termios.ECHO
        assert termios.tcgetattr(terminal.master)[3] & termios.ICANON
    finally:
        terminal.close()
    done = daemon.command("top", "--once")
    assert done.returncode == 0, done.stderr
    assert "HALTED by cli: operator at mmd top" in done.stdout
    assert "BTCUSDT" in done.stdout
    assert "\x1b" not in done.stdout


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    environment = clean_environment(MMD_CONTROL__PORT=str(free_port()))
    terminal = Terminal(["top"], environment, tmp_path)
    try:
        assert terminal.ended() == 4
        terminal.shows("")
        assert "no daemon answers" in terminal.drawn
    finally:
        terminal.close()
    done = subprocess.run(
        [*MMD, "top", "--set", "nonsense"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "KEY=VALUE" in done.stderr
