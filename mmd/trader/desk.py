"""Everything of one symbol: its book, position, quoter and the newest quote."""

from __future__ import annotations

from collections import deque
from typing import Final

from mmd.execution.ledger import PositionLedger
from mmd.inference.bundle import Bundle
from mmd.inference.companion import CompanionUse
from mmd.inference.gate import PredictionGate
from mmd.inference.predictor import QuotePredictor
from mmd.market.book import OrderBook
from mmd.market.signals import ExternalSignals
from mmd.market.trade_reach import TradeReach
from mmd.quoting.avellaneda_stoikov import AvellanedaStoikovQuoter
from mmd.quoting.fixed import FixedSpreadQuoter
from mmd.quoting.glft import GlftQuoter
from mmd.quoting.neural import NeuralQuoter
from mmd.quoting.prediction import QuoteModel
from mmd.quoting.quote import Quote, QuoteContext, RawQuote, clamp
from mmd.quoting.settings import QuotingSettings
from mmd.risk.feed_lag import FeedLag
from mmd.risk.limits import limit_atoms
from mmd.trader.beside import CompanionSeat, Seat
from mmd.trader.challenger import Challenger
from mmd.trader.head_watch import HeadWatch
from mmd.trader.perception import Perception
from mmd.trader.references import CrossAssetSeat, ReferenceBoard
from mmd.trader.settings import TraderConfig
from mmd.types.instrument import Instrument
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, MarkPrice, TouchUpdate
from mmd.types.orders import Fill
from mmd.types.stages import NoTimer, Stage, StageTimer

BOOK: Final = Stage.BOOK
RECENT_FILLS: Final = 50


