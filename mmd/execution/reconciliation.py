"""Our books against the venue's: what a report says that we did not know, and whether a difference stays.

`compare` only looks; it changes nothing. Fills are never inferred from balances or filled quantities: what is missing is booked
from the venue's trade list, by trade id, or it remains a difference.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mmd.execution.ledger import PositionLedger, balance_changes
from mmd.execution.order_state import OrderState
from mmd.execution.tracker import OrderTracker
from mmd.types.instrument import units
from mmd.types.orders import Fill, OrderUpdate, ReconciliationReport

NS_PER_SECOND = 1_000_000_000


class Comparison(msgspec.Struct, frozen=True):
    """What a report holds against our books. Amounts in base atoms, by symbol."""

    fills_to_book: tuple[Fill, ...]
    """Trades of ours that are not booked yet, oldest first, each with our client id filled in."""
    foreign_trades: int
    """Trades of orders that bear others' client ids."""
    unattributed_trades: int
    """Trades whose order neither the venue's list nor we can name: not booked, and a likely cause of a difference."""
    foreign_orders: int
    """Open orders of others. They are never touched."""
    adopt: tuple[OrderUpdate, ...]
    """Open orders that earlier sessions of ours left."""
    query: tuple[str, ...]
    """Client ids of orders that we think rest, that were sent before the report was asked for, and that it does not list."""
    expected_atoms: dict[str, int]
    """Base balance (free and locked) that our books call for, after `fills_to_book`."""
    found_atoms: dict[str, int]
    """Base balance that the venue reports."""
    position_difference_atoms: dict[str, int]
    """Found minus expected. Of a perpetual, expected and found are positions rather than balances."""
    reconciled_trade_ids: dict[str, int]
    """The newest trade in the report, ours or not, short of any that nobody could name (a later report may): once
    `fills_to_book` are booked, nothing up to it is missing."""
    perpetuals: frozenset[str] = frozenset()
    """Symbols of which positions were compared, not balances."""


def compare(
    report: ReconciliationReport,
    tracker: OrderTracker,
    ledgers: Mapping[str, PositionLedger],
    bases: Mapping[str, str],
    neutral_base_atoms: Mapping[str, int],
) -> Comparison:
    """Compare, changing nothing. All mappings are by symbol; trades and orders of other symbols count as foreign.

    The balance of an asset is the neutral base and whatever all ledgers say of it: positions where it is the base, cash where it is
    the quote, and fees paid in it.
    """
    fills, foreign_trades, nameless = _sort_trades(report, tracker, ledgers)
    foreign_orders, adopt, query = _sort_orders(report, tracker, ledgers)
    changes = _booked_changes(ledgers)
    positions = {symbol: ledger.position_atoms for symbol, ledger in ledgers.items() if ledger.instrument.perpetual}
    for fill in fills:
        instrument = ledgers[fill.symbol].instrument
        if instrument.perpetual:
            positions[fill.symbol] += fill.side.sign * fill.lots * instrument.lot_atoms
            continue
        for asset, change in balance_changes(fill, instrument).items():
            changes[asset] = changes.get(asset, 0) + change
    totals = {balance.asset: balance.total_atoms for balance in report.balances}
    stated = {position.symbol: position.base_atoms for position in report.positions}
    expected = {
        symbol: positions[symbol] if symbol in positions else neutral + changes.get(bases[symbol], 0)
        for symbol, neutral in neutral_base_atoms.items()
    }
    found = {symbol: stated.get(symbol, 0) if symbol in positions else totals.get(bases[symbol], 0) for symbol in expected}
    return Comparison(
        fills_to_book=fills,
        foreign_trades=foreign_trades,
        unattributed_trades=len(nameless),
        foreign_orders=foreign_orders,
        adopt=adopt,
        query=query,
        expected_atoms=expected,
        found_atoms=found,
        position_difference_atoms={symbol: found[symbol] - expected[symbol] for symbol in expected},
        reconciled_trade_ids=_complete_to(report, nameless),
        perpetuals=frozenset(positions),
    )


def _sort_trades(
    report: ReconciliationReport, tracker: OrderTracker, ledgers: Mapping[str, PositionLedger]
) -> tuple[tuple[Fill, ...], int, list[Fill]]:
    fills: dict[tuple[str, int], Fill] = {}
    nameless: list[Fill] = []
    foreign = 0
    for trade in report.trades:
        ledger = ledgers.get(trade.symbol)
        name = _name(trade, tracker)
        if ledger is None or (name and not tracker.is_ours(name)):
            foreign += 1
        elif ledger.seen(trade.trade_id):
            continue
        elif not name:
            nameless.append(trade)
        else:
            fills[trade.symbol, trade.trade_id] = msgspec.structs.replace(trade, client_order_id=name)
    ordered = sorted(fills.values(), key=lambda fill: (fill.exchange_ns, fill.symbol, fill.trade_id))
    return tuple(ordered), foreign, nameless


