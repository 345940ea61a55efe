"""What is kept to judge a symbol's networks by while they serve: calibration of their heads, and how much each moves the quotes.

Asked on the timer. In the way of a tick it costs an append for each quote, and a few more steps for a trade at the touch.
"""

from __future__ import annotations

import msgspec

from mmd.inference.bundle import Bundle
from mmd.inference.calibration import HeadCalibration, Traded
from mmd.market.book import OrderBook
from mmd.quoting.neural import NeuralQuoter
from mmd.quoting.prediction import ABSENT, Prediction
from mmd.quoting.tally import AttributionTally
from mmd.types.market import MarketTrade, Side
from mmd.types.report import NetworkShare

NAN = float("nan")
NO_WEIGHT = "no weight: it does not beat its baseline"
NOT_THERE = "not in the bundle, or without the symbols it looks at"
DEFAULT_RISK_NS = 10_000_000_000


class HeadWatch:
    """Of one symbol and one bundle. `prediction` is the one that the symbol's quotes are made of."""

    __slots__ = ("_last_trade", "_neural", "_prediction", "calibration", "tally")

    def __init__(self, bundle: Bundle, neural: NeuralQuoter, prediction: Prediction) -> None:
        card, companion = bundle.card, bundle.card.companion
        self._neural = neural
        self._prediction = prediction
        self._last_trade = (0, 0)
        self.calibration = HeadCalibration(
            round(card.horizon_seconds * 1e9),
            DEFAULT_RISK_NS if companion is None else round(companion.risk_window_seconds * 1e9),
            0.0 if companion is None else companion.fees_bps,
        )
        self.tally = AttributionTally()

    def on_trade(self, trade: MarketTrade, book: OrderBook, sigma_ticks: float, step: int) -> None:
        """A public trade, before the row that it makes; counted once for each row and side at whose touch it was."""
        bid_ticks, ask_ticks = book.bid_ticks, book.ask_ticks
        said = self._prediction
        if trade.aggressor is Side.SELL:
            if trade.price_ticks > bid_ticks:
                return
            sign, price, p_adverse = 1, bid_ticks, said.p_adverse_bid
        else:
            if trade.price_ticks < ask_ticks:
                return
            sign, price, p_adverse = -1, ask_ticks, said.p_adverse_ask
        if self._last_trade == (step, sign):
            return
        self._last_trade = (step, sign)
        self.calibration.on_trade(
            Traded(
                trade.receive_ns,
                price,
                0.5 * (bid_ticks + ask_ticks),
                sign,
                NAN if said.adverse_refusal else p_adverse,
                self._neural.spread_ticks(sigma_ticks, said.optimal_spread) if said.usable else NAN,
            )
        )

    def on_time(self, now_ns: int, mid_ticks: float, sigma_ticks: float) -> None:
        """The timer, while the book is valid."""
        self.tally.look()
        calibration = self.calibration
        calibration.on_time(now_ns, mid_ticks)
        if calibration.due(now_ns):
            calibration.sample(now_ns, mid_ticks, sigma_ticks, in_use(self._prediction))

    def shares(self) -> dict[str, NetworkShare]:
        """How much each network moved the quotes, and why one can move none."""
        said, weightless = self._prediction, self._neural.weightless
        absent = {
            "order_flow": said.order_flow_refusal,
            "adverse_selection": said.adverse_refusal,
            "risk": said.risk_refusal,
            "cross_asset": said.cross_refusal,
        }
        notes = dict.fromkeys(weightless, NO_WEIGHT) | {name: NOT_THERE for name, why in absent.items() if why == ABSENT}
        return {name: msgspec.structs.replace(share, note=notes.get(name, "")) for name, share in self.tally.shares().items()}

    def interrupt(self) -> None:
        """The market was lost."""
        self.calibration.interrupt()


def in_use(said: Prediction) -> dict[str, float]:
    """The heads that may be used now."""
    found: dict[str, float] = {}
    if said.usable:
        found["price_change"] = said.price_change
        found["optimal_spread"] = said.optimal_spread
        found["position_signal"] = said.position_signal
    if not said.order_flow_refusal:
        found["p_up"] = said.p_up
    if not said.adverse_refusal:
        found["p_adverse_bid"], found["p_adverse_ask"] = said.p_adverse_bid, said.p_adverse_ask
    if not said.risk_refusal:
        found["risk"] = said.risk
    if not said.cross_refusal:
        found["cross_move"] = said.cross_move
    return found
