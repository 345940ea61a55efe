"""A backtest from its options to what it leaves: sources opened and converted, the core set up as live, the session run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mmd.backtest.calibration import Calibration, calibrate
from mmd.backtest.conversion import ConvertedMarket, convert
from mmd.backtest.data import MarketSource, open_sources
from mmd.backtest.errors import BacktestError
from mmd.backtest.fills import FillModel, FillSource, modelled_trades, with_trades
from mmd.backtest.funding import FundingPoint, funding_points
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
from mmd.types.market import MarketTrade

if TYPE_CHECKING:
    from mmd.backtest.fast.market_pass import CacheUse, MarketColumns
    from mmd.backtest.fast.network_pass import NetworkPass

SESSION = "backtest"
Speed = Literal["exact", "fast"]
SPEEDS: tuple[Speed, ...] = ("exact", "fast")
MOST_EVENTS_KEPT = 200_000
"""Of one market, in memory for the length of a run: some hundred MB."""
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
    fills: FillSource = "auto"
    """Auto: modelled where the data has no trades or no sizes."""
    fill_model: FillModel = field(default_factory=FillModel)
    funding_rate: Decimal | None = None
    """Of every settlement of perpetuals; None: as recorded, 0 where nothing is."""
    speed: Speed = "exact"
    logging: bool = False
    """Whether a fast run writes every command about orders down."""

    def latency_for(self, sources: Sequence[MarketSource]) -> Latency:
        """What is asked for, or what the data allows."""
        if self.latency is not None:
            return self.latency
        return Latency(None if all(source.stamped for source in sources) else 1_000_000, 1_000_000, 1_000_000)

    def modelled(self, source: MarketSource) -> bool:
        """Whether fills in this market come of the fill model."""
        return self.fills == "probabilistic" or (self.fills == "auto" and not (source.has_trades and source.has_sizes))


@dataclass(frozen=True)
class OrderCounts:
    """Of a fast run's venue: `placed` came to rest, `sent` were sent, `refused` would have taken."""

    placed: int
    sent: int
    refused: int


@dataclass(frozen=True)
class Decider:
    """What a fast run's core was made of."""

    config: TraderConfig
    bundle: Bundle | None


@dataclass
class Run:
    """What a session left behind."""

    options: Options
    latency: Latency
    sources: list[MarketSource]
    markets: list[ConvertedMarket]
    calibrations: dict[str, Calibration]
    recorder: Recorder
    trader: Trader | Decider
    venue: BacktestVenue | OrderCounts
    halt: HaltRecord | None
    events: int
    seconds: float
    """CPU seconds of the session itself."""
    convert_seconds: float
    funding: list[FundingPoint]
    cache: CacheUse | None = None
    """What a fast run found on disk and what it had to work out; `convert_seconds` then counts that."""
    log: Any = None
    """Of a fast run with `logging`: every command about orders."""


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
        sources = open_sources(places, symbols)
        return run_on(
            sources,
            options,
            networks,
            on_total=on_total,
            on_progress=on_progress,
            on_command=on_command,
            matcher_type=matcher_type,
        )
    except (SourceError, RecordingError, MalformedFrame) as error:
        raise BacktestError(str(error)) from error


Watcher = Callable[[Iterable[Any]], Iterable[Any]]


def convert_source(
    source: MarketSource, options: Options, latency: Latency, watcher: Watcher = lambda events: events
) -> ConvertedMarket:
    """One symbol of the period for the matcher, with modelled trades where the options ask for them. Raises `BacktestError`.

    `watcher` sees the data's own events on the way.
    """
    events = watcher(_events(source, options, source.repairs))
    trades: list[MarketTrade] = []
    if options.modelled(source):
        trades = modelled_trades(_events(source, options), source.symbol, options.fill_model)
        events = with_trades(events, trades)
    market = convert(
        events,
        source.symbol,
        window=source.window,
        stamped=source.stamped,
        constant_latency_ns=latency.feed_ns,
        floor_ns=latency.floor_ns,
    )
    return replace(market, count=market.count - len(trades))