def _complete_to(report: ReconciliationReport, nameless: list[Fill]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for trade in report.trades:
        newest[trade.symbol] = max(trade.trade_id, newest.get(trade.symbol, trade.trade_id))
    for trade in nameless:
        newest[trade.symbol] = min(trade.trade_id - 1, newest[trade.symbol])
    return newest


def _name(trade: Fill, tracker: OrderTracker) -> str:
    """Our client id of the trade's order, or the name it came with."""
    order = tracker.find_exchange_order(trade.symbol, trade.exchange_order_id)
    if order is None and trade.client_order_id:
        order = tracker.find(trade.client_order_id)
    if order is None:
        return trade.client_order_id
    # An order that somebody else has amended bears a name that is not ours; a former one still tells whose it is.
    names = (order.client_order_id, *order.former_client_order_ids)
    return next((name for name in names if tracker.is_ours(name)), trade.client_order_id)


def _sort_orders(
    report: ReconciliationReport, tracker: OrderTracker, ledgers: Mapping[str, PositionLedger]
) -> tuple[int, tuple[OrderUpdate, ...], tuple[str, ...]]:
    foreign = 0
    adopt: list[OrderUpdate] = []
    listed: set[int] = set()
    for update in report.open_orders:
        order = tracker.find(update.client_order_id) or tracker.find_exchange_order(update.symbol, update.exchange_order_id)
        if order is not None:
            listed.add(id(order))
        elif update.symbol in ledgers and tracker.is_ours(update.client_order_id):
            adopt.append(update)
        else:
            foreign += 1
    query = tuple(
        order.client_order_id
        for order in tracker.all_open()
        if id(order) not in listed and order.state is OrderState.LIVE and order.sent_ns < report.requested_ns
    )
    return foreign, tuple(adopt), query


def _booked_changes(ledgers: Mapping[str, PositionLedger]) -> dict[str, int]:
    changes: dict[str, int] = {}
    for ledger in ledgers.values():
        if ledger.instrument.perpetual:
            continue
        base, quote = ledger.instrument.base_asset, ledger.instrument.quote_asset
        changes[base] = changes.get(base, 0) + ledger.position_atoms
        changes[quote] = changes.get(quote, 0) + ledger.cash_atoms
        for asset, fee in ledger.other_fees_atoms.items():
            changes[asset] = changes.get(asset, 0) - fee
    return changes


class _Streak:
    __slots__ = ("any_count", "counted_ns", "difference_atoms", "same_count")

    def __init__(self) -> None:
        self.difference_atoms = 0
        self.same_count = 0
        self.any_count = 0
        self.counted_ns = 0


class ReconciliationJudge:
    """Tells a difference that stays from a fill that is merely on its way.

    A fill between the report and the stream makes a difference that the next report no longer shows, or shows otherwise. So a
    symbol's difference stays when `reports` conclusive reports in a row show the *same* one, or `reports_any` show any; reports
    count when they are at least `minimum_interval_ns` apart. While any order of ours is pending or unknown a report is
    inconclusive: it does not count, and clears only what it shows to agree.
    """

    def __init__(self, *, reports: int = 3, reports_any: int = 10, minimum_interval_ns: int = NS_PER_SECOND) -> None:
        self._reports = reports
        self._reports_any = reports_any
        self._minimum_interval_ns = minimum_interval_ns
        self._streaks: dict[str, _Streak] = {}
        self.judged = 0
        self.inconclusive = 0
        self.differing = 0
        """Reports that showed a difference."""
        self.healed = 0
        """Differences that went away again."""

    def judge(self, report: ReconciliationReport, comparison: Comparison, tracker: OrderTracker) -> str | None:
        """The text of a halt when a difference stays, naming symbol, expected and found; else None."""
        self.judged += 1
        differences = comparison.position_difference_atoms
        if any(differences.values()):
            self.differing += 1
        conclusive = not any(order.state is not OrderState.LIVE for order in tracker.all_open())
        if not conclusive:
            self.inconclusive += 1
        texts: list[str] = []
        for symbol, difference in differences.items():
            if difference == 0:
                self._agree(symbol)
            elif conclusive and self._count(symbol, difference, report.receive_ns):
                texts.append(_text(symbol, comparison))
        return "; ".join(texts) or None

    def _agree(self, symbol: str) -> None:
        if self._streaks.pop(symbol, None) is not None:
            self.healed += 1

    def _count(self, symbol: str, difference: int, now_ns: int) -> bool:
        streak = self._streaks.get(symbol)
        if streak is None:
            streak = self._streaks[symbol] = _Streak()
        elif now_ns - streak.counted_ns < self._minimum_interval_ns:
            return False
        streak.same_count = streak.same_count + 1 if difference == streak.difference_atoms else 1
        streak.any_count += 1
        streak.difference_atoms = difference
        streak.counted_ns = now_ns
        return streak.same_count >= self._reports or streak.any_count >= self._reports_any


def _text(symbol: str, comparison: Comparison) -> str:
    expected, found = comparison.expected_atoms[symbol], comparison.found_atoms[symbol]
    what = "position at the venue" if symbol in comparison.perpetuals else "base balance"
    text = (
        f"{symbol}: {what} differs from the ledger and stays so: expected {units(expected)}, found {units(found)}, "
        f"difference {units(found - expected)}"
    )
    if comparison.unattributed_trades:
        text += f" ({comparison.unattributed_trades} trades are of orders we cannot name)"
    if comparison.foreign_trades:
        text += f" ({comparison.foreign_trades} trades are of others' orders)"
    return text
