"""Latch, pauses, loss budget and order counts of one session, wired to the desks: what says stop, and what survives a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mmd.risk.checks import PreTradeChecks
from mmd.risk.errors import ErrorStreak
from mmd.risk.latch import HaltLatch
from mmd.risk.limits import limit_atoms
from mmd.risk.loss import LossBudget
from mmd.risk.order_rate import OrderRateBudget
from mmd.risk.pauses import EVERY_SYMBOL, PauseBoard
from mmd.trader.desk import SymbolDesk
from mmd.trader.settings import TraderConfig
from mmd.types.control import HaltRecord, PauseReason
from mmd.types.instrument import ATOMS_PER_UNIT, Instrument
from mmd.types.market import Side
from mmd.types.orders import ReconciliationReport

if TYPE_CHECKING:
    from mmd.execution.tracker import OrderTracker

MARGIN_USED_PERCENT: Final = 90
"""Share of the equity that positions may be sized by; the rest bears fees and the first adverse moves."""


class Safeguards:
    """Holds the session's safety state. Money in quote atoms, times in ns."""

    def __init__(self, config: TraderConfig, desks: Mapping[str, SymbolDesk], halt: HaltRecord | None) -> None:
        limits = config.risk
        self._desks = desks
        self._max_daily_loss_atoms = limit_atoms(limits.max_daily_loss)
        self._max_drawdown_atoms = limit_atoms(limits.max_drawdown)
        self._max_gross_atoms = limit_atoms(limits.max_gross_exposure_notional)
        self._max_position_atoms = limit_atoms(limits.max_position_notional)
        self._max_open_orders = limits.max_open_orders
        self._max_order_atoms = limit_atoms(limits.max_order_notional)
        self.flatten_collar_bps = min(limits.flatten_collar_bps, limits.price_collar_bps)
        self.latch = HaltLatch(halt)
        self.pauses = PauseBoard(limits)
        self.loss = LossBudget(limits)
        self.errors = ErrorStreak(limits)
        self.order_rate = OrderRateBudget(limits)
        self.checks = PreTradeChecks(limits, self.order_rate, (desk.instrument for desk in desks.values()))
        self._rate_limited_until_ns = 0
        self.pauses.set(PauseReason.STARTING, EVERY_SYMBOL, True, 0)

    @property
    def symbols(self) -> tuple[str, ...]:
        """That share the account."""
        return tuple(self._desks)

    # ---- pauses

    def pause(self, reason: PauseReason, symbol: str, active: bool, now_ns: int) -> None:
        """Set or clear one pause."""
        self.pauses.set(reason, symbol, active, now_ns)

    def pause_all(self, reason: PauseReason, active: bool, now_ns: int) -> None:
        """Set or clear a pause that concerns every symbol."""
        self.pauses.set(reason, EVERY_SYMBOL, active, now_ns)

    def rate_limited_until(self, until_ns: int, now_ns: int) -> None:
        """The venue bids us wait."""
        self._rate_limited_until_ns = max(self._rate_limited_until_ns, until_ns)
        self.pause_all(PauseReason.RATE_LIMITED, True, now_ns)

    def paused(self, symbol: str, now_ns: int) -> bool:
        """Whether any pause holds for the symbol; lifts an expired rate limit."""
        if self._rate_limited_until_ns and now_ns >= self._rate_limited_until_ns:
            self._rate_limited_until_ns = 0
            self.pause_all(PauseReason.RATE_LIMITED, False, now_ns)
        return self.pauses.paused(symbol)

    def breaches(self, now_ns: int) -> tuple[str, ...]:
        """Texts of pauses that have become halts: too long, or too many an hour."""
        if self.latch.halted:
            return ()
        return tuple(text for text in (self.pauses.breach(now_ns), self.errors.breach()) if text is not None)

    # ---- halt

    def halt(self, reason: str, actor: str, now_ns: int) -> HaltRecord | None:
        """Latch, with the money as it stands. None when already latched."""
        ledgers = [desk.ledger for desk in self._desks.values()]
        realised = sum(ledger.realised_atoms - ledger.fees_quote_atoms + ledger.funding_atoms for ledger in ledgers)
        unrealised = sum(desk.unrealised_atoms() or 0 for desk in self._desks.values())
        return self.latch.halt(reason, actor, now_ns, realised, unrealised)

    # ---- money

    def mark(self, now_ns: int) -> str | None:
        """Mark every position at the worse touch. Returns the text of a breached loss limit. An invalid book freezes the mark."""
        total: int | None = 0
        for desk in self._desks.values():
            pnl = desk.pnl_atoms()
            if pnl is None:
                total = None
                break
            total = (total or 0) + pnl
        self.loss.on_mark(now_ns, total)
        return None if self.latch.halted else self.loss.breach()

    @property
    def budget_left(self) -> float:
        """Unused share of the daily loss budget, 0 to 1."""
        return max(0.0, 1.0 - self.loss.loss_used_atoms / self._max_daily_loss_atoms)

    def position_limit_lots(self, desk: SymbolDesk) -> int:
        """The position limit of a symbol in lots, at the present mid, or what margin leaves of it."""
        mid = max(1, (desk.book.bid_ticks + desk.book.ask_ticks) // 2)
        return max(1, desk.position_cap_atoms // (mid * desk.instrument.notional_atoms))

    def most_lots_of_an_order(self, instrument: Instrument, price_ticks: int) -> int:
        """The largest order at this price that the fat-finger limit lets pass, lots."""
        return self._max_order_atoms // (max(1, price_ticks) * instrument.notional_atoms)

    def on_margin(self, report: ReconciliationReport) -> None:
        """Size positions by what the venue would lend for them: equity times leverage, shared evenly, less a reserve."""
        if report.margin is None:
            return
        usable_atoms = max(0, report.margin.equity_atoms) * MARGIN_USED_PERCENT // 100
        for position in report.positions:
            desk = self._desks.get(position.symbol)
            if desk is not None:
                desk.position_cap_atoms = min(self._max_position_atoms, usable_atoms * position.leverage // len(self._desks))

    def exposure_atoms(self, tracker: OrderTracker, *, besides: str = "") -> int:
        """Worst-case exposure of all symbols but `besides` together, in quote atoms."""
        total = 0
        for symbol, desk in self._desks.items():
            if symbol != besides:
                buys, sells = tracker.at_risk_lots(symbol, Side.BUY), tracker.at_risk_lots(symbol, Side.SELL)
                bid, ask = desk.book.bid_ticks, desk.book.ask_ticks
                total += self.checks.exposure_atoms(symbol, desk.ledger.position_atoms, buys, sells, bid, ask)
        return total

    # ---- what survives

    @property
    def persist_due(self) -> bool:
        """Whether a checkpoint must be written before the next order leaves."""
        return self.loss.persist_due or self.order_rate.persist_due

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return {"loss": self.loss.state(), "order_rate": self.order_rate.state()}

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue an earlier session's budgets: a restart refills none of them. Raises `KeyError` on a foreign document."""
        self.loss.restore(checkpoint["loss"])
        self.order_rate.restore(checkpoint["order_rate"])

    def limits(self) -> dict[str, float]:
        """The money limits, quote units."""
        atoms = {
            "daily_loss": self._max_daily_loss_atoms,
            "drawdown": self._max_drawdown_atoms,
            "gross_exposure": self._max_gross_atoms,
            "position": self._max_position_atoms,
        }
        return {name: limit / ATOMS_PER_UNIT for name, limit in atoms.items()}

    def limits_used(self, tracker: OrderTracker, now_ns: int) -> dict[str, float]:
        """Fraction of each limit in use."""
        used = {
            "daily_loss": self.loss.loss_used_atoms / self._max_daily_loss_atoms,
            "drawdown": self.loss.drawdown_atoms / self._max_drawdown_atoms,
            "gross_exposure": self.exposure_atoms(tracker) / self._max_gross_atoms,
            "open_orders": tracker.open_count / self._max_open_orders,
            "order_budget": self.order_rate.used_share(now_ns),
        }
        for symbol, desk in self._desks.items():
            notional = abs(desk.ledger.position_atoms) * desk.book.bid_ticks * desk.instrument.notional_atoms
            used[f"position_{symbol}"] = notional / desk.instrument.lot_atoms / self._max_position_atoms
        return used

    @property
    def loss_used(self) -> float:
        """In quote units."""
        return self.loss.loss_used_atoms / ATOMS_PER_UNIT

    @property
    def drawdown(self) -> float:
        """In quote units."""
        return self.loss.drawdown_atoms / ATOMS_PER_UNIT
