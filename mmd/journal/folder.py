"""The folder of all sessions' journals, and how much of the disk they take together."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

import structlog

from mmd.journal.segments import SUFFIX, segment_paths
from mmd.journal.settings import JournalSettings

log = structlog.get_logger(__name__)

OWNER_ONLY = 0o700


class JournalFolder:
    """`root` holds a folder for each session. Methods raise `OSError`."""

    def __init__(self, root: Path, session: str, settings: JournalSettings) -> None:
        self.root = root
        self.folder = root / session
        self._settings = settings
        self._total = 0
        self.dropped = 0
        """Segments removed to make room."""

    def make(self) -> None:
        """Make this session's folder, which must be new, and measure the others."""
        self.folder.mkdir(mode=OWNER_ONLY, parents=True)
        self._total = sum(path.stat().st_size for path in self.root.glob(f"*/*{SUFFIX}"))
        self.check_free()
        self.flush()

    def flush(self) -> None:
        """Bring the names of new files to disk."""
        for directory in (self.folder, self.root):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def written(self, size: int) -> None:
        """So many bytes more."""
        self._total += size

    def check_free(self) -> None:
        """Raises `OSError` where the disk has less room than is wanted."""
        free = shutil.disk_usage(self.folder).free
        wanted = self._settings.min_free_bytes
        if free < wanted:
            raise OSError(errno.ENOSPC, f"{free:,} bytes are free, fewer than journal.min_free_bytes ({wanted:,})")

    def make_room(self, size: int, *, keep: Path) -> None:
        """Remove oldest segments until `size` bytes more are within the bound, or raise `OSError`; `keep` stays in any case."""
        limit = self._settings.max_total_bytes
        if self._total + size <= limit:
            return
        if self._settings.when_full == "halt":
            raise OSError(errno.EDQUOT, f"the journals have {self._total:,} bytes, journal.max_total_bytes is {limit:,}")
        for path in self._oldest_first():
            if self._total + size <= limit:
                return
            if path != keep:
                self._drop(path)

    def _oldest_first(self) -> list[Path]:
        """Segments of finished sessions, then our own."""
        # A session's name is its beginning in base 36: of the same length, and so in order, for decades.
        others = sorted(folder for folder in self.root.iterdir() if folder.is_dir() and folder != self.folder)
        return [path for folder in (*others, self.folder) for path in segment_paths(folder)]

    def _drop(self, path: Path) -> None:
        size = path.stat().st_size
        path.unlink()
        self._total -= size
        self.dropped += 1
        own = path.parent == self.folder
        log.warning("dropped a segment of the journal to make room", path=str(path), own_session=own)
        if not own:
            with suppress(OSError):
                path.parent.rmdir()
