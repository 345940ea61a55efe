"""A two-sided quoter with an account: it joins the touch with small post-only orders, and may lean on the imbalance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, OrderReport, OrderType, Refusal
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.types.market import Side
from tests.simulation.market_recording import SECOND_NS, START_NS, Floats, Recorder

ACCOUNT = "quoter"


class TouchQuoter:
    """Looks every `period_ns`. With `lean`, a side is withheld while L1 imbalance stands against it by more than `lean`."""

    def __init__(
        self,
        engine: MatchingEngine,
        symbol: str,
        recorder: Recorder,
        *,
        base_units: float,
        lean: float | None,
    ) -> None:
        self.engine, self.symbol, self.recorder, self.lean = engine, symbol, recorder, lean
        self.lots = int(base_units * engine.instruments[symbol].lots_per_unit)
        self.orders: dict[Side, tuple[int, int]] = {}
        self.fills: list[tuple[int, int, int]] = []

    def hear(self, time_ns: int, events: Sequence[EngineEvent]) -> None:
        for event in events:
            if isinstance(event, OrderReport) and event.trade is not None:
                self.fills.append((time_ns, event.side.sign, event.trade.price_ticks))

    def look(self, now_ns: int) -> None:
        _, bid, bid_lots, ask, ask_lots = self.engine.touch(self.symbol)
        imbalance = (bid_lots - ask_lots) / (bid_lots + ask_lots)
        for side, touch in ((Side.BUY, bid), (Side.SELL, ask)):
            wanted = 0 if self.lean is not None and imbalance * side.sign < -self.lean else touch
            self._move(side, wanted, now_ns)

    def _move(self, side: Side, wanted: int, now_ns: int) -> None:
        order_id, price = self.orders.get(side, (0, 0))
        live = order_id in {order.order_id for order in self.engine.open_orders(ACCOUNT, self.symbol)}
        if live and price == wanted:
            return
        if live:
            _, events = self.engine.cancel(ACCOUNT, self.symbol, now_ns, order_id=order_id)
            self.recorder(now_ns, self.symbol, events)
        self.orders.pop(side, None)
        if wanted:
            new = NewOrder(ACCOUNT, self.symbol, side, OrderType.LIMIT_MAKER, None, wanted, self.lots)
            try:
                order, events = self.engine.place(new, now_ns)
            except Refusal as refusal:
                if refusal.code != -2010:
                    raise
                return
            self.orders[side] = (order.order_id, wanted)
            self.recorder(now_ns, self.symbol, events)

    def markouts_bps(self, horizon_ns: int, end_ns: int) -> Floats:
        """Gain of each fill against the mid a horizon later."""
        rows = np.array(self.recorder.recordings[self.symbol].touches, dtype=np.int64)
        fills = np.array([each for each in self.fills if each[0] + horizon_ns < end_ns], dtype=np.int64)
        later = rows[np.searchsorted(rows[:, 0], fills[:, 0] + horizon_ns, "right") - 1]
        mid = (later[:, 1] + later[:, 3]) / 2
        return np.asarray(fills[:, 1] * (mid - fills[:, 2]) / fills[:, 2] * 1e4, dtype=np.float64)


def quoted(
    seed: int,
    seconds: float,
    *,
    lean: float | None = None,
    base_units: dict[str, float] | None = None,
    period_ns: int = SECOND_NS // 5,
    parameters: SimulationParameters | None = None,
) -> tuple[dict[str, TouchQuoter], SimulatedMarket]:
    """The market of this seed with a quoter in each symbol, after so many seconds."""
    base_units = base_units or {"BTCUSDT": 0.01, "ETHUSDT": 0.15}
    engine = MatchingEngine(listed(base_units))
    engine.open_account(ACCOUNT, {"USDT": 10**15, "BTC": 10**12, "ETH": 10**13})
    market = SimulatedMarket(engine, parameters or SimulationParameters(), seed=seed, start_ns=START_NS)
    recorder = Recorder(engine, list(base_units))
    quoters = {symbol: TouchQuoter(engine, symbol, recorder, base_units=units, lean=lean) for symbol, units in base_units.items()}

    def sink(time_ns: int, symbol: str, events: Sequence[EngineEvent]) -> None:
        recorder(time_ns, symbol, events)
        if events:
            quoters[symbol].hear(time_ns, events)

    end_ns = START_NS + int(seconds * SECOND_NS)
    while market.now_ns < end_ns:
        market.advance(market.now_ns + period_ns, sink)
        for quoter in quoters.values():
            quoter.look(market.now_ns)
    return quoters, market
