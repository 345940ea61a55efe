"""The same orders on the same recording in two matchers, hftbacktest and the mock's own: fills compared order by order.

A run with a constant latency is logged as its orders reach the exchange, and then repeated on the matching engine with the queue
matcher that replays markets for the mock. Where the two fill an order differently, what the market did at that moment says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from hftbacktest import TRADE_EVENT

from mmd.backtest.errors import BacktestError
from mmd.backtest.matching import Matcher
from mmd.backtest.runner import Options, Run, run_backtest
from mmd.mock.engine import EngineEvent, MatchingEngine, NewOrder, OrderReport, OrderType, Refusal
from mmd.mock.replay.matcher import QueueMatcher
from mmd.paper.market import FollowedMarket
from mmd.types.market import DepthSnapshot, DepthUpdate, MarketTrade, Side, TouchUpdate

ACCOUNT = "crosscheck"
PLENTY_ATOMS = 10**17

SAME, ANOTHER_TIME = "same lots at the same moment", "same lots, not at the same moment"
THROUGH = "the market traded or moved past the price: hftbacktest fills all that is left, ours as many lots as were there"
QUEUE = (
    "queue: a decrease that was heard before the trade that caused it counts twice in hftbacktest, ours holds it back for a trade"
)
LATER = "ours fills what stood when a later event met the order; hftbacktest saw it gone, or further back"


class Request(NamedTuple):
    """What reached the exchange: `kind` is place, cancel or reduce."""

    time_ns: int
    kind: str
    number: int
    side: Side
    price_ticks: int
    lots: int


class LoggedMatcher(Matcher):
    """Keeps every request with the time at which it reaches the exchange."""

    entry_ns: ClassVar[int] = 0
    requests: ClassVar[list[Request]] = []

    def place(self, market: int, number: int, side: Side, price_ticks: int, lots: int) -> None:
        """Log and send."""
        self.requests.append(Request(self.now_ns + self.entry_ns, "place", number, side, price_ticks, lots))
        super().place(market, number, side, price_ticks, lots)

    def cancel(self, market: int, number: int) -> None:
        """Log and send."""
        self.requests.append(Request(self.now_ns + self.entry_ns, "cancel", number, Side.BUY, 0, 0))
        super().cancel(market, number)

    def reduce(self, market: int, number: int, price_ticks: int, remaining_lots: int) -> None:
        """Log and send."""
        self.requests.append(Request(self.now_ns + self.entry_ns, "reduce", number, Side.BUY, price_ticks, remaining_lots))
        super().reduce(market, number, price_ticks, remaining_lots)


@dataclass
class CrossCheck:
    """Lots by order in each matcher, and each order's verdict."""

    theirs: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """hftbacktest's fills: (exchange time, lots) by order."""
    ours: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    verdicts: dict[int, str] = field(default_factory=dict)
    """Of every order that either filled."""
    orders: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Orders by verdict."""
        return dict(Counter(self.verdicts.values()))


def cross_check(places: Sequence[Path], options: Options) -> CrossCheck:
    """One symbol, a constant latency. Raises `BacktestError`."""
    latency = options.latency
    if latency is None or latency.feed_ns is None:
        raise BacktestError("matchers are compared at a constant latency: give one, such as 5ms")

    entry, feed_ns = latency.entry_ns, latency.feed_ns

    class Logged(LoggedMatcher):
        entry_ns = entry
        requests: ClassVar[list[Request]] = []

    run = run_backtest(places, [], replace(options, latency=latency), matcher_type=Logged)
    if len(run.sources) != 1:
        raise BacktestError(f"matchers are compared on one symbol, and the data has {len(run.sources)}")
    found = CrossCheck(orders=sum(request.kind == "place" for request in Logged.requests))
    for fill in run.recorder.tracks[run.sources[0].symbol].fills:
        found.theirs.setdefault(fill.exchange_order_id, []).append((fill.exchange_ns, fill.lots))
    found.ours = _on_our_engine(run, Logged.requests, feed_ns)
    _judge(found, run, {request.number: request for request in Logged.requests if request.kind == "place"})
    return found


def _on_our_engine(run: Run, requests: Sequence[Request], feed_ns: int) -> dict[int, list[tuple[int, int]]]:
    instrument = run.sources[0].instrument
    engine = MatchingEngine([instrument])
    engine.open_account(ACCOUNT, {instrument.base_asset: PLENTY_ATOMS, instrument.quote_asset: PLENTY_ATOMS})
    fills: dict[int, list[tuple[int, int]]] = {}
    now_ns = 0

    def hear(_symbol: str, events: Sequence[EngineEvent]) -> None:
        for event in events:
            if isinstance(event, OrderReport) and event.account == ACCOUNT and event.trade is not None:
                number = int(event.trade.client_order_id.partition("-")[0])
                fills.setdefault(number, []).append((now_ns, event.trade.lots))

    market = FollowedMarket(QueueMatcher(engine, instrument.symbol, hear))
    waiting = list(reversed(requests))
    names: dict[int, str] = {}
    for event in run.sources[0].events():
        at_ns = event.receive_ns - feed_ns
        while waiting and waiting[-1].time_ns <= at_ns:
            request = waiting.pop()
            now_ns = request.time_ns
            _carry_out(engine, instrument.symbol, request, names, hear)
        now_ns = at_ns
        _feed(market, event, at_ns)
        engine.take_depth_changes(instrument.symbol)
    return fills


def _carry_out(engine: MatchingEngine, symbol: str, request: Request, names: dict[int, str], hear: Any) -> None:
    number, at = request.number, request.time_ns
    try:
        if request.kind == "place":
            names[number] = f"{number}-0"
            order = NewOrder(
                ACCOUNT, symbol, request.side, OrderType.LIMIT_MAKER, None, request.price_ticks, request.lots,
                client_order_id=names[number],
            )  # fmt: skip
            hear(symbol, engine.place(order, at)[1])
        elif request.kind == "cancel":
            hear(symbol, engine.cancel(ACCOUNT, symbol, at, client_order_id=names[number])[1])
        else:
            former = names[number]
            standing = engine.find_order(ACCOUNT, symbol, client_order_id=former)
            names[number] = f"{number}-{int(former.partition('-')[2]) + 1}"
            lots = standing.executed_lots + request.lots
            engine.amend(ACCOUNT, symbol, at, client_order_id=former, lots=lots, new_client_order_id=names[number])
    except Refusal:
        # It would have taken, or is gone: in hftbacktest it may be otherwise, which the comparison then shows.
        return


def _feed(market: FollowedMarket, event: Any, at_ns: int) -> None:
    if isinstance(event, TouchUpdate):
        market.on_touch_update(event, at_ns)
    elif isinstance(event, DepthUpdate):
        market.on_depth_update(event, at_ns)
    elif isinstance(event, DepthSnapshot):
        market.on_depth_snapshot(event, at_ns)
    elif isinstance(event, MarketTrade):
        market.on_trade(event, at_ns)
    else:
        market.on_lost()


def _judge(found: CrossCheck, run: Run, placed: dict[int, Request]) -> None:
    events = run.markets[0].events
    times = events["exch_ts"]
    for number in sorted({*found.theirs, *found.ours}):
        theirs, ours = found.theirs.get(number, []), found.ours.get(number, [])
        if sum(lots for _, lots in theirs) == sum(lots for _, lots in ours):
            found.verdicts[number] = SAME if [at for at, _ in theirs] == [at for at, _ in ours] else ANOTHER_TIME
            continue
        if not theirs:
            found.verdicts[number] = LATER
            continue
        order, at_ns = placed[number], theirs[0][0]
        rows = events[np.searchsorted(times, at_ns) : np.searchsorted(times, at_ns, side="right")]
        traded = rows[(rows["ev"] & np.uint64(0xFF)) == TRADE_EVENT]
        at_price = bool(len(traded)) and bool((traded["px"] == order.price_ticks).any())
        more = sum(lots for _, lots in theirs) > sum(lots for _, lots in ours)
        found.verdicts[number] = (QUEUE if at_price else THROUGH) if more else LATER
