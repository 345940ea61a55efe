"""Where external signals come in: POST /signals, and a file that another program writes.

Both bring one JSON object, `{"news_sentiment": -0.4, "macro_risk": 0.2, "life_seconds": 600}`. The whole is checked before any
of it counts. A file's signals live from the time it was last written, so that a dead writer's word does not live for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog
from pydantic import BaseModel, ConfigDict, Field

from mmd.market.signals import RANGES, ExternalSignal, SignalError, external_signal
from mmd.types.decoding import UNREADABLE

log = structlog.get_logger(__name__)

LIFE = "life_seconds"
MAX_FILE_BYTES = 65_536


class SignalSettings(BaseModel):
    """The feed of external signals."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    file: Path | None = Field(None, description="JSON file with signals, read whenever it was written anew; none by default.")
    poll_seconds: float = Field(1.0, gt=0, le=3600, description="Time between two looks at that file, seconds.")
    life_seconds: float = Field(
        300.0, gt=0, le=86_400, description="How long a signal counts that does not say so itself (`life_seconds`), seconds."
    )


class SignalFeed:
    """`dispatch` takes the signals one by one. `refused` counts what made no sense."""

    def __init__(
        self, settings: SignalSettings, *, dispatch: Callable[[ExternalSignal], None], clock_ns: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._dispatch = dispatch
        self._clock_ns = clock_ns
        self._written_ns = 0
        self.refused = 0

    def take(self, document: Any, receive_ns: int | None = None) -> int:
        """Take a document's signals; how many there were. Raises `SignalError`, and then none counts."""
        try:
            signals = self._signals(document, self._clock_ns() if receive_ns is None else receive_ns)
        except SignalError:
            self.refused += 1
            raise
        for signal in signals:
            self._dispatch(signal)
        return len(signals)

    async def watch_file(self) -> None:
        """Until cancelled. A file that is missing or makes no sense is logged and counted, once for each time it was written."""
        assert self._settings.file is not None
        while True:
            await self._look(self._settings.file)
            await asyncio.sleep(self._settings.poll_seconds)

    async def _look(self, file: Path) -> None:
        try:
            written_ns, contents = await asyncio.to_thread(_read, file, self._written_ns)
            if contents is None:
                return
            self._written_ns = written_ns
            self.take(msgspec.json.decode(contents), min(written_ns, self._clock_ns()))
        except FileNotFoundError:
            # Nobody has written it yet, or it is just being replaced: absent is neutral, and the metric says so.
            self._written_ns = 0
        except SignalError as error:
            log.error("the signals of a file are refused", file=str(file), error=str(error))
        except (OSError, *UNREADABLE) as error:
            self.refused += 1
            log.error("the file of signals cannot be read", file=str(file), error=str(error))

    def _signals(self, document: Any, receive_ns: int) -> list[ExternalSignal]:
        if not isinstance(document, dict):
            raise SignalError("expected one JSON object")
        fields: dict[str, Any] = document
        unknown = [name for name in fields if name not in RANGES and name != LIFE]
        if unknown:
            raise SignalError(f"unknown field {unknown[0]!r}: expected {', '.join(RANGES)} or {LIFE}")
        life_seconds = _number(LIFE, fields.get(LIFE, self._settings.life_seconds))
        signals = [
            external_signal(receive_ns, name, _number(name, fields[name]), life_seconds) for name in RANGES if name in fields
        ]
        if not signals:
            raise SignalError(f"no signal in it: expected {' or '.join(RANGES)}")
        return signals


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise SignalError(f"{name} is {value!r}: expected a number") from None


def _read(file: Path, known_ns: int) -> tuple[int, bytes | None]:
    status = file.stat()
    if status.st_mtime_ns == known_ns:
        return known_ns, None
    if status.st_size > MAX_FILE_BYTES:
        raise OSError(f"{status.st_size} bytes are too many for signals: at most {MAX_FILE_BYTES}")
    return status.st_mtime_ns, file.read_bytes()
