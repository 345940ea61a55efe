"""One daemon to a state directory: an advisory lock that the kernel drops when the process is gone, however it went."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

LOCK_NAME = "lock"


class StateLockError(RuntimeError):
    """Another daemon works in this state directory."""


class StateLock:
    """Held as a context manager for the whole life of the daemon. Makes the directory."""

    def __init__(self, state_dir: Path, name: str = LOCK_NAME) -> None:
        self.path = state_dir / name
        self._descriptor = -1

    def __enter__(self) -> StateLock:
        """Raises `StateLockError` when it is held, `OSError` when the directory cannot be made or written."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StateLockError(
                f"state directory {self.path.parent} is in use by process {holder}: stop that daemon, or set another state_dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
