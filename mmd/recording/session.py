"""One run of the recorder: feed and writer put together, a live line, and an end in order."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec
import structlog
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mmd.exchanges.adapter import AdapterError
from mmd.exchanges.settings import ExchangeSettings
from mmd.recording.feed import RecordedFeed
from mmd.recording.instruments import InstrumentsFileError
from mmd.recording.settings import RecordingSettings
from mmd.recording.writer import RecordingStatus, RecordingWriter

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.25


class RecordingFailed(RuntimeError):
    """The recording could not begin. The text says why and how to mend it."""


class RecordingOutcome(msgspec.Struct, frozen=True):
    """What was recorded. `problem` is empty where nothing of ours made a hole."""

    folder: str
    market: str
    symbols: tuple[str, ...]
    seconds: float
    reconnects: int
    status: RecordingStatus
    problem: str


def run_recording(
    venue: ExchangeSettings,
    market: str,
    symbols: tuple[str, ...],
    folder: Path,
    settings: RecordingSettings,
    seconds: float | None,
) -> RecordingOutcome:
    """Record until SIGTERM, SIGINT, `seconds` or a disk that refuses. Raises `RecordingFailed`."""
    return uvloop.run(_Session(venue, market, symbols, folder, settings).run(seconds))


class _Session:
    def __init__(
        self, venue: ExchangeSettings, market: str, symbols: tuple[str, ...], folder: Path, settings: RecordingSettings
    ) -> None:
        self._venue = venue
        self._market = market
        self._symbols = symbols
        self._folder = folder
        self._settings = settings
        self._problem = ""
        self._over = asyncio.Event()

    async def run(self, seconds: float | None) -> RecordingOutcome:
        feed = RecordedFeed(
            self._venue, self._market, self._symbols, clock_ns=time.time_ns, on_failure=self._on_failure, random=Random()
        )
        try:
            writer = await self._writer(feed)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._over.set)
            writer.start()
            begun = time.monotonic()
            try:
                feed.start(writer)
                await self._watch(feed, writer, begun, seconds)
            finally:
                await feed.close()
                status = await asyncio.to_thread(writer.close)
        finally:
            await feed.close()
        reconnects = feed.counters.reconnects + feed.counters.connect_failures
        taken = time.monotonic() - begun
        return RecordingOutcome(
            str(self._folder), self._market, self._symbols, round(taken, 3), reconnects, status, self._problem_of(status)
        )

    async def _writer(self, feed: RecordedFeed) -> RecordingWriter:
        try:
            instruments = await feed.load_instruments()
            return RecordingWriter(self._folder, self._market, instruments, self._settings)
        except AdapterError as error:
            raise RecordingFailed(f"{error}; is the venue up, and are --profile and the URLs right?") from error
        except (OSError, InstrumentsFileError) as error:
            raise RecordingFailed(f"cannot record into {self._folder}: {error}") from error

    async def _watch(self, feed: RecordedFeed, writer: RecordingWriter, begun: float, seconds: float | None) -> None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
        segments = len(self._symbols)
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            line = progress.add_task("connecting", total=seconds)
            frames, looked = 0, begun
            while not self._over.is_set():
                left = _LOOK_SECONDS if seconds is None else min(_LOOK_SECONDS, seconds - (time.monotonic() - begun))
                if left <= 0:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), left)
                now, status = time.monotonic(), writer.status()
                rate, frames, looked = (feed.counters.frames - frames) / (now - looked), feed.counters.frames, now
                progress.update(line, completed=now - begun, description=self._line(feed, status, rate))
                if status.segments > segments:
                    # Each file can be used without the ones before it.
                    feed.want_snapshots()
                    segments = status.segments
                if status.failure:
                    self._problem = f"the recording in {self._folder} ends here: {status.failure}"
                    return

    def _line(self, feed: RecordedFeed, status: RecordingStatus, rate: float) -> str:
        state = "recording" if feed.connected else "no connection"
        holes = f", [red]{status.dropped + status.lost:,} lost[/red]" if status.dropped or status.lost else ""
        return (
            f"{state} {', '.join(self._symbols)}: {status.frames:,} frames ({rate:,.0f}/s), {status.bytes_written / 1e6:.1f} MB in "
            f"{status.segments} files, {status.bytes_buffered / 1e3:,.0f} kB waiting{holes}"
        )

    def _problem_of(self, status: RecordingStatus) -> str:
        if self._problem:
            return self._problem
        if status.failure:
            return f"the recording in {self._folder} is not whole: {status.failure}"
        if status.dropped or status.lost:
            return f"the recording has holes: {status.dropped:,} frames dropped, {status.lost:,} lost"
        return "nothing was received" if not status.frames else ""

    def _on_failure(self, error: BaseException, where: str) -> None:
        log.critical("the recorder failed", where=where, exc_info=error)
        self._problem = self._problem or f"failure in {where}: {type(error).__name__}: {error}"
        self._over.set()
