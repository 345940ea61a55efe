"""From what the core hears and says to rows of the ledger. Booked twice is booked once: trades by their id, orders by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mmd.execution.client_order_ids import ClientOrderIds
from mmd.types.control import PersistHalt, PersistLedger
from mmd.types.instrument import Instrument
from mmd.types.orders import (
    AmendOrder,
    CancelRejected,
    Fill,
    ModifyOrder,
    OrderAccepted,
    OrderNotFound,
    OrderRejected,
    OrderUpdate,
    OutcomeUnknown,
    PlaceOrder,
    ReconciliationReport,
    ReplaceOrder,
)

SENT, ACCEPTED, REFUSED, UNKNOWN, NOT_FOUND = "SENT", "NEW", "REJECTED", "UNKNOWN", "NOT_FOUND"
RELEVANT = frozenset(
    {
        PlaceOrder, ReplaceOrder, AmendOrder, ModifyOrder, OrderAccepted, OrderRejected, CancelRejected, OrderUpdate,
        OutcomeUnknown, OrderNotFound, Fill, ReconciliationReport, PersistHalt, PersistLedger,
    }
)  # fmt: skip
_ENDS = "('FILLED', 'CANCELED', 'REJECTED', 'EXPIRED', 'EXPIRED_IN_MATCH', 'NOT_FOUND')"


class Bookkeeper:
    """Of one session. `prefix` and `session` make our client ids."""

    def __init__(self, instruments: Mapping[str, Instrument], *, prefix: str, session: str) -> None:
        self._instruments = instruments
        self._session = session
        self._ids = ClientOrderIds(prefix, session)
        self._now_ns = 0

    def book(self, connection: sqlite3.Connection, records: Iterable[Any]) -> None:
        """Write what the records say. Raises `sqlite3.Error`."""
        for record in records:
            self._now_ns = max(self._now_ns, getattr(record, "receive_ns", 0) or getattr(record, "decided_ns", 0))
            self._book(connection, record)

    def _book(self, connection: sqlite3.Connection, record: Any) -> None:
        kind = type(record)
        if kind is PlaceOrder or kind is ReplaceOrder:
            self._sent(connection, record, getattr(record, "cancel_client_order_id", ""))
        elif kind is AmendOrder:
            self._amended(connection, record)
        elif kind is Fill:
            self._filled(connection, record, "stream")
        elif kind is ReconciliationReport:
            for update in record.open_orders:
                self._updated(connection, update)
            for trade in record.trades:
                self._filled(connection, trade, "comparison")
        elif kind is OrderUpdate:
            self._updated(connection, record)
        elif kind is PersistHalt:
            halt = record.record
            connection.execute(
                "INSERT OR REPLACE INTO halts VALUES (?, ?, ?, ?, ?, ?)",
                (halt.time_ns, halt.halted, halt.reason, halt.actor, halt.realised_atoms, halt.unrealised_atoms),
            )
        elif kind is PersistLedger:
            self._positions(connection, record.document)
        else:
            self._answered(connection, record)

    def _sent(self, connection: sqlite3.Connection, order: PlaceOrder | ReplaceOrder, replaces: str) -> None:
        instrument = self._instruments[order.symbol]
        price, quantity = instrument.price_text(order.price_ticks), instrument.quantity_text(order.lots)
        connection.execute(
            "INSERT OR IGNORE INTO orders (client_order_id, session, symbol, side, price_ticks, lots, price, quantity, sent_ns, "
            "replaces, state, changed_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                order.client_order_id, self._session, order.symbol, order.side.name, order.price_ticks, order.lots, price, quantity,
                order.decided_ns, replaces, SENT, order.decided_ns,
            ),
        )  # fmt: skip

    def _amended(self, connection: sqlite3.Connection, amend: AmendOrder) -> None:
        quantity = self._instruments[amend.symbol].quantity_text(amend.lots)
        connection.execute(
            "INSERT OR IGNORE INTO orders SELECT ?, session, symbol, side, price_ticks, ?, price, ?, ?, client_order_id, "
            "exchange_order_id, ?, filled_lots, ? FROM orders WHERE client_order_id = ?",
            (amend.new_client_order_id, amend.lots, quantity, amend.decided_ns, SENT, amend.decided_ns, amend.client_order_id),
        )

    def _filled(self, connection: sqlite3.Connection, fill: Fill, source: str) -> None:
        name = fill.client_order_id
        if not self._ids.is_ours(name):
            # The venue's list of trades may name its own order id only.
            found = connection.execute(
                "SELECT client_order_id FROM orders WHERE symbol = ? AND exchange_order_id = ?",
                (fill.symbol, fill.exchange_order_id),
            ).fetchone()
            if name or found is None or not fill.exchange_order_id:
                return
            name = found[0]
        instrument = self._instruments.get(fill.symbol)
        if instrument is None:
            return
        connection.execute(
            "INSERT OR IGNORE INTO fills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                fill.symbol, fill.trade_id, name, fill.exchange_order_id, fill.side.name, fill.price_ticks, fill.lots,
                instrument.price_text(fill.price_ticks), instrument.quantity_text(fill.lots), fill.fee_atoms, fill.fee_asset,
                fill.is_maker, fill.exchange_ns, fill.receive_ns, source,
            ),
        )  # fmt: skip

    def _updated(self, connection: sqlite3.Connection, update: OrderUpdate) -> None:
        # A replacement's end is told under a name of its own; the order's former one stands beside it.
        for name in (update.client_order_id, update.replaced_client_order_id):
            if self._ids.is_ours(name):
                connection.execute(
                    f"UPDATE orders SET exchange_order_id = ?, filled_lots = max(filled_lots, ?), changed_ns = ?, "
                    f"state = CASE WHEN state IN {_ENDS} AND ? IN ('NEW', 'PARTIALLY_FILLED') THEN state ELSE ? END "
                    "WHERE client_order_id = ?",
                    (
                        update.exchange_order_id, update.filled_lots, update.receive_ns, update.status.value, update.status.value,
                        name,
                    ),
                )  # fmt: skip

    def _answered(self, connection: sqlite3.Connection, event: Any) -> None:
        if type(event) is OrderAccepted:
            connection.execute(
                f"UPDATE orders SET exchange_order_id = ?, state = CASE WHEN state = '{SENT}' OR state = '{UNKNOWN}' THEN ? "
                "ELSE state END WHERE client_order_id = ?",
                (event.exchange_order_id, ACCEPTED, event.client_order_id),
            )
            return
        states: dict[Any, str] = {OrderRejected: REFUSED, OutcomeUnknown: UNKNOWN, OrderNotFound: NOT_FOUND}
        state = states.get(type(event))
        if state is not None:
            connection.execute(
                f"UPDATE orders SET state = ?, changed_ns = ? WHERE client_order_id = ? AND state NOT IN {_ENDS}",
                (state, event.receive_ns, event.client_order_id),
            )

    def _positions(self, connection: sqlite3.Connection, document: bytes) -> None:
        """One row for each symbol whose ledger has moved since its newest row."""
        for symbol, state in msgspec.json.decode(document).get("ledgers", {}).items():
            row = tuple(
                state.get(name, 0)
                for name in ("position_atoms", "cost_atoms", "realised_atoms", "fees_quote_atoms", "funding_atoms")
            )
            newest = connection.execute(
                "SELECT position_atoms, cost_atoms, realised_atoms, fees_quote_atoms, funding_atoms FROM positions "
                "WHERE symbol = ? ORDER BY time_ns DESC LIMIT 1",
                (symbol,),
            ).fetchone()
            if newest is None or tuple(newest) != row:
                connection.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)", (symbol, self._now_ns, *row))
