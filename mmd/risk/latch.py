"""The halt latch: once set it stays set, with the first cause, until an explicit resume with a reason.

It only keeps the record; writing it to disk before anything else is done is the shell's duty (`PersistHalt`).
"""

from __future__ import annotations

from mmd.types.control import HaltRecord


class HaltLatch:
    """Built from the record read from disk (None: there never was a halt)."""

    __slots__ = ("further_halts", "halts", "record")

    def __init__(self, record: HaltRecord | None = None) -> None:
        self.record = record if record is not None else HaltRecord(halted=False, reason="", actor="", time_ns=0)
        self.halts = 0
        """Times this process latched."""
        self.further_halts = 0
        """Halts asked for while halted already; the first record is kept."""

    @property
    def halted(self) -> bool:
        """Whether nothing may leave."""
        return self.record.halted

    def halt(self, reason: str, actor: str, now_ns: int, realised_atoms: int = 0, unrealised_atoms: int = 0) -> HaltRecord | None:
        """Latch. Returns the record to persist, or None when it is latched already. A halt without a reason halts all the same."""
        if self.record.halted:
            self.further_halts += 1
            return None
        self.halts += 1
        self.record = HaltRecord(
            halted=True,
            reason=reason.strip() or "no reason given",
            actor=actor,
            time_ns=now_ns,
            realised_atoms=realised_atoms,
            unrealised_atoms=unrealised_atoms,
        )
        return self.record

    def resume(self, reason: str, actor: str, now_ns: int) -> HaltRecord:
        """Lift the halt. Returns the record to persist. Raises ValueError without a reason, and when nothing is halted."""
        if not reason.strip():
            raise ValueError("resume needs a reason: say what was found and mended")
        if not self.record.halted:
            raise ValueError("nothing to resume: not halted")
        self.record = HaltRecord(
            halted=False,
            reason=reason.strip(),
            actor=actor,
            time_ns=now_ns,
            realised_atoms=self.record.realised_atoms,
            unrealised_atoms=self.record.unrealised_atoms,
        )
        return self.record