def run_on(
    sources: list[MarketSource],
    options: Options,
    networks: Callable[[Sequence[str]], Networks] | None = None,
    *,
    markets: list[ConvertedMarket] | None = None,
    on_total: Callable[[int], None] = lambda _events: None,
    on_progress: Callable[[int], None] = lambda _events: None,
    on_command: Callable[[Command], None] = lambda _command: None,
    matcher_type: type[Matcher] = Matcher,
) -> Run:
    """On sources that are open, and `markets` that `convert_source` made of them for these options, where there are any.

    Raises `BacktestError`, `SourceError`, `RecordingError` or `MalformedFrame`.
    """
    columns: MarketColumns | None = None
    if options.speed == "fast":
        from mmd.backtest.fast.market_pass import MarketColumns

        columns = MarketColumns(options, _risk(options.risk, sources))
    plan = _plan(sources, options, markets, columns)
    on_total(sum(market.count for market in plan.markets))
    if columns is not None:
        return _run_fast(plan, columns, networks, on_progress, matcher_type)
    return _run_exact(plan, networks, on_progress, on_command, matcher_type)


class KeptEvents:
    """Events that were decoded for the conversion, so that they need not be decoded again; none of a market of very many."""

    def __init__(self) -> None:
        self._events: dict[str, list[Any]] = {}

    def keeping(self, symbol: str) -> Watcher:
        """Keeps what passes, unless that becomes too much."""

        def passing(events: Iterable[Any]) -> Iterator[Any]:
            kept: list[Any] = []
            for event in events:
                if len(kept) < MOST_EVENTS_KEPT:
                    kept.append(event)
                yield event
            if len(kept) < MOST_EVENTS_KEPT:
                self._events[symbol] = kept

        return passing

    def of(self, symbol: str) -> list[Any] | None:
        """All events of a symbol, or None."""
        return self._events.get(symbol)


@dataclass(frozen=True)
class _Plan:
    """What both speeds are told, worked out from options and data."""

    options: Options
    latency: Latency
    sources: list[MarketSource]
    markets: list[ConvertedMarket]
    calibrations: dict[str, Calibration]
    config: TraderConfig
    trade_from_ns: int
    sample_ns: int
    convert_seconds: float
    funding: list[FundingPoint]
    kept: KeptEvents

    @property
    def round_trip_ns(self) -> int:
        return self.latency.entry_ns + self.latency.response_ns

    def matcher(self, matcher_type: type[Matcher]) -> Matcher:
        ways = [OrderLatency(self.latency.entry_ns, self.latency.response_ns, market.order_latency) for market in self.markets]
        return matcher_type([market.events for market in self.markets], ways, self.options.queue)


