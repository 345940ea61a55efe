"""A flush to disk beside the thread that writes: a busy disk takes half a second, while whole records would pile up in memory."""

from __future__ import annotations

import os
import threading


class BackgroundFlush:
    """Begins at once. The file may be written on, or closed, meanwhile. Raises `OSError` where no descriptor is left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)
        self._error: OSError | None = None
        # A daemon, since a disk that never answers must not keep the process from leaving.
        self._thread = threading.Thread(target=self._run, name="journal flush", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Until it is done; raises the `OSError` that it ended with, if any. The system tells such an error once."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._error = error
        finally:
            os.close(self._descriptor)
