"""Latch and checkpoint on their way to the disk, and what the disk would not take: kept, and tried again until it does."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from mmd.daemon.checkpoint import CheckpointFile
from mmd.daemon.halt_file import HaltFile
from mmd.types.control import HaltRecord

log = structlog.get_logger(__name__)


class StateWriter:
    """Writes both files; raises nothing. `on_trouble` hears why a checkpoint cannot be written, once until it can again."""

    def __init__(self, halt_file: HaltFile, checkpoint: CheckpointFile, on_trouble: Callable[[str], None]) -> None:
        self.halt_file = halt_file
        self._checkpoint = checkpoint
        self._on_trouble = on_trouble
        self.unwritten_halt: HaltRecord | None = None
        """A latch that the disk would not take."""
        self.unwritten_ledger: bytes | None = None
        self.checkpoints_written = 0

    @property
    def behind(self) -> bool:
        """Whether the disk lacks something that it should hold."""
        return self.unwritten_halt is not None or self.unwritten_ledger is not None

    def write_ledger(self, document: bytes) -> bool:
        """Whether it is on disk now."""
        try:
            self._checkpoint.write(document)
        except OSError as error:
            if self.unwritten_ledger is None:
                log.critical("the checkpoint cannot be written", error=str(error))
                self._on_trouble(f"the checkpoint cannot be written: {error}")
            self.unwritten_ledger = document
            return False
        self.checkpoints_written += 1
        self.unwritten_ledger = None
        return True

    def write_halt(self, record: HaltRecord) -> None:
        """A halt or a resume."""
        try:
            self.halt_file.write(record)
        except OSError as error:
            # Halted in memory all the same; whatever comes, the process must not be restarted into quoting.
            if self.unwritten_halt is None:
                log.critical("the halt latch cannot be written; it will be tried again", error=str(error))
            self.unwritten_halt = record
            return
        self.unwritten_halt = None
        log.warning("halted" if record.halted else "resumed", reason=record.reason, actor=record.actor)

    def latch(self, record: HaltRecord) -> HaltRecord:
        """A halt that the core did not make: the first cause is kept. Returns the record that stands."""
        try:
            return self.halt_file.latch(record)
        except OSError as error:
            log.critical("the halt latch cannot be written", error=str(error))
            self.unwritten_halt = record
            return record

    def retry(self) -> None:
        """Try the disk again with what it would not take. Called by the timer."""
        if self.unwritten_halt is not None:
            self.write_halt(self.unwritten_halt)
        if self.unwritten_ledger is not None:
            self.write_ledger(self.unwritten_ledger)
