"""Ledger = exchange: when the venue's view of the account is asked for, and what its answer means.

Position on spot is the base balance minus a `neutral_base` that is recorded at the first start and never silently re-based. Of a
perpetual it is the venue's own number; one that is there at the first start is taken over at the venue's mark price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mmd.execution.ledger import PositionLedger
from mmd.execution.reconciliation import ReconciliationJudge, compare
from mmd.execution.tracker import OrderTracker
from mmd.trader.desk import SymbolDesk
from mmd.trader.settings import ReconciliationSettings
from mmd.types.orders import Fill, ReconciliationFailed, ReconciliationReport, RequestReconciliation

SECOND_NS = 1_000_000_000


class ReportOutcome(msgspec.Struct, frozen=True):
    """What a report brings: fills of ours that the stream has not delivered, to be booked before it is judged."""

    fills: tuple[Fill, ...]


class Verdict(msgspec.Struct, frozen=True):
    """`clean`: ledgers agree and nothing of an earlier session is open. `changed`: a checkpoint should be written."""

    clean: bool
    changed: bool
    halt_reason: str


class ReconciliationRoutine:
    """Owns the schedule, the neutral base balances and the counts."""

    def __init__(
        self,
        settings: ReconciliationSettings,
        desks: Mapping[str, SymbolDesk],
        tracker: OrderTracker,
        trades_from: Mapping[str, int],
    ) -> None:
        self._settings = settings
        self._desks = desks
        self._tracker = tracker
        self._judge = ReconciliationJudge()
        self._trades_from = trades_from
        self._requested_ns = 0
        self._answered_ns = 0
        self._next_ns = 0
        self.failures = 0
        self.neutral_base_atoms: dict[str, int] = {}
        self.counts = {"made": 0, "failed": 0, "healed": 0, "fills_recovered": 0, "foreign_orders": 0}

    @property
    def compared(self) -> bool:
        """Whether the venue's view of the account was heard in this session: before that, nobody knows what an earlier one left."""
        return self._answered_ns > 0

    def request(self, reason: str, now_ns: int) -> RequestReconciliation:
        """Ask now. A recorded neutral base is what makes earlier trades ours to book, so without one none are asked for."""
        self._requested_ns = now_ns
        after = tuple((symbol, self._ask_after(symbol, desk)) for symbol, desk in self._desks.items())
        perpetuals = ((symbol, desk.ledger) for symbol, desk in self._desks.items() if desk.instrument.perpetual)
        funding_since = tuple((symbol, ledger.funding_to_ns) for symbol, ledger in perpetuals)
        return RequestReconciliation(now_ns, reason, after, funding_since)

    def _ask_after(self, symbol: str, desk: SymbolDesk) -> int:
        known = desk.ledger.reconciled_trade_id
        return min(known, self._trades_from.get(symbol, known)) if self._starting else known

    def due(self, now_ns: int, *, fills_missing: bool = False) -> RequestReconciliation | None:
        """On the timer: the regular comparison, a retry, a repeat of one that was never answered, or fills that never came."""
        if self._requested_ns:
            if now_ns - self._requested_ns > self._settings.timeout_seconds * SECOND_NS:
                return self.request("no answer to the last comparison", now_ns)
            return None
        if self._next_ns and now_ns >= self._next_ns:
            return self.request("timer", now_ns)
        if fills_missing and now_ns - self._answered_ns > self._settings.retry_seconds * SECOND_NS:
            return self.request("an order ended with more filled than we have seen", now_ns)
        return None

    def on_failure(self, event: ReconciliationFailed) -> bool:
        """True when it has failed too often."""
        self._requested_ns = 0
        self._next_ns = event.receive_ns + int(self._settings.retry_seconds * SECOND_NS)
        self.failures += 1
        # Perhaps there were too many to catch up on: what trading needs is less.
        self._trades_from = {}
        self.counts["failed"] += 1
        return self.failures >= self._settings.max_failures

    def on_report(self, report: ReconciliationReport) -> ReportOutcome:
        """Take the report in and name the fills to book."""
        self._requested_ns = 0
        self._answered_ns = report.receive_ns
        self.failures = 0
        self.counts["made"] += 1
        self._record_neutral_base(report)
        comparison = compare(report, self._tracker, self._ledgers(), self._bases(), self.neutral_base_atoms)
        self.counts["foreign_orders"] = comparison.foreign_orders
        self.counts["fills_recovered"] += len(comparison.fills_to_book)
        return ReportOutcome(comparison.fills_to_book)

    def judge(self, report: ReconciliationReport, outcome: ReportOutcome) -> Verdict:
        """After the fills are booked: do the ledgers agree? Anything pending or unknown defers the judgement."""
        comparison = compare(report, self._tracker, self._ledgers(), self._bases(), self.neutral_base_atoms)
        for symbol, trade_id in comparison.reconciled_trade_ids.items():
            if symbol in self._desks:
                self._desks[symbol].ledger.reconciled_to(trade_id)
        healed_before = self._judge.healed
        halt_reason = self._judge.judge(report, comparison, self._tracker) or ""
        self.counts["healed"] += self._judge.healed - healed_before
        agree = not any(comparison.position_difference_atoms.values())
        clean = agree and not self._tracker.all_open() if self._starting else agree
        delay = self._settings.interval_seconds if clean else self._settings.retry_seconds
        self._next_ns = report.receive_ns + int(delay * SECOND_NS)
        changed = bool(outcome.fills) or self._starting
        if clean:
            self._starting = False
        return Verdict(clean, changed, halt_reason)

    _starting = True

    def _record_neutral_base(self, report: ReconciliationReport) -> None:
        totals = {balance.asset: balance.total_atoms for balance in report.balances}
        for symbol, desk in self._desks.items():
            if symbol not in self.neutral_base_atoms:
                if desk.instrument.perpetual:
                    self._take_over(desk, report)
                else:
                    self.neutral_base_atoms[symbol] = totals.get(desk.instrument.base_asset, 0) - desk.ledger.position_atoms
                newest = max((fill.trade_id for fill in report.trades if fill.symbol == symbol), default=-1)
                desk.ledger.skip_to(newest)

    def _take_over(self, desk: SymbolDesk, report: ReconciliationReport) -> None:
        symbol = desk.instrument.symbol
        self.neutral_base_atoms[symbol] = 0
        for position in report.positions:
            if position.symbol == symbol and position.base_atoms:
                desk.ledger.take_over(position.base_atoms, position.mark_ticks)
        for payment in report.funding:
            if payment.symbol == symbol:
                desk.ledger.skip_funding(payment)

    def _ledgers(self) -> dict[str, PositionLedger]:
        return {symbol: desk.ledger for symbol, desk in self._desks.items()}

    def _bases(self) -> dict[str, str]:
        return {symbol: desk.instrument.base_asset for symbol, desk in self._desks.items()}

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "version": 1,
            "neutral_base_atoms": dict(self.neutral_base_atoms),
            "ledgers": {symbol: desk.ledger.state() for symbol, desk in self._desks.items()},
        }

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue an earlier session's ledgers. Symbols that the checkpoint lacks start flat."""
        if checkpoint.get("version") != 1:
            raise ValueError(f"ledger checkpoint has version {checkpoint.get('version')!r}, this program reads version 1")
        neutral: Mapping[str, int] = checkpoint["neutral_base_atoms"]
        ledgers: Mapping[str, Any] = checkpoint["ledgers"]
        for symbol, desk in self._desks.items():
            if symbol in neutral:
                self.neutral_base_atoms[symbol] = neutral[symbol]
                desk.ledger.restore(ledgers[symbol])
