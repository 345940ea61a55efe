"""From a desired quote to orders: the difference to what is live, the risk checks, ids, and the commands."""

from __future__ import annotations

from typing import Final

from mmd.execution.order_index import OneSide
from mmd.execution.presence import PresenceMeter
from mmd.execution.quote_diff import (
    MISSING,
    TOO_PASSIVE,
    TOO_SMALL,
    AmendIntent,
    CancelIntent,
    ModifyIntent,
    PlaceIntent,
    ReplaceIntent,
    plan,
)
from mmd.execution.tracked_order import TrackedOrder
from mmd.execution.tracker import OrderTracker
from mmd.quoting.quote import Quote
from mmd.risk.checks import RiskView
from mmd.risk.fair_share import FairShare
from mmd.trader.commands import OrderCommand, Outbox, Rising
from mmd.trader.desk import SymbolDesk
from mmd.trader.safeguards import Safeguards
from mmd.trader.settings import TraderConfig
from mmd.types.market import Side
from mmd.types.orders import AmendOrder, CancelOrder, CancelRejected, ModifyOrder, OrderRejected, PlaceOrder, ReplaceOrder

UNPACED: Final = float("inf")
PACING = {TOO_PASSIVE: 0.6, TOO_SMALL: 0.6, MISSING: 0.9}
"""Share of the order budget beyond which an order for this reason waits, so that what is left serves to get out of danger."""

Intent = PlaceIntent | CancelIntent | ReplaceIntent | AmendIntent | ModifyIntent
FREE: Final = frozenset({CancelIntent, AmendIntent})
BUY: Final = Side.BUY
SELL: Final = Side.SELL


