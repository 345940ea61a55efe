"""The ledger of a live session: its file opened, fed with what the journal takes in, and what it lacks asked of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmd.daemon.settings import Settings
from mmd.execution.client_order_ids import ClientOrderIds
from mmd.journal.errors import JournalError
from mmd.journal.reader import SessionJournal, session_summaries
from mmd.ledger.entries import Bookkeeper
from mmd.ledger.store import FILE_NAME, LedgerStore
from mmd.ledger.writer import LedgerWriter
from mmd.types.instrument import Instrument


def ledger_file(settings: Settings) -> Path:
    """Where the ledger is."""
    return settings.ledger.file or settings.state_dir / FILE_NAME


class SessionLedger:
    """What a session needs of its ledger, whether one is kept or not. Raises `LedgerError`."""

    def __init__(self, settings: Settings) -> None:
        kept = settings.ledger
        self._settings = settings
        self._store = LedgerStore(ledger_file(settings), busy_timeout_seconds=kept.busy_timeout_seconds) if kept.enabled else None
        self.writer: LedgerWriter | None = None

    def last_trade_ids(self) -> dict[str, int]:
        """By symbol, the newest trade that is booked; -1 where none is. Empty where no ledger is kept."""
        if self._store is None:
            return {}
        return dict.fromkeys(self._settings.symbols, -1) | self._store.last_trade_ids()

    def begin(self, instruments: Mapping[str, Instrument], session: str) -> LedgerWriter | None:
        """Book from now on."""
        if self._store is None:
            return None
        settings = self._settings
        bookkeeper = Bookkeeper(instruments, prefix=settings.client_order_id_prefix, session=session)
        self.writer = LedgerWriter(self._store, bookkeeper, settings.ledger)
        self.writer.start()
        return self.writer

    def close(self) -> None:
        """Book what is left."""
        if self.writer is not None:
            self.writer.close()
        elif self._store is not None:
            self._store.close()


class LedgerFeed:
    """Feeds the ledger where no journal is kept. Raises nothing."""

    crowded = False

    def __init__(self, writer: LedgerWriter) -> None:
        self._writer = writer

    def append(self, record: Any) -> None:
        """One record."""
        self._writer.take((record,))

    def extend(self, records: Sequence[Any]) -> None:
        """Several."""
        self._writer.take(records)

    def check(self) -> str:
        """What is wrong with the ledger."""
        return self._writer.problem()


def rebuild(path: Path, journals: Path, on_session: Callable[[str], None]) -> tuple[int, list[str]]:
    """A new ledger from all sessions' journals, the old file kept beside it. Sessions read, and what was wrong with others.

    Raises `LedgerError`, `JournalError`, `OSError`.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    store = LedgerStore(fresh)
    read, problems = 0, []
    for summary in session_summaries(journals):
        on_session(summary.session)
        try:
            _book_session(store, SessionJournal(Path(summary.folder)))
            read += 1
        except JournalError as error:
            problems.append(str(error))
    store.close()
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.replace(path.with_name(f"{path.name}.old{suffix}"))
    fresh.replace(path)
    return read, problems


def _book_session(store: LedgerStore, journal: SessionJournal) -> None:
    begin = journal.begin
    instruments = {instrument.symbol: instrument for instrument in begin.instruments}
    prefix = _prefix_of(bytes(begin.trader_config))
    assert ClientOrderIds(prefix, begin.session)
    bookkeeper = Bookkeeper(instruments, prefix=prefix, session=begin.session)
    store.write(lambda connection: bookkeeper.book(connection, journal.records()))


def _prefix_of(trader_config: bytes) -> str:
    import msgspec

    prefix: str = msgspec.json.decode(trader_config)["client_order_id_prefix"]
    return prefix
