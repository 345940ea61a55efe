"""A disk in memory that forgets as a real one does: what the daemon's own code writes to it survives a crash, or does not.

After a killed process everything that was written is there. After a loss of power there is what was flushed (`fsync` of the file
for its content, of the directory for its names), and of the rest as much as chance would have it: a torn file, a rename undone.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Any, NamedTuple

from mmd.daemon import durable

NAMES_KEPT = 1_000


class _File:
    """Content as every process sees it, and as it would be after a loss of power."""

    __slots__ = ("changed", "content", "flushed", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.changed = 0
        self.content = b""
        self.flushed = b""


class SimulatedDisk:
    """One directory. `on_step` is called before each operation and may raise (a crash); `full` makes writes fail."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names: dict[str, _File] = {}
        self._flushed_names: list[dict[str, _File]] = [{}]
        """Directory as it was flushed, and after each change since: any of them may be what a loss of power leaves."""
        self.on_step: Callable[[], None] = _nothing
        self.full: Callable[[], bool] = _never
        self.writes = 0
        self._files = 0

    @property
    def directory(self) -> DiskPath:
        """Where everything lies."""
        return DiskPath(self, "")

    def lose_power(self) -> None:
        """Keep what was flushed; of the rest what chance leaves."""
        random = self._random
        self._names = dict(random.choice(self._flushed_names))
        self._flushed_names = [dict(self._names)]
        for file in set(self._names.values()):
            if file.content != file.flushed:
                torn = file.content[: random.randrange(len(file.content) + 1)]
                file.content = file.flushed = random.choice((file.flushed, torn))

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Everything that lies there, by name."""
        return ((name, file.content) for name, file in self._names.items())

    # ---- what the paths and the descriptors do

    def open_new(self, name: str) -> _File:
        """Make a file empty."""
        self.on_step()
        file = self._names.get(name)
        if file is None:
            self._files += 1
            file = self._names[name] = _File(self._files)
        file.content = b""
        self._changed()
        return file

    def write(self, file: _File, content: bytes) -> None:
        """Append; on a full disk a part of it, and `OSError`."""
        self.on_step()
        self.writes += 1
        file.changed = self.writes
        if self.full():
            file.content += content[: len(content) // 2]
            raise OSError(errno.ENOSPC, "No space left on device")
        file.content += content

    def flush(self, file: _File | None) -> None:
        """To the platters: a file's content, or (None) the directory's names."""
        self.on_step()
        if file is None:
            self._flushed_names = [dict(self._names)]
        else:
            file.flushed = file.content

    def rename(self, old: str, new: str) -> None:
        """Atomically."""
        self.on_step()
        self._names[new] = self._names.pop(old)
        self._changed()

    def link(self, old: str, new: str) -> None:
        """A second name. Raises `FileNotFoundError`."""
        self.on_step()
        self._names[new] = self.find(old)
        self._changed()

    def remove(self, name: str) -> None:
        """A name goes."""
        self.on_step()
        del self._names[name]
        self._changed()

    def find(self, name: str) -> _File:
        """Raises `FileNotFoundError`."""
        if name not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file", name)
        return self._names[name]

    def has(self, name: str) -> bool:
        """Whether there is such a name."""
        return name in self._names

    def _changed(self) -> None:
        self._flushed_names.append(dict(self._names))
        del self._flushed_names[:-NAMES_KEPT]


class FileStatus(NamedTuple):
    """What tells one file from another."""

    st_ino: int
    st_mtime_ns: int
    st_size: int


class DiskPath:
    """As much of `pathlib.Path` as the daemon's state files use."""

    __slots__ = ("_disk", "name")

    def __init__(self, disk: SimulatedDisk, name: str) -> None:
        self._disk = disk
        self.name = name

    def __truediv__(self, name: str) -> DiskPath:
        return DiskPath(self._disk, name)

    def __str__(self) -> str:
        return f"/state/{self.name}"

    @property
    def disk(self) -> SimulatedDisk:
        """Whose path it is."""
        return self._disk

    @property
    def parent(self) -> DiskPath:
        """The directory."""
        return DiskPath(self._disk, "")

    def with_name(self, name: str) -> DiskPath:
        """Beside it."""
        return DiskPath(self._disk, name)

    def exists(self) -> bool:
        """Whether it is there."""
        return self._disk.has(self.name)

    def read_bytes(self) -> bytes:
        """Raises `FileNotFoundError`."""
        return self._disk.find(self.name).content

    def stat(self) -> FileStatus:
        """Raises `FileNotFoundError`."""
        file = self._disk.find(self.name)
        return FileStatus(file.number, file.changed, len(file.content))

    def replace(self, target: DiskPath) -> None:
        """Rename over."""
        self._disk.rename(self.name, target.name)

    def hardlink_to(self, target: DiskPath) -> None:
        """Be another name of it."""
        self._disk.link(target.name, self.name)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Remove."""
        if self.exists():
            self._disk.remove(self.name)
        elif not missing_ok:
            raise FileNotFoundError(errno.ENOENT, "No such file", self.name)


class _Descriptor:
    """What `os.open` gives for a path of ours."""

    def __init__(self, disk: SimulatedDisk, file: _File | None) -> None:
        self.disk, self.file = disk, file

    def __enter__(self) -> _Descriptor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing is left to be done: what was written is there."""

    def write(self, content: bytes) -> None:
        assert self.file is not None
        self.disk.write(self.file, content)

    def flush(self) -> None:
        """Nothing is buffered in the process."""

    def fileno(self) -> _Descriptor:
        return self


class _DiskOs:
    """The functions of `os` that `mmd.daemon.durable` calls, for paths of a simulated disk; all others go to `os` itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> Any:
        if not isinstance(path, DiskPath):
            return os.open(path, flags, mode)
        return _Descriptor(path.disk, path.disk.open_new(path.name) if flags & os.O_CREAT else None)

    def fdopen(self, descriptor: Any, mode: str) -> Any:
        return descriptor if isinstance(descriptor, _Descriptor) else os.fdopen(descriptor, mode)

    def fsync(self, descriptor: Any) -> None:
        if isinstance(descriptor, _Descriptor):
            descriptor.disk.flush(descriptor.file)
        else:
            os.fsync(descriptor)

    def close(self, descriptor: Any) -> None:
        if not isinstance(descriptor, _Descriptor):
            os.close(descriptor)


_lock = threading.Lock()
_users = 0


@contextmanager
def disks_in_memory() -> Iterator[None]:
    """Within, the daemon's durable writes understand paths of a `SimulatedDisk` (and real ones as ever)."""
    global _users
    with _lock:
        _users += 1
        durable.os = _DiskOs()  # type: ignore[attr-defined, assignment]
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                durable.os = os  # type: ignore[attr-defined]


def _nothing() -> None:
    """No crash."""


def _never() -> bool:
    """There is always room."""
    return False