class OrderDesk:
    """The only place where orders are decided upon; nothing is placed but through the checks."""

    def __init__(self, config: TraderConfig, tracker: OrderTracker, safeguards: Safeguards, outbox: Outbox) -> None:
        self._settings = config.execution
        self._tracker = tracker
        self._safeguards = safeguards
        self._outbox = outbox
        self._share = FairShare(config.risk.max_orders_per_10s, safeguards.symbols)
        self._view = RiskView()
        self.presence = PresenceMeter(safeguards.symbols, tracker.side)
        self._buys = self._sells = OneSide()
        self.channel_up = False
        self.leaving = False
        self.orders_sent = 0
        self.commands: dict[str, int] = {}
        """Everything about orders that was decided upon, by the name of the command."""
        self.checkpoint_due = False
        """Set when something must be on disk before an order leaves; the trader looks before it hands out commands."""

    def apply(self, desk: SymbolDesk, quote: Quote, now_ns: int) -> None:
        """Bring live orders towards the quote, as far as the checks allow."""
        intents = plan(quote, self._tracker, self._settings, now_ns, desk.instrument.replacement)
        if intents:
            self._fill_view(desk, now_ns)
            pressure = self._safeguards.order_rate.pressure(now_ns)
            symbol = desk.instrument.symbol
            for intent in intents:
                # Cancels and amends cost no budget; danger is mended to the last order of it (and then by a cancel).
                if type(intent) in FREE or self._in_time(symbol, PACING.get(intent.reason, UNPACED), pressure, now_ns):
                    self._carry_out(symbol, intent, now_ns)

    def _in_time(self, symbol: str, threshold: float, pressure: float, now_ns: int) -> bool:
        """Whether the order budget has room for an order that is worth so much of it; danger (`UNPACED`) never waits."""
        if threshold == UNPACED:
            return True
        return pressure < threshold and not self._share.waits(symbol, now_ns, pressure, threshold)

    def standing(self, desk: SymbolDesk) -> list[TrackedOrder]:
        """Orders of ours in the symbol that can still trade."""
        return self._tracker.working(desk.instrument.symbol)

    def reduce(self, desk: SymbolDesk, side: Side, price_ticks: int, lots: int, now_ns: int, *, post_only: bool) -> bool:
        """Send one reduce-only order if its checks let it pass; it is the only one of the symbol. Whether it left."""
        self._fill_view(desk, now_ns)
        view, symbol = self._view, desk.instrument.symbol
        view.buy_at_risk_lots = self._tracker.at_risk_lots(symbol, BUY)
        view.sell_at_risk_lots = self._tracker.at_risk_lots(symbol, SELL)
        if self._safeguards.checks.check(view, side, price_ticks, lots, reduce_only=True) is not None:
            return False
        self._count(symbol, now_ns)
        self.send(PlaceOrder(now_ns, self._tracker.next_client_order_id(), symbol, side, price_ticks, lots, post_only))
        return True

    def withdraw(self, desk: SymbolDesk, now_ns: int) -> None:
        """Cancel everything of ours in the symbol that is not being cancelled already. Cancels pass every check."""
        desk.quote = None
        if self.channel_up:
            for command in self._tracker.cancel_all(now_ns, desk.instrument.symbol):
                self.send(command)

    def send(self, command: OrderCommand) -> None:
        """Tell the tracker, then the venue."""
        self._tracker.on_sent(command)
        self._outbox.put(command)
        kind = type(command).__name__
        self.commands[kind] = self.commands.get(kind, 0) + 1

    def unsend(self, command: Rising) -> None:
        """A halt came before this was handed out: it never leaves, and the old order of a replacement is cancelled all the same."""
        message = "not sent: halted"
        if isinstance(command, ModifyOrder):
            refusal = CancelRejected(command.decided_ns, command.symbol, command.client_order_id, 0, message)
            self._tracker.on_event(refusal)
            return
        self._tracker.on_event(OrderRejected(command.decided_ns, command.symbol, command.client_order_id, 0, message))
        if isinstance(command, ReplaceOrder):
            self._outbox.put(CancelOrder(command.decided_ns, command.cancel_client_order_id, command.symbol))

    def _carry_out(self, symbol: str, intent: Intent, now_ns: int) -> None:
        if type(intent) is ReplaceIntent:
            old_id, side, price_ticks, lots = intent.client_order_id, intent.side, intent.price_ticks, intent.lots
            if self._allowed(side, price_ticks, lots):
                self._count(symbol, now_ns)
                new_id = self._tracker.next_client_order_id()
                self.send(ReplaceOrder(now_ns, old_id, new_id, symbol, side, price_ticks, lots))
            else:
                # What may not be replaced may not stand where we no longer want it either.
                self.send(CancelOrder(now_ns, old_id, symbol))
        elif type(intent) is PlaceIntent:
            side, price_ticks, lots = intent.side, intent.price_ticks, intent.lots
            if self._allowed(side, price_ticks, lots):
                self._count(symbol, now_ns)
                self.send(PlaceOrder(now_ns, self._tracker.next_client_order_id(), symbol, side, price_ticks, lots))
        elif type(intent) is CancelIntent:
            self.send(CancelOrder(now_ns, intent.client_order_id, symbol))
        elif type(intent) is AmendIntent:
            self.send(AmendOrder(now_ns, intent.client_order_id, self._tracker.next_client_order_id(), symbol, intent.lots))
        elif type(intent) is ModifyIntent:
            self._modify(symbol, intent, now_ns)

    def _modify(self, symbol: str, intent: ModifyIntent, now_ns: int) -> None:
        """Checked like a new order, in the place of the old one: what is at risk of that does not count beside it."""
        name = intent.client_order_id
        order = self._tracker.find(name)
        assert order is not None
        remaining = intent.lots - (order.lots - order.remaining_lots)
        if self._allowed(intent.side, intent.price_ticks, remaining, instead_of=order):
            self._count(symbol, now_ns)
            self.send(ModifyOrder(now_ns, name, symbol, intent.side, intent.price_ticks, intent.lots))
        else:
            self.send(CancelOrder(now_ns, name, symbol))

    def _count(self, symbol: str, now_ns: int) -> None:
        self._share.record(symbol, now_ns)
        self._safeguards.order_rate.record(now_ns)
        self.orders_sent += 1
        if self._safeguards.persist_due:
            self.checkpoint_due = True

    def _allowed(self, side: Side, price_ticks: int, lots: int, *, instead_of: TrackedOrder | None = None) -> bool:
        """Whether an order of the symbol that the view was filled for may leave, as our orders stand by now."""
        view, buys, sells = self._view, self._buys, self._sells
        view.buy_at_risk_lots = buys.at_risk_lots
        view.sell_at_risk_lots = sells.at_risk_lots
        best = 0
        for order in buys.open.values():
            if order.price_ticks > best:
                best = order.price_ticks
        view.own_best_bid_ticks = best
        best = 0
        for order in sells.open.values():
            if not best or order.price_ticks < best:
                best = order.price_ticks
        view.own_best_ask_ticks = best
        view.open_orders = self._tracker.open_count
        if instead_of is not None:
            view.open_orders -= 1
            if side is BUY:
                view.buy_at_risk_lots -= instead_of.at_risk_lots
            else:
                view.sell_at_risk_lots -= instead_of.at_risk_lots
        return self._safeguards.checks.check(view, side, price_ticks, lots) is None

    def _fill_view(self, desk: SymbolDesk, now_ns: int) -> None:
        view, book, safeguards, tracker = self._view, desk.book, self._safeguards, self._tracker
        view.symbol = symbol = desk.instrument.symbol
        self._buys, self._sells = tracker.side(symbol, BUY), tracker.side(symbol, SELL)
        view.now_ns = now_ns
        view.halted = safeguards.latch.halted
        view.mode_allows = not self.leaving
        view.bid_ticks = book.bid_ticks
        view.ask_ticks = book.ask_ticks
        view.position_atoms = desk.ledger.position_atoms
        view.other_exposure_atoms = safeguards.exposure_atoms(tracker, besides=symbol)
        view.data_age_ns = now_ns - book.receive_ns
        view.feed_lag_ns = desk.feed_lag.lag_ns
        view.loss_used_atoms = safeguards.loss.loss_used_atoms
        view.drawdown_atoms = safeguards.loss.drawdown_atoms
