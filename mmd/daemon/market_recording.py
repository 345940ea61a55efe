"""The market's frames recorded beside trading: a tap that costs the way of a tick one append; a thread writes."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from mmd.exchanges.adapter import AdapterError
from mmd.recording.instruments import SPOT, USD_M
from mmd.recording.settings import RecordingSettings
from mmd.recording.writer import RecordingStatus, RecordingWriter
from mmd.types.instrument import Instrument

log = structlog.get_logger(__name__)

RECORDED_VENUES: Mapping[str, str] = {"binance": SPOT, "binance-usdm": USD_M}
"""Adapters whose frames are Binance's, and the market that the files' names say."""


class MarketRecording:
    """Give `on_frame` and `on_snapshot` to the adapter; they may be called once `begin` was."""

    def __init__(self, settings: RecordingSettings, venue: str) -> None:
        """Raises `AdapterError` for a venue whose frames are not recorded."""
        assert settings.folder is not None
        if venue not in RECORDED_VENUES:
            known = ", ".join(RECORDED_VENUES)
            raise AdapterError(f"recording.folder is set, but only frames of {known} are recorded, not {venue!r}: leave it out")
        self._settings = settings
        self._folder = settings.folder
        self._market = RECORDED_VENUES[venue]
        self._writer: RecordingWriter | None = None

    def begin(self, instruments: Mapping[str, Instrument]) -> None:
        """Open the folder. Raises `OSError` or `InstrumentsFileError`."""
        self._writer = RecordingWriter(self._folder, self._market, instruments, self._settings)
        self._writer.start()

    def on_frame(self, receive_ns: int, frame: bytes) -> None:
        """A market frame as it was received."""
        assert self._writer is not None
        self._writer.on_frame(receive_ns, frame)

    def on_snapshot(self, receive_ns: int, symbol: str, body: bytes) -> None:
        """A REST depth reply as it was received."""
        assert self._writer is not None
        self._writer.on_snapshot(receive_ns, symbol, body)

    def status(self) -> RecordingStatus | None:
        """What was recorded, once it began."""
        return None if self._writer is None else self._writer.status()

    def end(self) -> None:
        """Write what is left, close, and say what came of it."""
        if self._writer is None:
            return
        status = self._writer.close()
        whole = not (status.dropped or status.lost or status.failure)
        (log.info if whole else log.error)(
            "recording ended",
            folder=str(self._folder),
            frames=status.frames,
            bytes=status.bytes_written,
            dropped=status.dropped,
            lost=status.lost,
            failure=status.failure,
        )
