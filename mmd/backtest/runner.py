"""A backtest from its options to what it leaves: sources opened and converted, the core set up as live, the session run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmd.backtest.calibration import Calibration, calibrate
from mmd.backtest.conversion import ConvertedMarket, convert
from mmd.backtest.data import MarketSource, open_sources
from mmd.backtest.errors import BacktestError
from mmd.backtest.latency import Latency
from mmd.backtest.matching import Matcher, OrderLatency, QueueModel
from mmd.backtest.recorder import LEAST_SAMPLE_NS, MOST_SAMPLES, Recorder
from mmd.backtest.session import BacktestSession, until
from mmd.backtest.venue import BacktestVenue
from mmd.exchanges.binance.decode import MalformedFrame
from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.learning.errors import SourceError
from mmd.quoting.settings import QuotingSettings
from mmd.recording.recording import RecordingError
from mmd.risk.limits import RiskLimits
from mmd.trader import Command, Trader
from mmd.trader.settings import TraderConfig
from mmd.types.control import HaltRecord

SESSION = "backtest"
CALIBRATED = ("glft", "avellaneda-stoikov")


@dataclass(frozen=True)
class Options:
    """Everything that decides what a run does. Times are UTC ns, 0: all of the data."""

    strategy: str = "fixed"
    latency: Latency | None = None
    """None: as recorded where there are stamps, else 1 ms."""
    queue: QueueModel = "risk-averse"
    maker_fee: float = 0.0
    taker_fee: float = 0.0
    """Shares of the notional, below zero: a rebate. The taker's is what closing the last position would cost."""
    begin_ns: int = 0
    end_ns: int = 0
    calibration_share: float = 0.3
    """The first share of the period is for calibration: nobody trades in it, whatever the strategy."""
    calibrated: bool = True
    """Whether GLFT and Avellaneda-Stoikov take their parameters from it, rather than from the settings."""
    quoting: QuotingSettings = field(default_factory=QuotingSettings)
    risk: RiskLimits = field(default_factory=RiskLimits)


@dataclass
class Run:
    """What a session left behind."""

    options: Options
    latency: Latency
    sources: list[MarketSource]
    markets: list[ConvertedMarket]
    calibrations: dict[str, Calibration]
    recorder: Recorder
    trader: Trader
    venue: BacktestVenue
    halt: HaltRecord | None
    events: int
    seconds: float
    """CPU seconds of the session itself."""
    convert_seconds: float


Networks = tuple[Bundle, dict[str, QuotePredictor]]


def run_backtest(
    places: Sequence[Path],
    symbols: Sequence[str],
    options: Options,
    networks: Callable[[Sequence[str]], Networks] | None = None,
    *,
    on_total: Callable[[int], None] = lambda _events: None,
    on_progress: Callable[[int], None] = lambda _events: None,
    on_command: Callable[[Command], None] = lambda _command: None,
    matcher_type: type[Matcher] = Matcher,
) -> Run:
    """Raises `BacktestError` for data or options that cannot be used. `networks` makes a bundle's predictors for the symbols."""
    try:
        return _run(open_sources(places, symbols), options, networks, on_total, on_progress, on_command, matcher_type)
    except (SourceError, RecordingError, MalformedFrame) as error:
        raise BacktestError(str(error)) from error


def _run(
    sources: list[MarketSource],
    options: Options,
    networks: Callable[[Sequence[str]], Networks] | None,
    on_total: Callable[[int], None],
    on_progress: Callable[[int], None],
    on_command: Callable[[Command], None],
    matcher_type: type[Matcher],
) -> Run:
    latency = options.latency or _default_latency(sources)
    end_ns = options.end_ns or 1 << 62
    began = time.process_time()
    markets = [
        convert(
            until(source.events(source.repairs, options.begin_ns), end_ns),
            source.symbol,
            window=source.window,
            stamped=source.stamped,
            constant_latency_ns=latency.feed_ns,
            floor_ns=latency.floor_ns,
        )
        for source in sources
    ]
    converted = time.process_time()
    on_total(sum(market.count for market in markets))
    begin_ns = min(market.begin_ns for market in markets)
    last_ns = max(market.end_ns for market in markets)
    period_ns = max(options.begin_ns, begin_ns)
    trade_from_ns = period_ns + round((last_ns - period_ns) * options.calibration_share)
    if trade_from_ns >= last_ns:
        raise BacktestError("nothing is left to trade: the period begins after the data, or --calibrate takes all of it")
    calibrations: dict[str, Calibration] = {}
    quoting = options.quoting.model_copy(update={"strategy": options.strategy})
    if options.strategy in CALIBRATED and options.calibrated and options.calibration_share > 0:
        horizon = quoting.skew_horizon_seconds
        calibrations = {
            s.symbol: calibrate(until(s.events(None, options.begin_ns), trade_from_ns), s.symbol, period_ns, horizon)
            for s in sources
        }
        quoting = quoting.model_copy(update=_pooled(calibrations))
    bundle, predictors = networks([s.symbol for s in sources]) if networks is not None else (None, None)
    instruments = {source.symbol: source.instrument for source in sources}
    config = TraderConfig(session=SESSION, quoting=quoting, risk=_risk(options.risk, sources))
    trader = Trader(config, instruments, bundle=bundle, predictors=predictors)
    latencies = [OrderLatency(latency.entry_ns, latency.response_ns, market.order_latency) for market in markets]
    matcher = matcher_type([market.events for market in markets], latencies, options.queue)
    sample_ns = max(LEAST_SAMPLE_NS, -(-(last_ns - trade_from_ns) // MOST_SAMPLES // LEAST_SAMPLE_NS) * LEAST_SAMPLE_NS)
    recorder = Recorder(instruments, sample_ns)
    round_trip_ns = latency.entry_ns + latency.response_ns
    venue = BacktestVenue(matcher, list(instruments.values()), options.maker_fee, round_trip_ns, recorder.on_fill)
    recorder.watch(trader, venue)
    session = BacktestSession(
        trader, matcher, venue, recorder, trade_from_ns=trade_from_ns, on_progress=on_progress, on_command=on_command
    )
    started = time.process_time()
    feeds: list[Any] = [until(source.events(None, options.begin_ns), end_ns) for source in sources]
    session.run(feeds)
    seconds = time.process_time() - started
    matcher.close()
    return Run(
        options,
        latency,
        sources,
        markets,
        calibrations,
        recorder,
        trader,
        venue,
        session.halt,
        session.events,
        seconds,
        converted - began,
    )


def _default_latency(sources: Sequence[MarketSource]) -> Latency:
    if all(source.stamped for source in sources):
        return Latency(None, 1_000_000, 1_000_000)
    return Latency(1_000_000, 1_000_000, 1_000_000)


def _risk(limits: RiskLimits, sources: Sequence[MarketSource]) -> RiskLimits:
    """Data of which nothing says that silence is a fault may be as old as its longest silence."""
    quiet = max(source.quiet_seconds for source in sources)
    if quiet <= limits.max_data_age_seconds:
        return limits
    # Nights between sessions are pauses here, not faults of the machine.
    day = 86_400.0
    return limits.model_copy(update={"max_data_age_seconds": quiet, "max_pause_seconds": day, "feed_lag_window_seconds": day + 600})


def _pooled(calibrations: dict[str, Calibration]) -> dict[str, float]:
    """In units of each symbol's own volatility, so that one set serves all: the mean of the logarithms."""
    from statistics import geometric_mean

    return {
        "arrival_rate": geometric_mean([each.arrival_rate for each in calibrations.values()]),
        "arrival_decay": geometric_mean([each.arrival_decay for each in calibrations.values()]),
    }
