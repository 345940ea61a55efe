"""The journal of a live session: its beginning made of what the core was made of, and the taps that feed it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mmd import __version__
from mmd.daemon.bundles import plain_predictor
from mmd.daemon.latency import StageClock
from mmd.daemon.session_ledger import LedgerFeed, SessionLedger
from mmd.daemon.settings import Settings
from mmd.exchanges.adapter import ExchangeAdapter, WritesRequests
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.inference.runtime import Runtime
from mmd.journal.networks import JournaledPredictor, networks_in_use, this_machine
from mmd.journal.records import FORMAT_VERSION, SessionBegin
from mmd.journal.writer import JournalWriter
from mmd.trader import TraderConfig
from mmd.types.control import HaltRecord
from mmd.types.instrument import Instrument

FOLDER = "journal"
MASKED = "masked"


def journal_root(settings: Settings) -> Path:
    """The folder of all sessions' journals."""
    return settings.journal.folder or settings.state_dir / FOLDER


class SessionJournal:
    """What a session needs of its journal, whether one is kept or not; it feeds the ledger too."""

    def __init__(self, settings: Settings, config: TraderConfig, started_ns: int, ledger: SessionLedger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._config = config
        self._started_ns = started_ns
        kept = settings.journal.enabled
        self.writer = writer = JournalWriter(journal_root(settings), config.session, settings.journal) if kept else None
        self.of_dispatcher: JournalWriter | LedgerFeed | None = None
        """What takes events and commands."""
        self.stages = StageClock(None if writer is None else writer.append)

    def make_predictor(self, bundle: Bundle, runtime: Runtime, symbol: str) -> QuotePredictor:
        """One whose word is on record."""
        writer = self.writer
        if writer is None:
            return plain_predictor(bundle, runtime, symbol)
        return JournaledPredictor(bundle, runtime, symbol, lambda said: writer.append(said))

    def begin(
        self,
        adapter: ExchangeAdapter,
        checkpoint: Mapping[str, Any] | None,
        halt: HaltRecord | None,
        bundle: Bundle | None,
        predictors: Mapping[str, QuotePredictor],
    ) -> None:
        """Once the core was made, before it hears of anything. Raises `OSError`."""
        writer = self.writer
        booking = self._ledger.begin(adapter.instruments, self._config.session)
        if writer is None:
            self.of_dispatcher = None if booking is None else LedgerFeed(booking)
            return
        writer.listener = booking
        self.of_dispatcher = writer
        writer.begin(
            session_begin(self._settings, self._config, self._started_ns, adapter.instruments, checkpoint, halt, bundle, predictors)
        )
        if isinstance(adapter, WritesRequests):
            adapter.tell_requests(lambda request: writer.append(request))

    async def close(self, detail: str) -> None:
        """Last of all, when nothing is left that could append; the disk may take its time."""
        if self.writer is not None:
            await asyncio.to_thread(self.writer.close, detail, time.time_ns())
        await asyncio.to_thread(self._ledger.close)


def session_begin(
    settings: Settings,
    config: TraderConfig,
    started_ns: int,
    instruments: Mapping[str, Instrument],
    checkpoint: Mapping[str, Any] | None,
    halt: HaltRecord | None,
    bundle: Bundle | None,
    predictors: Mapping[str, QuotePredictor],
) -> SessionBegin:
    """The first record of a session."""
    masked = _masked(settings)
    return SessionBegin(
        format_version=FORMAT_VERSION,
        program_version=__version__,
        session=config.session,
        started_ns=started_ns,
        venue=settings.venue,
        mode=settings.mode,
        account=settings.account,
        symbols=settings.symbols,
        settings=msgspec.json.encode(masked),
        settings_sha256=hashlib.sha256(msgspec.json.encode(masked, order="deterministic")).hexdigest(),
        trader_config=config.model_dump_json().encode(),
        exchange=msgspec.json.encode(masked["exchange"]),
        instruments=tuple(instruments.values()),
        checkpoint=None if checkpoint is None else msgspec.json.encode(checkpoint),
        halt=halt,
        networks=None if bundle is None else networks_in_use(bundle, predictors),
        machine=this_machine(),
    )


def _masked(settings: Settings) -> dict[str, Any]:
    """Every setting as JSON has it; secrets are masked by their type, the key by its name."""
    document = settings.model_dump(mode="json", serialize_as_any=True)
    if document["exchange"].get("api_key"):
        document["exchange"]["api_key"] = MASKED
    return document