def _plan(
    sources: list[MarketSource], options: Options, given: list[ConvertedMarket] | None, columns: MarketColumns | None
) -> _Plan:
    latency = options.latency_for(sources)
    kept = KeptEvents()
    began = time.process_time()
    if columns is not None:
        markets = [columns.market(source, latency) for source in sources]
    else:
        markets = given or [convert_source(source, options, latency, kept.keeping(source.symbol)) for source in sources]
    converted = time.process_time()
    begin_ns = min(market.begin_ns for market in markets)
    last_ns = max(market.end_ns for market in markets)
    period_ns = max(options.begin_ns, begin_ns)
    trade_from_ns = period_ns + round((last_ns - period_ns) * options.calibration_share)
    if trade_from_ns >= last_ns:
        raise BacktestError("nothing is left to trade: the period begins after the data, or --calibrate takes all of it")
    calibrations: dict[str, Calibration] = {}
    quoting = options.quoting.model_copy(update={"strategy": options.strategy})
    if options.strategy in CALIBRATED and options.calibrated and options.calibration_share > 0:
        make = calibrated if columns is None else columns.calibration
        horizon = quoting.skew_horizon_seconds
        calibrations = {s.symbol: make(s, options, trade_from_ns, period_ns, horizon) for s in sources}
        quoting = quoting.model_copy(update=_pooled(calibrations))
    config = TraderConfig(session=SESSION, quoting=quoting, risk=_risk(options.risk, sources))
    sample_ns = max(LEAST_SAMPLE_NS, -(-(last_ns - trade_from_ns) // MOST_SAMPLES // LEAST_SAMPLE_NS) * LEAST_SAMPLE_NS)
    funding = [
        point
        for source, market in zip(sources, markets, strict=True)
        for point in funding_points(
            source.instrument,
            source.files,
            max(trade_from_ns, market.begin_ns),
            market.end_ns,
            market.times.clock_offset_ns,
            options.funding_rate,
        )
    ]
    return _Plan(
        options, latency, sources, markets, calibrations, config, trade_from_ns, sample_ns, converted - began, funding, kept
    )


def _run_exact(
    plan: _Plan,
    networks: Callable[[Sequence[str]], Networks] | None,
    on_progress: Callable[[int], None],
    on_command: Callable[[Command], None],
    matcher_type: type[Matcher],
) -> Run:
    sources, options = plan.sources, plan.options
    bundle, predictors = networks([s.symbol for s in sources]) if networks is not None else (None, None)
    instruments = {source.symbol: source.instrument for source in sources}
    trader = Trader(plan.config, instruments, bundle=bundle, predictors=predictors)
    for desk in trader.desks.values():
        # Figures for a screen, which nobody looks at here and which decide nothing.
        desk.watch = None
        desk.perception.drift = None
    matcher = plan.matcher(matcher_type)
    recorder = Recorder(instruments, plan.sample_ns)
    venue = BacktestVenue(matcher, list(instruments.values()), options.maker_fee, plan.round_trip_ns, recorder.on_fill)
    recorder.watch(trader, venue)
    venue.settle_funding(plan.funding, recorder.mid_x2, recorder.on_funding)
    session = BacktestSession(
        trader, matcher, venue, recorder, trade_from_ns=plan.trade_from_ns, on_progress=on_progress, on_command=on_command
    )
    started = time.process_time()
    session.run([plan.kept.of(source.symbol) or _events(source, options) for source in sources])
    seconds = time.process_time() - started
    matcher.close()
    return Run(
        options,
        plan.latency,
        sources,
        plan.markets,
        plan.calibrations,
        recorder,
        trader,
        venue,
        session.halt,
        session.events,
        seconds,
        plan.convert_seconds,
        plan.funding,
    )


def _run_fast(
    plan: _Plan,
    columns: MarketColumns,
    networks: Callable[[Sequence[str]], Networks] | None,
    on_progress: Callable[[int], None],
    matcher_type: type[Matcher],
) -> Run:
    from mmd.backtest.fast.session import run_fast
    from mmd.backtest.fast.settings import Setup

    if len(plan.sources) != 1:
        names = ", ".join(source.symbol for source in plan.sources)
        raise BacktestError(f"the fast speed trades one symbol at a time, and the data has {names}: choose one with --symbols")
    source, options = plan.sources[0], plan.options
    made: NetworkPass | None = None
    if options.strategy == "neural" and networks is not None:
        from mmd.backtest.fast.network_pass import network_pass

        bundle, predictors = networks([source.symbol])
        made = network_pass(columns, source.symbol, bundle, predictors[source.symbol], plan.config.gate)
    setup = Setup(
        plan.config,
        source.instrument,
        plan.trade_from_ns,
        plan.sample_ns,
        plan.round_trip_ns,
        options.maker_fee,
        tuple(plan.funding),
        options.logging,
        made,
    )
    matcher = plan.matcher(matcher_type)
    try:
        found = run_fast(setup, columns.passes[source.symbol], matcher, on_progress)
    finally:
        matcher.close()
    recorder = Recorder({source.symbol: source.instrument}, plan.sample_ns)
    recorder.tracks[source.symbol] = found.track
    recorder.begin_ns, recorder.end_ns = found.begin_ns, found.end_ns
    return Run(
        options,
        plan.latency,
        plan.sources,
        plan.markets,
        plan.calibrations,
        recorder,
        Decider(plan.config, None if made is None else made.bundle),
        OrderCounts(found.placed, found.sent, found.refused),
        found.halt,
        found.events,
        found.seconds,
        columns.use.seconds,
        plan.funding,
        columns.use,
        found.log,
    )


def _events(source: MarketSource, options: Options, repairs: dict[str, int] | None = None) -> Iterator[Any]:
    return until(source.events(repairs, options.begin_ns), options.end_ns or 1 << 62)


def calibrated(source: MarketSource, options: Options, until_ns: int, begin_ns: int, horizon_seconds: float) -> Calibration:
    """Of one source, with modelled trades where the options ask for them."""
    events: Iterable[Any] = until(source.events(None, options.begin_ns), until_ns)
    if options.modelled(source):
        events = with_trades(events, modelled_trades(_events(source, options), source.symbol, options.fill_model))
    return calibrate(events, source.symbol, begin_ns, horizon_seconds)


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
