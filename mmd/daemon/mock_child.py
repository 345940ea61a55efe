"""A mock exchange in a process of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

READY = "mock exchange ready "
MAX_LINE_BYTES = 4096


class MockChildError(RuntimeError):
    """The mock exchange did not come up."""


class MockChild:
    """Runs `mmd mock` with `arguments` on a free port. `urls` has rest, stream and websocket_api once entered.

    It leads a session of its own, so that Ctrl-C reaches only the daemon, which still needs it to cancel; it ends when our end
    of its standard input closes, however we ended.
    """

    def __init__(self, arguments: Sequence[str], *, log_file: Path, timeout_seconds: float = 20.0) -> None:
        self._command = [sys.executable, "-m", "mmd.cli", "mock", "--port", "0", "--exit-with-stdin", *arguments]
        self._log_file = log_file
        self._timeout_seconds = timeout_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self.urls: dict[str, str] = {}

    def __enter__(self) -> MockChild:
        """Raises `MockChildError`."""
        with self._log_file.open("ab") as errors:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        try:
            line = self._first_line(self._process)
            if not line.startswith(READY):
                raise MockChildError(f"the mock exchange did not come up: {line or 'it ended'}\n{self._last_words()}")
            self.urls = dict(part.split("=", 1) for part in line.removeprefix(READY).split())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _first_line(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        deadline = time.monotonic() + self._timeout_seconds
        content = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in content and len(content) < MAX_LINE_BYTES:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise MockChildError(f"the mock exchange is not ready after {self._timeout_seconds:g} s\n{self._last_words()}")
                chunk = os.read(descriptor, MAX_LINE_BYTES)
                if not chunk:
                    break
                content += chunk
        return content.partition(b"\n")[0].decode("utf-8", "replace").strip()

    def _last_words(self) -> str:
        return self._log_file.read_bytes()[-2000:].decode("utf-8", "replace")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.communicate(timeout=self._timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
