"""A session traded on the mock exchange, and the backtest of what it recorded: how far quotes, fills and profit agree.

`python -m mmd.backtest.mock_session PAGE.md` writes the table. The session is the live core on the mock's matching engine and its
simulated market, in virtual time; recorded is every market event that the core was sent. The backtest gets that recording, the same
settings, latencies and fee. A recording holds our own orders in its levels: a recorder that knows them takes them out, which the
table shows beside the recording as it is. What then differs is what a backtest cannot know: the market answered to our orders.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.attribution import fill_columns, ledger_pnl
from mmd.backtest.data import MarketSource
from mmd.backtest.latency import Latency
from mmd.backtest.runner import Options, Run, run_on
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader import Trader
from mmd.trader.settings import TraderConfig
from mmd.types.instrument import ATOMS_PER_UNIT
from mmd.types.market import DepthSnapshot, DepthUpdate, Level, MarketTrade, Side, TouchUpdate
from mmd.types.orders import Fill, OrderStatus, OrderUpdate

SYMBOL = "BTCUSDT"
START_NS = 1_700_000_000_000_000_000
NS = 1_000_000_000
LATENCY_NS = 1_000_000
MAKER_FEE = 0.0001
NEAR_BPS = 0.1
OPEN = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


@dataclass
class Recorded:
    """What the session left: its market events (`plain` as sent, `cleaned` without our own orders), fills and quotes."""

    trader: Trader
    plain: list[Any] = field(default_factory=list)
    cleaned: list[Any] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    quotes: list[tuple[int, int, int]] = field(default_factory=list)
    """Receive time, best bid and ask of ours in ticks, 0 for none, at each change."""


@dataclass(frozen=True)
class Agreement:
    """Of a session and its backtest. Quote units and bps of the mid or of the volume."""

    fills: tuple[int, int]
    volume: tuple[float, float]
    pnl: tuple[float, float]
    same_quotes: float
    """Share of the moments (every 100 ms) at which both of our prices stood within `NEAR_BPS` of the session's."""
    quote_distance_bps: float
    """Mean distance of the prices where both stood."""

    @property
    def pnl_per_volume_bps(self) -> tuple[float, float]:
        """Session and backtest."""
        one, two = (pnl / volume * 1e4 if volume else 0.0 for pnl, volume in zip(self.pnl, self.volume, strict=True))
        return one, two