class SymbolDesk:
    """One symbol's rooms. Prices in ticks, quantities in lots, money in quote atoms."""

    __slots__ = (
        "_board",
        "_exposure_limit_atoms",
        "_fallback",
        "_fixed",
        "_gate_settings",
        "_glft",
        "_horizon_seconds",
        "_loss_limit_atoms",
        "_neural",
        "_settings",
        "_signals",
        "_stages",
        "_strategy",
        "_variance",
        "blocked_since_ns",
        "book",
        "book_was_valid",
        "challenger",
        "context",
        "dirty",
        "feed_lag",
        "fills",
        "instrument",
        "ledger",
        "mark_price",
        "perception",
        "position_cap_atoms",
        "quote",
        "quotes",
        "reach",
        "recent_fills",
        "steps",
        "ticks",
        "watch",
    )

    def __init__(
        self,
        config: TraderConfig,
        instrument: Instrument,
        stages: StageTimer,
        bundle: Bundle | None,
        predictor: QuotePredictor | None,
        signals: ExternalSignals | None = None,
        board: ReferenceBoard | None = None,
    ) -> None:
        settings = config.quoting
        self._settings = settings
        self._strategy: str = settings.strategy
        self._stages = stages
        self._gate_settings = config.gate
        self._signals = signals if signals is not None else ExternalSignals()
        self._board = board
        self._loss_limit_atoms = limit_atoms(config.risk.max_daily_loss)
        self._exposure_limit_atoms = limit_atoms(config.risk.max_gross_exposure_notional)
        self.position_cap_atoms = limit_atoms(config.risk.max_position_notional)
        """What sizes are measured by, quote atoms: the position limit, or less where the venue lends us less."""
        self.instrument = instrument
        self.book = OrderBook(instrument.symbol)
        self.book_was_valid: bool | None = None
        self.blocked_since_ns = 0
        """Since when nothing of this symbol may stand; 0 while it may."""
        """When the book's pause was last set or cleared."""
        self.ledger = PositionLedger(instrument)
        self.feed_lag = FeedLag(config.risk)
        gate = None if bundle is None else PredictionGate(bundle.card, config.gate)
        self.perception = Perception(
            predictor,
            gate,
            stages,
            session_gap_ns=round(config.session_gap_seconds * 1e9),
            max_age_ns=round(config.gate.max_prediction_age_ms * 1e6),
            seats=self._seats(bundle, predictor, stages, board),
        )
        self._fixed = FixedSpreadQuoter(settings, instrument)
        self._fallback = AvellanedaStoikovQuoter(settings, instrument)
        self._glft = GlftQuoter(settings, instrument)
        self._neural = None if bundle is None else NeuralQuoter(settings, instrument, quote_model(bundle, settings))
        self.watch = (
            None
            if bundle is None or predictor is None or self._neural is None
            else HeadWatch(bundle, self._neural, self.perception.prediction)
        )
        """What is kept to judge the networks by."""
        self._horizon_seconds = 1.0 if bundle is None else bundle.card.horizon_seconds
        self.challenger: Challenger | None = None
        self.context = QuoteContext()
        self.reach = TradeReach()
        self._variance = -1.0
        """What the context's volatilities were worked out from."""
        self.quote: Quote | None = None
        self.dirty = False
        self.ticks = 0
        self.steps = 0
        self.quotes = 0
        self.fills = 0
        self.recent_fills: deque[Fill] = deque(maxlen=RECENT_FILLS)
        self.mark_price: MarkPrice | None = None
        """The newest of a perpetual, for reports alone."""

    def use(self, bundle: Bundle, predictor: QuotePredictor) -> None:
        """Quote with other networks from the next step on. What the gate counted and the book knows stays."""
        gate = PredictionGate(bundle.card, self._gate_settings)
        self.perception.use(predictor, gate, self._seats(bundle, predictor, self._stages, self._board))
        self._neural = NeuralQuoter(self._settings, self.instrument, quote_model(bundle, self._settings))
        self.watch = HeadWatch(bundle, self._neural, self.perception.prediction)
        self._horizon_seconds = bundle.card.horizon_seconds
        self._variance = -1.0
        self.dirty = True

    def _seats(
        self, bundle: Bundle | None, predictor: QuotePredictor | None, stages: StageTimer, board: ReferenceBoard | None
    ) -> tuple[Seat, ...]:
        """The networks beside a bundle's quote network; without a board none that looks at other symbols."""
        if bundle is None or predictor is None:
            return ()
        seats: list[Seat] = []
        if predictor.companion is not None:
            seats.append(CompanionSeat(bundle.card, predictor.companion, self._gate_settings, self._signals, stages))
        if predictor.cross_asset is not None and board is not None and len(board.feeds) > 1:
            symbol = self.instrument.symbol
            seats.append(CrossAssetSeat(bundle.card, predictor.cross_asset, self._gate_settings, board, symbol, stages))
        return tuple(seats)

    def challenge(self, bundle: Bundle | None, predictor: QuotePredictor | None) -> None:
        """Watch another bundle's networks in shadow, from the rows at hand; None ends it."""
        if bundle is None or predictor is None:
            self.challenger = None
            return
        rows = self.perception.stream.ring.recent()
        predictor.warm(rows)
        seats = self._seats(bundle, predictor, NoTimer(), self._board)
        for seat in seats:
            seat.take_rows(self.perception.seats)
            seat.warm(rows)
        self.challenger = Challenger(
            self.instrument, bundle, predictor, quote_model(bundle, self._settings), self._settings, self._gate_settings, seats
        )

    # ---- market data

    def on_touch_update(self, event: TouchUpdate) -> None:
        """Book the new touch; a change of it is a step."""
        self.ticks += 1
        if event.exchange_ns:
            self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        changed = self.book.on_touch_update(event)
        self._stages.lap(BOOK)
        if changed:
            self._seen(event.receive_ns)

    def on_depth_update(self, event: DepthUpdate) -> None:
        """Book the diff; where it changes the touch it is a step."""
        self.ticks += 1
        self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        changed = self.book.on_depth_update(event)
        self._stages.lap(BOOK)
        if changed:
            self._seen(event.receive_ns)

    def on_depth_snapshot(self, event: DepthSnapshot) -> None:
        """Start or finish a resync."""
        if self.book.on_depth_snapshot(event):
            self._seen(event.receive_ns)

    def on_trade(self, event: MarketTrade) -> None:
        """A public trade: a step."""
        self.ticks += 1
        self.feed_lag.on_event(event.receive_ns, event.exchange_ns)
        self._stages.lap(BOOK)
        if self.challenger is not None:
            self.challenger.on_trade(event)
        if self.watch is not None and self.book.valid:
            self.watch.on_trade(event, self.book, self._look().sigma_ticks, self.steps)
        if self.book.valid:
            self.reach.on_trade(event.receive_ns, event.price_ticks, 0.5 * (self.book.bid_ticks + self.book.ask_ticks))
        if self.perception.on_trade(event, self.book):
            self._stepped(event.receive_ns)

    def invalidate(self, reason: str) -> None:
        """Nothing that the book holds may be believed any more."""
        if self.challenger is not None:
            self.challenger.interrupt(self.book.receive_ns)
        self.book.invalidate(reason)
        self.perception.on_book(self.book, self.book.receive_ns)

    def _seen(self, receive_ns: int) -> None:
        self.dirty = True
        if self.perception.on_book(self.book, receive_ns):
            self._stepped(receive_ns)
        elif not self.book.valid and self._neural is not None:
            self._neural.rescale.interrupt()

    def _stepped(self, receive_ns: int) -> None:
        self.steps += 1
        self.dirty = True
        if self.challenger is not None:
            self._show_challenger(receive_ns)
        neural = self._neural
        if neural is not None and self.perception.prediction.usable and not neural.rescale.idle(receive_ns):
            context = self._look()
            micro, head, flow, cross = neural.expected_move(context, self.perception.prediction)
            neural.rescale.observe(receive_ns, context.mid_ticks, micro + head + flow + cross)

    def _show_challenger(self, receive_ns: int) -> None:
        challenger, perception, book = self.challenger, self.perception, self.book
        assert challenger is not None
        touch = (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots)
        sigma_ticks = perception.sigma_ticks(challenger.horizon_seconds)
        challenger.on_step(receive_ns, perception.stream.features.values, perception.inventory.values, touch, sigma_ticks)

    def on_timer(self, now_ns: int) -> None:
        """What is done while no tick waits: the challenger, drift, and the judging of the networks."""
        self.run_challenger(now_ns)
        self.perception.measure_drift()
        watch = self.watch
        if watch is None:
            return
        if self.book.valid:
            context = self._look()
            watch.on_time(now_ns, context.mid_ticks, context.sigma_ticks)
        else:
            watch.interrupt()

    def run_challenger(self, now_ns: int) -> None:
        """Let the challenger catch up, while no tick waits."""
        challenger = self.challenger
        if challenger is None:
            return
        if not self.book.valid:
            challenger.interrupt(now_ns)
            return
        challenger.run(now_ns, self._look(), self.perception.sigma_ticks(challenger.horizon_seconds), self.quote)

    # ---- quotes

    def make_quote(self, now_ns: int, position_limit_lots: int, budget_left: float) -> Quote | None:
        """A fresh quote for the newest book, which must be valid; None while too little was seen to know the volatility."""
        context = self._look()
        position_lots = self.ledger.position_atoms / self.instrument.lot_atoms
        share = position_lots / position_limit_lots
        context.inventory = -1.0 if share < -1.0 else 1.0 if share > 1.0 else share
        context.budget_left = budget_left
        room = int(position_limit_lots - position_lots)
        context.buy_room_lots = room if room > 0 else 0
        room = int(position_limit_lots + position_lots)
        context.sell_room_lots = room if room > 0 else 0
        self._tell_inventory(now_ns, position_limit_lots, context)
        raw = self._raw_quote(now_ns)
        if raw is None:
            self.quote = None
            return None
        self.quote = clamp(raw, context, self.instrument, now_ns)
        self.quotes += 1
        if self.watch is not None:
            self.watch.tally.take(self.quote)
        return self.quote

    def _raw_quote(self, now_ns: int) -> RawQuote | None:
        settings, context, perception, strategy = self._settings, self.context, self.perception, self._strategy
        if strategy == "fixed":
            return self._fixed.quote(context)
        if not perception.warm:
            return None
        if strategy == "avellaneda-stoikov":
            return self._fallback.quote(context)
        if strategy == "glft":
            return self._glft.quote(context)
        said, neural = perception.prediction, self._neural
        if neural is None:
            return self._fallback.quote(context, widening=settings.fallback_widening, source="avellaneda-stoikov, without networks")
        return neural.quote(context, said) if perception.fresh(now_ns) else neural.fallback(context, said)

    def _look(self) -> QuoteContext:
        book, context, perception = self.book, self.context, self.perception
        context.bid_ticks, context.bid_lots = book.bid_ticks, book.bid_lots
        context.ask_ticks, context.ask_lots = book.ask_ticks, book.ask_lots
        context.reach_ticks = self.reach.ticks
        variance = perception.stream.features.variance
        if variance != self._variance:
            self._variance = variance
            context.sigma_ticks = perception.sigma_ticks(self._horizon_seconds)
            context.skew_sigma_ticks = perception.sigma_ticks(self._settings.skew_horizon_seconds)
        return context

    def _tell_inventory(self, now_ns: int, position_limit_lots: int, context: QuoteContext) -> None:
        perception, ledger = self.perception, self.ledger
        if perception.predictor is None or (ledger.position_atoms == 0 and perception.inventory_is_zero):
            return
        unit = self.instrument.notional_atoms / self.instrument.lot_atoms
        perception.set_inventory(
            perception.inventory.update(
                now_ns,
                ledger.position_atoms,
                position_limit_lots * self.instrument.lot_atoms,
                ledger.average_cost_ticks,
                context.mid_ticks,
                context.skew_sigma_ticks,
                self.unrealised_atoms() or 0,
                self._loss_limit_atoms,
                int(abs(ledger.position_atoms) * context.mid_ticks * unit),
                self._exposure_limit_atoms,
            )
        )

    @property
    def rescale(self) -> float:
        """Factor that the running regression puts on E; 1 without a network."""
        return 1.0 if self._neural is None else self._neural.rescale.scale

    # ---- money

    def unrealised_atoms(self) -> int | None:
        """Unrealised PnL at the worse touch (a long is worth the bid, a short the ask); None while the book is invalid."""
        if not self.book.valid:
            return None
        position = self.ledger.position_atoms
        if position == 0:
            return 0
        return self.ledger.unrealised_atoms(self.book.bid_ticks if position > 0 else self.book.ask_ticks)

    def pnl_atoms(self) -> int | None:
        """Realised plus unrealised minus fees, with funding; None while it cannot be marked."""
        unrealised = self.unrealised_atoms()
        if unrealised is None:
            return None
        return self.ledger.realised_atoms + unrealised - self.ledger.fees_quote_atoms + self.ledger.funding_atoms


