"""One backtest as plain data: what a sweep, a tuning, an ablation and the results table send to another process and keep.

An experiment says everything that its outcome depends on, so its key (a hash of that and of what its files and networks are) tells
whether an outcome that is kept is still the one. Markets that were read and converted are kept in the process for the next.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from mmd.backtest.conversion import ConvertedMarket
from mmd.backtest.data import MarketSource, open_sources
from mmd.backtest.errors import BacktestError
from mmd.backtest.figures import Terms
from mmd.backtest.latency import Latency
from mmd.backtest.options import parse_calendar, parse_options
from mmd.backtest.report import document, encode
from mmd.backtest.runner import Networks, Options, Run, convert_source, run_on
from mmd.exchanges.binance.decode import MalformedFrame
from mmd.execution.settings import ExecutionSettings
from mmd.inference.bundle import weighed
from mmd.inference.errors import BundleError, RuntimeUnavailable
from mmd.inference.heads import HeadWeights
from mmd.learning.errors import SourceError
from mmd.quoting.settings import QuotingSettings
from mmd.recording.recording import RecordingError
from mmd.risk.limits import RiskLimits

DEFAULTS = (QuotingSettings().model_dump_json() + RiskLimits().model_dump_json() + ExecutionSettings().model_dump_json()).encode()
"""Another default is another experiment."""
MOST_KEPT = 3
"""Markets kept in memory: a few hundred MB each at most."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """As a person would type it for `mmd backtest`; `places` are absolute, `settings` are `quoting.NAME=VALUE` and the like."""

    places: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    strategy: str = "neural"
    bundle: str = ""
    """Folder of the networks; the default ones where it is empty."""
    heads: HeadWeights | None = None
    """In place of the card's."""
    begin: str = ""
    end: str = ""
    latency: str = ""
    queue: str = "risk-averse"
    maker_fee: str = "0"
    taker_fee: str = "0"
    calibration_share: float = 0.3
    calibrated: bool = True
    settings: tuple[str, ...] = ()
    fills: str = "auto"
    fill_model: str = ""
    fill_seed: int = 1
    funding_rate: str = ""
    calendar: str = "365x24"
    capital: float = 0.0
    trials: int = 1
    seed: int = 1
    speed: str = "exact"

    def options(self) -> Options:
        """Raises `BacktestError`."""
        return parse_options(
            strategy=self.strategy,
            latency=self.latency,
            queue=self.queue,
            maker_fee=self.maker_fee,
            taker_fee=self.taker_fee,
            begin=self.begin,
            end=self.end,
            calibration_share=self.calibration_share,
            calibrated=self.calibrated,
            assignments=self.settings,
            fills=self.fills,
            fill_model=self.fill_model,
            fill_seed=self.fill_seed,
            funding_rate=self.funding_rate,
            speed=self.speed,
        )

    def key(self) -> str:
        """SHA-256 of all of it and the defaults that it leaves, of each file's name and size, and of the networks' card."""
        said = msgspec.to_builtins(self)
        if self.speed == "exact":
            # Outcomes that were kept before there was another.
            del said["speed"]
        told = msgspec.json.encode(said) + DEFAULTS
        for place in self.places:
            path = Path(place)
            files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
            told += "".join(f"{each.name} {each.stat().st_size}\n" for each in files if each.exists()).encode()
        if self.strategy == "neural":
            told += self._card()
        return hashlib.sha256(told).hexdigest()

    def _card(self) -> bytes:
        from mmd.daemon.bundles import find_bundle
        from mmd.inference.shipped import DEFAULT_BUNDLE

        return (find_bundle(Path(self.bundle) if self.bundle else DEFAULT_BUNDLE) / "card.json").read_bytes()


@dataclass(frozen=True)
class Outcome:
    """`report` as `mmd backtest --json` prints it, without what is the same in every trial; or `error`, in words for a person."""

    report: dict[str, Any] | None
    error: str = ""


def perform(experiment: Experiment) -> Run:
    """Raises `BacktestError`, `BundleError`, `RuntimeUnavailable` or `OSError`."""
    options = experiment.options()
    try:
        if options.speed == "fast":
            # What the market decides is kept on disk, and the newest of it in memory; tick and lot take a look at the whole file.
            places = experiment.places
            opened = _remembered(
                _opened,
                _stamps(places, experiment.symbols),
                lambda: open_sources([Path(each) for each in places], experiment.symbols),
            )
            return run_on(
                [replace(source, repairs=dict(source.repairs)) for source in opened],
                options,
                _networks(experiment) if options.strategy == "neural" else None,
            )
        sources, markets = _prepared(experiment, options)
        networks = _networks(experiment) if options.strategy == "neural" else None
        return run_on(sources, options, networks, markets=markets)
    except (SourceError, RecordingError, MalformedFrame) as error:
        raise BacktestError(str(error)) from error


def outcome(experiment: Experiment) -> Outcome:
    """The figures of the run. A mistake in data or settings is an outcome as well: others of the same lot go on."""
    try:
        run = perform(experiment)
    except (BacktestError, BundleError, RuntimeUnavailable, OSError) as error:
        return Outcome(None, str(error))
    plain: dict[str, Any] = msgspec.json.decode(encode(document(run, terms(experiment, run.options))))
    return Outcome(plain)


def terms(experiment: Experiment, options: Options) -> Terms:
    """What its figures are relative to."""
    capital = experiment.capital or float(options.risk.max_position_notional)
    return Terms(capital, parse_calendar(experiment.calendar), experiment.trials, experiment.seed, options.taker_fee)


def _networks(experiment: Experiment) -> Any:
    from mmd.daemon.bundles import load_networks
    from mmd.inference.shipped import DEFAULT_BUNDLE

    def load(symbols: Sequence[str]) -> Networks:
        bundle, predictors = load_networks(Path(experiment.bundle) if experiment.bundle else DEFAULT_BUNDLE, symbols, "auto")
        return (bundle if experiment.heads is None else weighed(bundle, experiment.heads)), predictors

    return load


# ---- markets kept for the next experiment of this process

_opened: OrderedDict[Any, list[MarketSource]] = OrderedDict()
_sources: OrderedDict[Any, list[MarketSource]] = OrderedDict()
_markets: OrderedDict[Any, list[ConvertedMarket]] = OrderedDict()


def _prepared(experiment: Experiment, options: Options) -> tuple[list[MarketSource], list[ConvertedMarket]]:
    period = (experiment.places, experiment.symbols, options.begin_ns, options.end_ns)
    fills = (options.fills, options.fill_model)
    sources = _remembered(_sources, period, lambda: _read(experiment, options))
    latency = options.latency_for(sources)
    markets = _remembered(_markets, (period, latency, fills), lambda: _converted(sources, options, latency))
    return sources, markets


def _stamps(places: tuple[str, ...], symbols: tuple[str, ...]) -> Any:
    found = [(place, Path(place).stat()) for place in places if Path(place).is_file()]
    return places, symbols, tuple((place, stat.st_mtime_ns, stat.st_size) for place, stat in found)


def _remembered(kept: OrderedDict[Any, Any], key: Any, make: Any) -> Any:
    if key in kept:
        kept.move_to_end(key)
        return kept[key]
    kept[key] = made = make()
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)
    return made


def _read(experiment: Experiment, options: Options) -> list[MarketSource]:
    sources = open_sources([Path(place) for place in experiment.places], experiment.symbols)
    return [source.in_memory(options.begin_ns, options.end_ns or 1 << 62) for source in sources]


def _converted(sources: list[MarketSource], options: Options, latency: Latency) -> list[ConvertedMarket]:
    return [convert_source(source, options, latency) for source in sources]
