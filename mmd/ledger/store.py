"""The ledger's file: opened and brought up to date, written in whole transactions, read by table and time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmd.ledger.schema import SchemaError, migrate

FILE_NAME = "ledger.sqlite"
TABLES = {"orders": "sent_ns", "fills": "exchange_ns", "positions": "time_ns", "halts": "time_ns"}
"""Table to the column that says when."""
_NUMBERS = {"fills": "trade_id"}
"""What tells rows of the same time apart, where that is not the order in which they were written."""


class LedgerError(RuntimeError):
    """The file cannot be used; the text says which, why, and how to mend it."""


class LedgerStore:
    """One file. Used by one thread."""

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 2.0, read_only: bool = False) -> None:
        """Raises `LedgerError`."""
        self.path = path
        try:
            target = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
            self._connection = sqlite3.connect(
                target, uri=True, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            if not read_only:
                self._connection.execute("PRAGMA journal_mode = WAL")
                # A power cut may take the last transactions, never the file: the exchange gives them back at the next start.
                self._connection.execute("PRAGMA synchronous = NORMAL")
                migrate(self._connection)
            self._check()
        except (sqlite3.Error, SchemaError) as error:
            raise _explained(path, error) from error

    def write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """Everything that `write` does, or nothing. Raises `sqlite3.Error`."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            write(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def rows(self, table: str, *, since_ns: int = 0, symbol: str = "", limit: int = -1) -> list[dict[str, Any]]:
        """Rows of a table, oldest first; with a limit the newest so many. Raises `LedgerError`."""
        when = TABLES[table]
        condition, values = f"{when} >= ?", [since_ns]
        if symbol and table != "halts":
            condition += " AND symbol = ?"
            values.append(symbol)  # type: ignore[arg-type]
        number = _NUMBERS.get(table, "rowid")
        query = f"SELECT * FROM {table} WHERE {condition} ORDER BY {when} DESC, {number} DESC LIMIT ?"
        try:
            return [dict(row) for row in self._connection.execute(query, (*values, limit))][::-1]
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def last_trade_ids(self) -> dict[str, int]:
        """By symbol. Raises `LedgerError`."""
        try:
            return dict(self._connection.execute("SELECT symbol, max(trade_id) FROM fills GROUP BY symbol").fetchall())
        except sqlite3.Error as error:
            raise _explained(self.path, error) from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _check(self) -> None:
        found = self._connection.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(f"database disk image is malformed: {found}")


def _explained(path: Path, error: Exception) -> LedgerError:
    text = str(error)
    if "locked" in text or "busy" in text:
        remedy = "another program holds it: close that one"
    elif "malformed" in text or "not a database" in text:
        remedy = (
            "make it anew from the journals with `mmd ledger rebuild`; what they lack the exchange gives back at the next start"
        )
    elif "full" in text or "I/O" in text:
        remedy = "make room on the disk"
    else:
        remedy = "see whether the folder is there and may be written"
    return LedgerError(f"ledger {path}: {text} ({remedy})")
