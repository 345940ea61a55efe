"""Everything of one symbol: its book, position, quoter and the newest quote."""

from __future__ import annotations

from mmd.execution.ledger import PositionLedger
from mmd.market.book import OrderBook
from mmd.quoting.fixed import FixedSpreadQuoter
from mmd.quoting.quote import Quote, QuoteContext, clamp
from mmd.risk.feed_lag import FeedLag
from mmd.trader.settings import TraderConfig
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, TouchUpdate


class SymbolDesk:
    """One symbol's rooms. Prices in ticks, quantities in lots, money in quote atoms."""

    __slots__ = (
        "book",
        "context",
        "dirty",
        "feed_lag",
        "fills",
        "instrument",
        "ledger",
        "quote",
        "quoter",
        "quotes",
        "steps",
        "ticks",
    )

    def __init__(self, config: TraderConfig, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = OrderBook(instrument.symbol)
        self.ledger = PositionLedger(instrument)
        self.feed_lag = FeedLag(config.risk)
        self.quoter = FixedSpreadQuoter(config.quoting, instrument)
        self.context = QuoteContext()
        self.quote: Quote | None = None
        self.dirty = False
        self.ticks = 0
        self.steps = 0
        self.quotes = 0
        self.fills = 0

    def on_touch_update(self, event: TouchUpdate) -> None:
        """Book the new touch."""
        self.ticks += 1
        self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        if self.book.on_touch_update(event):
            self.dirty = True

    def on_depth_update(self, event: DepthUpdate) -> None:
        """Book the diff."""
        self.ticks += 1
        self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        if self.book.on_depth_update(event):
            self.dirty = True

    def on_depth_snapshot(self, event: DepthSnapshot) -> None:
        """Start or finish a resync."""
        if self.book.on_depth_snapshot(event):
            self.dirty = True

    def on_trade(self, event: MarketTrade) -> None:
        """A public trade."""
        self.ticks += 1
        self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        self.dirty = True

    def make_quote(self, now_ns: int, position_limit_lots: int, budget_left: float) -> Quote:
        """A fresh quote for the newest book. The book must be valid."""
        book, context, instrument = self.book, self.context, self.instrument
        context.bid_ticks, context.bid_lots = book.bid_ticks, book.bid_lots
        context.ask_ticks, context.ask_lots = book.ask_ticks, book.ask_lots
        position_lots = self.ledger.position_atoms / instrument.lot_atoms
        context.inventory = max(-1.0, min(1.0, position_lots / position_limit_lots))
        context.budget_left = budget_left
        context.buy_room_lots = max(0, int(position_limit_lots - position_lots))
        context.sell_room_lots = max(0, int(position_limit_lots + position_lots))
        self.quote = clamp(self.quoter.quote(context), context, instrument, now_ns)
        self.quotes += 1
        return self.quote

    def unrealised_atoms(self) -> int | None:
        """Unrealised PnL at the worse touch (a long is worth the bid, a short the ask); None while the book is invalid."""
        if not self.book.valid:
            return None
        position = self.ledger.position_atoms
        if position == 0:
            return 0
        return self.ledger.unrealised_atoms(self.book.bid_ticks if position > 0 else self.book.ask_ticks)

    def pnl_atoms(self) -> int | None:
        """Realised plus unrealised minus fees; None while it cannot be marked."""
        unrealised = self.unrealised_atoms()
        if unrealised is None:
            return None
        return self.ledger.realised_atoms + unrealised - self.ledger.fees_quote_atoms