def quote_model(bundle: Bundle, settings: QuotingSettings) -> QuoteModel:
    """How the bundle's card wants its heads turned into quotes. A weight that the card does not name is 0."""
    card, heads, cross = bundle.card, bundle.card.head_weights, bundle.card.cross_asset
    use = CompanionUse() if card.companion is None else card.companion.use
    factor = card.spread_multiplier * settings.network_half_spread_factor
    return QuoteModel(
        microprice_weight=card.fair_weights.get("microprice", 0.0),
        price_head_weight=card.fair_weights.get("price_head", 0.0) * heads.price,
        spread_min=card.spread_min * factor,
        spread_max=card.spread_max * factor,
        pull_threshold=card.pull_threshold,
        max_shift=card.max_shift,
        max_target=card.max_target * heads.position,
        horizon_ns=round(card.horizon_seconds * 1e9),
        order_flow_weight=card.fair_weights.get("order_flow", 0.0) * heads.p_up,
        cross_asset_weight=cross.weight * heads.cross_asset if cross is not None else 0.0,
        cross_base_scale=1.0 + (cross.base_scale - 1.0) * heads.cross_asset if cross is not None else 1.0,
        cross_max_shift=cross.max_shift if cross is not None else 0.0,
        adverse_median=use.adverse_median,
        adverse_slope=use.adverse_slope * heads.p_adverse,
        adverse_pull=use.adverse_pull if heads.p_adverse > 0 else 1.0,
        risk_sizes=use.risk_sizes and heads.risk > 0,
        risk_median=use.risk_median,
        spread_weight=heads.spread,
    )
