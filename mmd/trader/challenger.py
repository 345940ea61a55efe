"""A challenger in shadow beside the champion: the same steps, evaluated when nothing is in the way, its quotes only imagined.

Steps are put aside as they happen and evaluated on the timer, every one in its order, so that recurrent state is what it would be
in service and no tick waits for it. Four times a second both networks' quotes are stood beside each other and judged alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from mmd.execution.hypothetical import HypotheticalQuotes
from mmd.inference.bundle import Bundle
from mmd.inference.gate import PredictionGate
from mmd.inference.predictor import QuotePredictor
from mmd.inference.settings import GateSettings
from mmd.quoting.neural import NeuralQuoter
from mmd.quoting.prediction import Prediction, QuoteModel
from mmd.quoting.quote import Quote, QuoteContext, clamp
from mmd.quoting.settings import QuotingSettings
from mmd.trader.beside import Seat
from mmd.trader.references import Assets, CrossAssetSeat
from mmd.types.instrument import Instrument
from mmd.types.market import MarketTrade

STANDING_NS = 250_000_000
MOST_WAITING = 8192


class _Step(msgspec.Struct, frozen=True, gc=False):
    receive_ns: int
    market: list[float]
    inventory: Sequence[float]
    touch: tuple[int, int, int, int]
    sigma_ticks: float
    assets: Assets
    """What the cross-asset network would have seen."""


class Challenger:
    """Of one symbol. `champion` and `own` are what both would have done."""

    def __init__(
        self, instrument: Instrument, bundle: Bundle, predictor: QuotePredictor, model: QuoteModel, quoting: QuotingSettings,
        gate: GateSettings, seats: Sequence[Seat] = (),
    ) -> None:  # fmt: skip
        self.bundle = bundle
        self.predictor = predictor
        self.gate = PredictionGate(bundle.card, gate)
        self.champion, self.own = HypotheticalQuotes(instrument.symbol), HypotheticalQuotes(instrument.symbol)
        self.seats = tuple(seats)
        """Its networks beside the quote network."""
        self._cross = next((seat for seat in seats if isinstance(seat, CrossAssetSeat)), None)
        self.prediction = Prediction()
        self._refuse()
        self.overflows = 0
        """Times more steps waited than are kept: its recurrent state began anew."""
        self._instrument = instrument
        self._quoter = NeuralQuoter(quoting, instrument, model)
        self._waiting: deque[_Step] = deque()
        self._context = QuoteContext()
        self._next_standing_ns = 0

    @property
    def horizon_seconds(self) -> float:
        """Its networks' horizon."""
        return self.bundle.card.horizon_seconds

    def on_step(
        self, receive_ns: int, market: list[float], inventory: Sequence[float], touch: tuple[int, int, int, int], sigma_ticks: float
    ) -> None:
        """A step of the market: rows, touch (bid, lots, ask, lots) and the mid's volatility over `horizon_seconds`."""
        if len(self._waiting) >= MOST_WAITING:
            self.interrupt(receive_ns)
            self.overflows += 1
        cross = self._cross
        # Evaluated later, when the other symbols have moved on: what they show is looked at now.
        assets = cross.look(receive_ns) if cross is not None and cross.understood else ()
        self._waiting.append(_Step(receive_ns, market, inventory, touch, sigma_ticks, assets))

    def on_trade(self, trade: MarketTrade) -> None:
        """A public trade."""
        for quotes in (self.champion, self.own):
            quotes.on_trade(trade.receive_ns, trade.price_ticks, trade.aggressor)

    def interrupt(self, now_ns: int) -> None:
        """The market was lost: recurrent state begins anew, nothing stands."""
        self._waiting.clear()
        self.predictor.reset()
        for seat in self.seats:
            seat.reset()
        self._refuse()
        self._quoter.rescale.interrupt()
        for quotes in (self.champion, self.own):
            quotes.interrupt(now_ns)

    def _refuse(self) -> None:
        self.prediction.usable = False
        for seat in self.seats:
            seat.refuse(self.prediction, "interrupted")

    def run(self, now_ns: int, context: QuoteContext, sigma_ticks: float, champion: Quote | None) -> None:
        """Evaluate what waits, then stand both quotes beside each other; neither where the champion quotes nothing.

        `context` is the champion's, of a valid book; `sigma_ticks` the volatility over our own horizon.
        """
        while self._waiting:
            self._evaluate(self._waiting.popleft())
        mid_ticks_x2 = context.bid_ticks + context.ask_ticks
        for quotes in (self.champion, self.own):
            quotes.on_mid(now_ns, mid_ticks_x2)
        if now_ns < self._next_standing_ns:
            return
        self._next_standing_ns = now_ns + STANDING_NS
        _stand(self.champion, champion)
        _stand(self.own, None if champion is None else self._quote(context, sigma_ticks, now_ns))

    def _evaluate(self, step: _Step) -> None:
        predictor, said = self.predictor, self.prediction
        if len(step.inventory) == predictor.inventory.size:
            predictor.inventory[:] = step.inventory
        predictor.step_on(step.market)
        refusal = self.gate.check(predictor, age_ns=0, elapsed_ns=0)
        said.price_change, said.optimal_spread = predictor.price_change, predictor.optimal_spread
        said.position_signal, said.made_ns = predictor.position_signal, step.receive_ns
        said.usable, said.refusal = refusal is None, "" if refusal is None else refusal.value
        for seat in self.seats:
            if seat is self._cross:
                self._cross.step_seen(step.assets, said, inside=self.gate.inside)
            else:
                seat.step(step.market, step.receive_ns, said, inside=self.gate.inside)
        if refusal is not None:
            return
        context = self._context
        context.bid_ticks, context.bid_lots, context.ask_ticks, context.ask_lots = step.touch
        context.sigma_ticks = step.sigma_ticks
        expected = sum(self._quoter.expected_move(context, said))
        self._quoter.rescale.observe(step.receive_ns, context.mid_ticks, expected)

    def _quote(self, context: QuoteContext, sigma_ticks: float, now_ns: int) -> Quote | None:
        if not self.prediction.usable:
            return None
        own = context.with_sigma(sigma_ticks)
        return clamp(self._quoter.quote(own, self.prediction), own, self._instrument, now_ns)


def _stand(quotes: HypotheticalQuotes, quote: Quote | None) -> None:
    if quote is None:
        quotes.stand(0, 0)
    else:
        quotes.stand(quote.bid_ticks if quote.bid_lots else 0, quote.ask_ticks if quote.ask_lots else 0)