class _Listener:
    """Hears every event just before the core does."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._own: dict[str, tuple[Side, int, int]] = {}

    def __call__(self, event: Any) -> None:
        recorded = self._recorded
        if isinstance(event, DepthUpdate | DepthSnapshot | TouchUpdate | MarketTrade):
            recorded.plain.append(event)
            cleaned = self._without_ours(event)
            if cleaned is not None:
                recorded.cleaned.append(cleaned)
        elif isinstance(event, Fill):
            recorded.fills.append(event)
        elif isinstance(event, OrderUpdate):
            self._own.pop(event.replaced_client_order_id, None)
            if event.status in OPEN:
                self._own[event.client_order_id] = (event.side, event.price_ticks, event.lots - event.filled_lots)
            else:
                self._own.pop(event.client_order_id, None)
            bids = [price for side, price, _ in self._own.values() if side is Side.BUY]
            asks = [price for side, price, _ in self._own.values() if side is Side.SELL]
            recorded.quotes.append((event.receive_ns, max(bids, default=0), min(asks, default=0)))

    def _ours(self, side: Side, price: int) -> int:
        return sum(lots for whose, at, lots in self._own.values() if whose is side and at == price)

    def _levels(self, side: Side, levels: Sequence[Level]) -> tuple[Level, ...]:
        return tuple((price, max(0, lots - self._ours(side, price))) for price, lots in levels)

    def _without_ours(self, event: Any) -> Any:
        if isinstance(event, DepthUpdate):
            bids, asks = self._levels(Side.BUY, event.bids), self._levels(Side.SELL, event.asks)
            numbers = (event.first_update_id, event.final_update_id, event.previous_final_update_id)
            return DepthUpdate(event.symbol, event.receive_ns, event.exchange_ns, *numbers, bids, asks)
        if isinstance(event, DepthSnapshot):
            bids, asks = self._levels(Side.BUY, event.bids), self._levels(Side.SELL, event.asks)
            shown = tuple(level for level in bids if level[1]), tuple(level for level in asks if level[1])
            return DepthSnapshot(event.symbol, event.receive_ns, event.last_update_id, *shown)
        if isinstance(event, TouchUpdate):
            bid_lots = event.bid_lots - self._ours(Side.BUY, event.bid_ticks)
            ask_lots = event.ask_lots - self._ours(Side.SELL, event.ask_ticks)
            if bid_lots <= 0 or ask_lots <= 0:
                # We alone are the best: what stands behind us is known at the next depth.
                return None
            touch = (event.update_id, event.bid_ticks, bid_lots, event.ask_ticks, ask_lots)
            return TouchUpdate(event.symbol, event.receive_ns, event.exchange_ns, *touch)
        return event


def trade_on_mock(quoting: QuotingSettings, seconds: float, seed: int) -> Recorded:
    """A whole session on the simulated market, with the default limits."""
    engine = MatchingEngine(listed((SYMBOL,)), maker_fee=Decimal(str(MAKER_FEE)))
    parameters = SimulationParameters()
    alone = parameters.model_copy(update={"symbols": tuple(each for each in parameters.symbols if each.symbol == SYMBOL)})
    market = SimulatedMarket(engine, alone, seed=seed, start_ns=START_NS)
    base, quote = engine.instruments[SYMBOL].base_asset, engine.instruments[SYMBOL].quote_asset
    engine.open_account("A", {base: 100 * ATOMS_PER_UNIT, quote: 10_000_000 * ATOMS_PER_UNIT})
    trader = Trader(TraderConfig(session="mock", quoting=quoting, risk=_limits()), engine.instruments)
    venue = VirtualVenue(engine, market, "A", feed_latency_ns=LATENCY_NS, order_latency_ns=LATENCY_NS)
    recorded = Recorded(trader)
    venue.on_event = _Listener(recorded)
    venue.connect(trader)
    venue.run(START_NS + round(seconds * NS))
    return recorded


def backtest_of(recorded: Recorded, events: Sequence[Any], quoting: QuotingSettings) -> Run:
    """The recording traded again with the same settings, latencies and fee."""
    instrument = recorded.trader.desks[SYMBOL].instrument

    def read(_repairs: dict[str, int], _begin_ns: int) -> Iterator[Any]:
        return iter(events)

    source = MarketSource("mock", instrument, (), read, True, True, True)
    options = Options(
        strategy=quoting.strategy,
        latency=Latency(LATENCY_NS, LATENCY_NS, LATENCY_NS),
        maker_fee=MAKER_FEE,
        calibration_share=0.0,
        calibrated=False,
        quoting=quoting,
        risk=_limits(),
    )
    return run_on([source], options)


def agreement(recorded: Recorded, run: Run) -> Agreement:
    """Session beside backtest."""
    desk = recorded.trader.desks[SYMBOL]
    track = run.recorder.tracks[SYMBOL]
    times = np.asarray(track.times, np.int64)
    mids = np.asarray(track.mids_x2, np.float64) / 2
    bids, asks = _quotes_at(recorded, times)
    theirs = (np.asarray(track.bids, np.int64), np.asarray(track.asks, np.int64))
    room = mids * NEAR_BPS * 1e-4
    near = (np.abs(bids - theirs[0]) <= room) & (np.abs(asks - theirs[1]) <= room)
    both = (bids > 0) & (asks > 0) & (theirs[0] > 0) & (theirs[1] > 0)
    distance = (np.abs(bids - theirs[0]) + np.abs(asks - theirs[1])) / 2 / np.maximum(mids, 1.0) * 1e4
    scale = ATOMS_PER_UNIT
    session_pnl = desk.pnl_atoms() or 0
    return Agreement(
        fills=(len(recorded.fills), len(track.fills)),
        volume=(desk.ledger.volume_atoms / scale, float(fill_columns(track).notional.sum())),
        pnl=(session_pnl / scale, ledger_pnl(track)),
        same_quotes=float(np.mean(near)) if len(near) else 1.0,
        quote_distance_bps=float(np.mean(distance[both])) if both.any() else 0.0,
    )


def _quotes_at(recorded: Recorded, times: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    rows = np.asarray([(0, 0, 0), *recorded.quotes], np.int64)
    place = np.searchsorted(rows[:, 0], times, side="right") - 1
    return rows[place, 1], rows[place, 2]


def _limits() -> RiskLimits:
    # Losses end no session here: one that ends earlier than the other would be compared with nothing.
    return RiskLimits(max_daily_loss=Decimal(100_000), max_drawdown=Decimal(100_000), max_pauses_per_hour=10_000)


_ABOUT = (
    "300 virtual seconds a session, 1 ms each way, a maker's fee of 1 bps, default limits, risk-averse queue; `python -m",
    "mmd.backtest.mock_session` makes it. Each pair is session, backtest. *Cleaned*: our own orders taken out of the levels.",
    "Bounds that hold: in each session PnL per volume within 0.5 bps, volume within 35 %, quotes 0.2 bps apart in the mean;",
    "over the sessions of a strategy together PnL per volume within 0.25 bps, volume within 25 % (`test_mock_session.py`).",
)
_HEAD = (
    "| strategy | seed | recording | fills | volume | PnL per volume, bps | quotes within 0.1 bps | distance of quotes, bps |",
    "|---|---|---|---|---|---|---|---|",
)


def _cells(found: Agreement) -> list[str]:
    return [
        f"{found.fills[0]}, {found.fills[1]}",
        f"{found.volume[0]:,.0f}, {found.volume[1]:,.0f}",
        ", ".join(f"{value:.3f}" for value in found.pnl_per_volume_bps),
        f"{found.same_quotes:.1%}",
        f"{found.quote_distance_bps:.3f}",
    ]


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m mmd.backtest.mock_session PAGE.md\n")
        return 2
    lines = ["A session on the mock, and its backtest", "", *_ABOUT, "", *_HEAD]
    for strategy in ("fixed", "avellaneda-stoikov", "glft"):
        for seed in (1, 2, 3):
            quoting = QuotingSettings.model_validate({"strategy": strategy, "fixed_half_spread_bps": 0.2})
            recorded = trade_on_mock(quoting, 300.0, seed)
            for name, events in (("as sent", recorded.plain), ("cleaned", recorded.cleaned)):
                cells = [strategy, str(seed), name, *_cells(agreement(recorded, backtest_of(recorded, events, quoting)))]
                lines.append(f"| {' | '.join(cells)} |")
    Path(arguments[0]).write_text("# " + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
