"""The ledger's file: each trade once, older files brought up, and every way a file can be refused told with its remedy."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmd.daemon.session_ledger import rebuild
from mmd.journal.reader import SessionJournal
from mmd.ledger.entries import Bookkeeper
from mmd.ledger.schema import VERSION, migrate, version_of
from mmd.ledger.settings import LedgerSettings
from mmd.ledger.store import LedgerError, LedgerStore
from mmd.ledger.writer import LedgerWriter
from mmd.types.control import HaltRecord, PersistHalt, PersistLedger
from mmd.types.instrument import Instrument
from mmd.types.market import Side
from mmd.types.orders import (
    AmendOrder,
    Fill,
    OrderAccepted,
    OrderRejected,
    OrderStatus,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    ReconciliationReport,
    ReplaceOrder,
)
from tests.simulation.journaled_world import record_session
from tests.unit.journal.journals import wait_for

BTC = Instrument.create("BTCUSDT", "BTC", "USDT", tick_size="0.01", lot_size="0.00001", min_notional="5")
PLACE = PlaceOrder(10, "mmd-abc-1", "BTCUSDT", Side.BUY, 6_000_000, 100)
FILL = Fill(30, "BTCUSDT", 7, "mmd-abc-1", 4711, Side.BUY, 6_000_000, 40, 5, "BTC", True, 29)


def a_bookkeeper() -> Bookkeeper:
    return Bookkeeper({"BTCUSDT": BTC}, prefix="mmd", session="abc")


def booked(path: Path, *records: Any) -> LedgerStore:
    store = LedgerStore(path)
    store.write(lambda connection: a_bookkeeper().book(connection, records))
    return store


def an_update(name: str, status: OrderStatus, filled: int = 0, replaced: str = "", at: int = 40) -> OrderUpdate:
    return OrderUpdate(at, "BTCUSDT", name, 4711, Side.BUY, 6_000_000, 100, filled, status, at, replaced)


def test_an_order_and_its_life(tmp_path: Path) -> None:
    accepted = OrderAccepted(20, "BTCUSDT", "mmd-abc-1", 4711)
    store = booked(tmp_path / "l", PLACE, accepted, FILL, an_update("mmd-abc-1", OrderStatus.PARTIALLY_FILLED, 40))
    (order,) = store.rows("orders")
    assert (order["state"], order["filled_lots"], order["exchange_order_id"]) == ("PARTIALLY_FILLED", 40, 4711)
    assert (order["price"], order["quantity"], order["side"]) == ("60000.00", "0.00100", "BUY")
    (fill,) = store.rows("fills")
    assert (fill["trade_id"], fill["quantity"], fill["fee_atoms"], fill["source"]) == (7, "0.00040", 5, "stream")
    store.write(lambda connection: a_bookkeeper().book(connection, [an_update("mmd-abc-1", OrderStatus.CANCELED, 40)]))
    # An acknowledgement that comes late does not bring it back.
    late = [OutcomeUnknown(60, "BTCUSDT", "mmd-abc-1", "late"), an_update("mmd-abc-1", OrderStatus.NEW, 0, at=61)]
    store.write(lambda connection: a_bookkeeper().book(connection, late))
    assert store.rows("orders")[0]["state"] == "CANCELED"


def test_a_trade_is_booked_once_however_often_and_whichever_way_it_comes(tmp_path: Path) -> None:
    nameless = msgspec.structs.replace(FILL, client_order_id="")
    other = msgspec.structs.replace(FILL, client_order_id="", trade_id=8)
    foreign = msgspec.structs.replace(FILL, client_order_id="web_1", trade_id=9, exchange_order_id=5)
    unknown = msgspec.structs.replace(FILL, client_order_id="", trade_id=10, exchange_order_id=6)
    report = ReconciliationReport(50, 49, (), (), (nameless, other, foreign, unknown))
    store = booked(tmp_path / "l", PLACE, OrderAccepted(20, "BTCUSDT", "mmd-abc-1", 4711), FILL, FILL, report, report, FILL)
    assert [(row["trade_id"], row["source"], row["client_order_id"]) for row in store.rows("fills")] == [
        (7, "stream", "mmd-abc-1"),
        (8, "comparison", "mmd-abc-1"),
    ]
    assert store.last_trade_ids() == {"BTCUSDT": 8}


def test_replacements_amends_refusals_halts_and_positions(tmp_path: Path) -> None:
    ledger = {"position_atoms": 5, "cost_atoms": 6, "realised_atoms": 7, "fees_quote_atoms": 8, "funding_atoms": 0}
    document = msgspec.json.encode({"ledgers": {"BTCUSDT": ledger}})
    store = booked(
        tmp_path / "l",
        PLACE,
        ReplaceOrder(20, "mmd-abc-1", "mmd-abc-2", "BTCUSDT", Side.BUY, 6_000_100, 90),
        AmendOrder(25, "mmd-abc-2", "mmd-abc-3", "BTCUSDT", 50),
        OrderRejected(26, "BTCUSDT", "mmd-abc-3", -2010, "no"),
        PersistLedger(document),
        PersistLedger(document),
        PersistHalt(HaltRecord(True, "drill", "cli", 27, 7, -2)),
    )
    names = {row["client_order_id"]: row for row in store.rows("orders")}
    assert names["mmd-abc-2"]["replaces"] == "mmd-abc-1"
    assert (names["mmd-abc-3"]["lots"], names["mmd-abc-3"]["state"], names["mmd-abc-3"]["price"]) == (50, "REJECTED", "60001.00")
    (position,) = store.rows("positions")
    assert (position["position_atoms"], position["time_ns"]) == (5, 26)
    (halt,) = store.rows("halts")
    assert (halt["reason"], halt["unrealised_atoms"]) == ("drill", -2)


def test_rows_by_time_symbol_and_number(tmp_path: Path) -> None:
    fills = [msgspec.structs.replace(FILL, trade_id=n, exchange_ns=n) for n in range(10)]
    store = booked(tmp_path / "l", *fills)
    assert [row["trade_id"] for row in store.rows("fills", since_ns=7)] == [7, 8, 9]
    assert [row["trade_id"] for row in store.rows("fills", limit=2)] == [8, 9]
    assert store.rows("fills", symbol="ETHUSDT") == []


@pytest.mark.parametrize("version", range(VERSION))
def test_an_older_file_is_brought_up_and_keeps_what_it_holds(tmp_path: Path, version: int) -> None:
    path = tmp_path / "l"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, version)
    if version >= 1:
        connection.execute(
            "INSERT INTO fills VALUES ('BTCUSDT', 3, 'mmd-old-1', 9, 'SELL', 1, 2, '0.01', '0.00002', 0, 'USDT', 1, 4, 5)"
        )
    connection.close()
    store = LedgerStore(path)
    assert version_of(store._connection) == VERSION
    rows = store.rows("fills")
    assert [(row["trade_id"], row["source"]) for row in rows] == ([(3, "stream")] if version >= 1 else [])
    store.write(lambda connection: a_bookkeeper().book(connection, [PLACE, FILL]))
    assert len(store.rows("fills")) == len(rows) + 1


def test_a_migration_that_fails_leaves_the_file_at_its_version(tmp_path: Path) -> None:
    path = tmp_path / "l"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, 1)
    connection.execute("CREATE TABLE positions (in_the_way INTEGER)")
    connection.close()
    with pytest.raises(LedgerError, match="positions already exists"):
        LedgerStore(path)
    connection = sqlite3.connect(path)
    assert version_of(connection) == 1
    assert "source" not in [row[1] for row in connection.execute("PRAGMA table_info(fills)")]


def test_a_file_of_a_later_program_is_refused(tmp_path: Path) -> None:
    booked(tmp_path / "l")._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="schema version 99"):
        LedgerStore(tmp_path / "l")


def test_a_corrupt_file_is_refused_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "l"
    booked(path, *[msgspec.structs.replace(FILL, trade_id=n) for n in range(2_000)]).close()
    content = bytearray(path.read_bytes())
    content[4096:12288] = b"\xa5" * 8192
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="mmd ledger rebuild"):
        LedgerStore(path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LedgerError, match="mmd ledger rebuild"):
        LedgerStore(path)


def a_writer(path: Path, **settings: Any) -> tuple[LedgerStore, LedgerWriter]:
    made = LedgerSettings(retry_seconds=0.05, busy_timeout_seconds=0.05, **settings)
    store = LedgerStore(path, busy_timeout_seconds=0.05)
    writer = LedgerWriter(store, a_bookkeeper(), made)
    writer.start()
    return store, writer


def test_a_locked_file_is_a_problem_until_it_is_free_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "l"
    _, writer = a_writer(path)
    writer.take([PLACE])
    wait_for("the order to be booked", lambda: writer.status().booked == 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.take([FILL])
    wait_for("the lock to be told", lambda: "database is locked" in writer.problem())
    other.execute("ROLLBACK")
    wait_for("the fill to be booked", lambda: writer.status().booked == 2)
    wait_for("the problem to be over", lambda: writer.problem() == "")
    writer.close()
    assert len(LedgerStore(path).rows("fills")) == 1


def test_a_full_disk_is_a_problem_and_nothing_half_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "l"
    store, writer = a_writer(path)
    writer.take([PLACE])
    wait_for("the order to be booked", lambda: writer.status().booked == 1)
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    # SQLite's own word for a file that cannot grow is the one that a full disk gets.
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    writer.take([msgspec.structs.replace(FILL, trade_id=n) for n in range(900)])
    wait_for("the disk to be told full", lambda: "full" in writer.problem())
    assert LedgerStore(path, read_only=True).rows("fills") == []
    store._connection.execute("PRAGMA max_page_count = 1000000")
    wait_for("all fills to be booked", lambda: writer.status().booked == 901)
    writer.close()
    assert len(LedgerStore(path).rows("fills")) == 900


def test_after_too_much_has_waited_nothing_more_is_booked_so_that_no_hole_has_something_after_it(tmp_path: Path) -> None:
    path = tmp_path / "l"
    _, writer = a_writer(path, max_waiting_records=100)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for trade_id in range(150):
        writer.take([msgspec.structs.replace(FILL, trade_id=trade_id)])
    assert "max_waiting_records" in writer.problem()
    assert writer.status().lost == 50
    other.execute("ROLLBACK")
    wait_for("what waited to be booked", lambda: writer.status().booked == 100)
    writer.take([msgspec.structs.replace(FILL, trade_id=500)])
    status = writer.close()
    assert status.lost == 51
    assert "restart" in status.failure
    assert LedgerStore(path).last_trade_ids() == {"BTCUSDT": 99}


def test_a_lost_file_is_made_anew_from_the_journals(tmp_path: Path) -> None:
    record_session(tmp_path / "journal", 20, session="s")
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"ruined")
    read, problems = rebuild(path, tmp_path / "journal", lambda session: None)
    assert (read, problems) == (1, [])
    records = list(SessionJournal(tmp_path / "journal" / "s").records())
    store = LedgerStore(path)
    assert {row["trade_id"] for row in store.rows("fills", symbol="BTCUSDT")} == {
        record.trade_id for record in records if isinstance(record, Fill) and record.symbol == "BTCUSDT"
    }
    assert len(store.rows("orders")) == sum(isinstance(record, PlaceOrder | ReplaceOrder | AmendOrder) for record in records)
    assert store.rows("positions")
    assert (tmp_path / "ledger.sqlite.old").read_bytes() == b"ruined"
