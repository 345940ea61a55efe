"""The ledger and loss checkpoint on disk: written whole before it is acted on, the one before it kept, never silently replaced."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from mmd.daemon.durable import write_durably
from mmd.types.decoding import UNREADABLE

CHECKPOINT_NAME = "ledger.json"
VERSION = 1


class CheckpointError(RuntimeError):
    """The checkpoint on disk cannot be trusted. Starting without it would lose positions and refill loss budgets."""


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    account: str
    sha256: str
    document: msgspec.Raw


class CheckpointFile:
    """Keeps the newest checkpoint of one account. `account` says whose it is: another account's is refused."""

    def __init__(self, state_dir: Path, account: str) -> None:
        self.path = state_dir / CHECKPOINT_NAME
        self.previous_path = state_dir / f"{CHECKPOINT_NAME}.previous"
        self.account = account

    def write(self, document: bytes) -> None:
        """Put an encoded JSON document on disk; it is there when this returns. Raises `OSError`."""
        digest = hashlib.sha256(document).hexdigest()
        self._keep_previous()
        write_durably(self.path, msgspec.json.encode(_Envelope(VERSION, self.account, digest, msgspec.Raw(document))))

    def read(self) -> dict[str, Any] | None:
        """The newest checkpoint, None at the first start. Raises `CheckpointError` when it is damaged, foreign or missing."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            if self.previous_path.exists():
                raise self._error("is missing, though the one before it is there") from None
            return None
        except OSError as error:
            raise self._error(f"cannot be read: {error}") from error
        try:
            envelope = msgspec.json.decode(content, type=_Envelope)
            document: dict[str, Any] = msgspec.json.decode(envelope.document, type=dict[str, Any])
        except UNREADABLE as error:
            raise self._error(f"is damaged: {error}") from error
        if envelope.version != VERSION:
            raise self._error(f"has version {envelope.version}, this program reads {VERSION}")
        if hashlib.sha256(bytes(envelope.document)).hexdigest() != envelope.sha256:
            raise self._error("is damaged: its checksum does not match")
        if envelope.account != self.account:
            raise CheckpointError(
                f"checkpoint {self.path} belongs to account {envelope.account}, this daemon trades {self.account}: "
                "give each account its own state_dir"
            )
        return document

    def _keep_previous(self) -> None:
        # A hard link, so that there is no moment at which the newest checkpoint bears no name.
        spare = self.previous_path.with_name(f".{self.previous_path.name}.{os.getpid()}")
        spare.unlink(missing_ok=True)
        try:
            spare.hardlink_to(self.path)
        except FileNotFoundError:
            return
        spare.replace(self.previous_path)

    def _error(self, problem: str) -> CheckpointError:
        return CheckpointError(
            f"checkpoint {self.path} {problem}. Restore it from {self.previous_path} or a backup; only if this account "
            "holds no position of ours, move both files away to start with an empty ledger and full budgets"
        )
