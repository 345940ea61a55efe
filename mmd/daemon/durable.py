"""Files that are either the old or the new whole, whatever happens in between: written beside, flushed to disk, then renamed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

OWNER_ONLY = 0o600


def write_durably(path: Path, content: bytes) -> None:
    """Replace `path` atomically and return only when content and name are on disk. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    flush_directory(path.parent)


def flush_directory(directory: Path) -> None:
    """Bring renames within `directory` to disk. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
