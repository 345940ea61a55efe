"""The tables of the ledger and how an older file becomes a newer one. A version that was released is never changed again."""

from __future__ import annotations

import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE orders (
            client_order_id TEXT PRIMARY KEY, session TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
            price_ticks INTEGER NOT NULL, lots INTEGER NOT NULL, price TEXT NOT NULL, quantity TEXT NOT NULL,
            sent_ns INTEGER NOT NULL, replaces TEXT NOT NULL, exchange_order_id INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL, filled_lots INTEGER NOT NULL DEFAULT 0, changed_ns INTEGER NOT NULL)""",
        "CREATE INDEX orders_by_exchange_id ON orders (symbol, exchange_order_id)",
        """CREATE TABLE fills (
            symbol TEXT NOT NULL, trade_id INTEGER NOT NULL, client_order_id TEXT NOT NULL, exchange_order_id INTEGER NOT NULL,
            side TEXT NOT NULL, price_ticks INTEGER NOT NULL, lots INTEGER NOT NULL, price TEXT NOT NULL, quantity TEXT NOT NULL,
            fee_atoms INTEGER NOT NULL, fee_asset TEXT NOT NULL, is_maker INTEGER NOT NULL, exchange_ns INTEGER NOT NULL,
            receive_ns INTEGER NOT NULL, PRIMARY KEY (symbol, trade_id)) WITHOUT ROWID""",
        """CREATE TABLE halts (
            time_ns INTEGER NOT NULL, halted INTEGER NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL,
            realised_atoms INTEGER NOT NULL, unrealised_atoms INTEGER NOT NULL, PRIMARY KEY (time_ns, halted))""",
    ),
    (
        """CREATE TABLE positions (
            symbol TEXT NOT NULL, time_ns INTEGER NOT NULL, position_atoms INTEGER NOT NULL, cost_atoms INTEGER NOT NULL,
            realised_atoms INTEGER NOT NULL, fees_quote_atoms INTEGER NOT NULL, funding_atoms INTEGER NOT NULL,
            PRIMARY KEY (symbol, time_ns))""",
        # How a fill came to us: by the stream, or by a comparison with the venue's list.
        "ALTER TABLE fills ADD COLUMN source TEXT NOT NULL DEFAULT 'stream'",
        "CREATE INDEX fills_by_time ON fills (exchange_ns)",
    ),
)
VERSION = len(MIGRATIONS)


class SchemaError(RuntimeError):
    """A file of a version that this program does not know."""


def version_of(connection: sqlite3.Connection) -> int:
    """Number of migrations that the file has seen; 0 for an empty one."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection, to_version: int = VERSION) -> None:
    """Bring the file up, each version in a transaction of its own. Raises `SchemaError` for a newer file, `sqlite3.Error`."""
    found = version_of(connection)
    if found > VERSION:
        raise SchemaError(f"it has schema version {found}, this program knows {VERSION}: use the program that wrote it")
    for version in range(found, to_version):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
