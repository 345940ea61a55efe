"""What a tick costs in a hot process, without sockets: stage by stage, and the whole way from bytes to signed bytes."""

from __future__ import annotations

import gc
from time import perf_counter_ns

import numpy as np

from mmd.benchmark.frames import Frames
from mmd.benchmark.session import HotSession, nowhere
from mmd.daemon.bundles import make_predictors
from mmd.daemon.latency import LatencyHistogram, Percentiles, StageClock
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.market.feature_stream import DEPTH_LEVELS
from mmd.market.features import MarketFeatures
from mmd.market.reference import AssetFeed
from mmd.trader.desk import SymbolDesk


def inference(bundle: Bundle, rounds: int) -> Percentiles:
    """One step of the quote network, state carried."""
    predictor = QuotePredictor(bundle)
    rows = np.random.default_rng(1).normal(size=(256, predictor.market.size)).astype(np.float32)
    histogram = LatencyHistogram()
    for number in range(rounds + 500):
        predictor.market[:] = rows[number % 256]
        begin = perf_counter_ns()
        predictor.step()
        if number >= 500:
            histogram.record(perf_counter_ns() - begin)
    return histogram.percentiles()


def networks(bundle: Bundle, rounds: int) -> Percentiles:
    """One step of all the bundle's networks, as a tick makes it: rows handed in, states carried, answers read.

    A cross-asset network looks at as many other symbols as it has places for, each with a new row.
    """
    predictor = make_predictors(bundle, ("",))[""]
    companion, cross = predictor.companion, predictor.cross_asset
    rows = np.random.default_rng(1).normal(size=(256, predictor.market.size)).astype(np.float32).tolist()
    own, *others = [AssetFeed() for _ in range(1 if cross is None else cross.card.slots)]
    histogram = LatencyHistogram()
    for number in range(rounds + 500):
        row, now_ns = rows[number % 256], 1_000_000 * (number + 1)
        for feed in others:
            feed.on_row(now_ns - 1_000, row, 200 + number % 3, 2.0)
        begin = perf_counter_ns()
        predictor.step_on(row)
        if companion is not None:
            companion.step_on(row)
        if cross is not None:
            own.on_row(now_ns, row, 200 + number % 3, 2.0)
            cross.step_on((own.own(), *[feed.before(now_ns) for feed in others]))
        if number >= 500:
            histogram.record(perf_counter_ns() - begin)
    return histogram.percentiles()


def features(frames: Frames) -> tuple[Percentiles, Percentiles]:
    """One update of all market features, on the steps of the frames: with a whole tick between two of them, as in a session, and
    alone, as `inference` is timed.
    """
    session = HotSession(frames.snapshot, {frames.instrument.symbol: frames.instrument}, None, {})
    desk = session.trader.desks[frames.instrument.symbol]
    between_ticks, in_place = MarketFeatures(), LatencyHistogram()
    taken: list[tuple[int, ...]] = []
    for receive_ns, frame in frames.frames:
        steps = desk.steps
        session.tick(receive_ns, frame, nowhere)
        session.settle(receive_ns)
        if desk.steps != steps:
            step = _newest_step(desk, receive_ns)
            taken.append(step)
            begin = perf_counter_ns()
            between_ticks.update(*step)
            in_place.record(perf_counter_ns() - begin)
    alone, histogram = MarketFeatures(), LatencyHistogram()
    update = alone.update
    for step in taken:
        begin = perf_counter_ns()
        update(*step)
        histogram.record(perf_counter_ns() - begin)
    return in_place.percentiles(), histogram.percentiles()


def _newest_step(desk: SymbolDesk, receive_ns: int) -> tuple[int, ...]:
    """What the desk's own features were given last."""
    book, traded = desk.book, desk.perception.stream.builder
    touch = (book.bid_ticks, book.bid_lots, book.ask_ticks, book.ask_lots)
    sums = (traded.buy_lots, traded.sell_lots, traded.trade_count, traded.traded_ticks_lots)
    return (receive_ns, *touch, *book.best_lots(DEPTH_LEVELS), *sums)


class HotFigures:
    """`whole` covers every tick, `ordering` those that sent something, `stages` by the core's own laps."""

    def __init__(self, whole: LatencyHistogram, ordering: LatencyHistogram, stages: StageClock) -> None:
        self.whole = whole.percentiles()
        self.ordering = ordering.percentiles()
        self.stages = {name: figures for name, figures in stages.percentiles().items() if name not in ("decode", "send")}


def tick_to_quote(frames: Frames, bundle: Bundle | None, *, laps: bool) -> HotFigures:
    """From bytes in hand to signed requests in hand. With `laps` the stages are timed too, which itself costs some."""
    predictors = {} if bundle is None else make_predictors(bundle, (frames.instrument.symbol,))
    stages = StageClock()
    session = HotSession(
        frames.snapshot, {frames.instrument.symbol: frames.instrument}, bundle, predictors, stages if laps else None
    )
    whole, ordering = LatencyHistogram(), LatencyHistogram()
    gc.collect()
    gc.disable()
    try:
        for number, (receive_ns, frame) in enumerate(frames.frames):
            if laps:
                stages.start()
            begin = perf_counter_ns()
            session.tick(receive_ns, frame, nowhere)
            taken = perf_counter_ns() - begin
            sent = session.settle(receive_ns)
            if number >= 1000:
                whole.record(taken)
                if sent:
                    ordering.record(taken)
    finally:
        gc.enable()
    return HotFigures(whole, ordering, stages)
