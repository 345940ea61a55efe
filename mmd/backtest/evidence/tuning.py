"""Every strategy tuned alike on the earlier parts of each real market: the same number of Optuna trials, sizes and limits for all.

Parts follow each other in time, each calibrated on what comes before it; a trial counts by its mean over them (walk-forward). What
came out best is kept with where it came from, and judged on the last part alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from mmd.backtest.errors import BacktestError
from mmd.backtest.evidence.markets import MARKETS, RealMarket
from mmd.backtest.experiment import DEFAULTS, Experiment
from mmd.backtest.sweep.objective import LOWEST, SHRUNK
from mmd.backtest.sweep.space import applied, parse_axes
from mmd.backtest.sweep.study import Plan, Trial, run_sweep
from mmd.backtest.sweep.workers import Workers
from mmd.inference.bundle import Bundle, load_bundle
from mmd.inference.heads import NO_HEADS

NO_NETWORK = "no network"
STRATEGIES = ("fixed", "avellaneda-stoikov", "glft", NO_NETWORK, "neural")
BASELINES = ("fixed", "avellaneda-stoikov", "glft", NO_NETWORK)
_NETWORK = ("quoting.network_half_spread_factor=0.2..4:log", "quoting.skew_factor=0.3..30:log")
SPACES: dict[str, tuple[str, ...]] = {
    "fixed": ("quoting.fixed_half_spread_bps=0.02..10:log", "quoting.skew_factor=0.1..12:log"),
    "avellaneda-stoikov": ("quoting.risk_aversion=0.02..8:log", "quoting.skew_horizon_seconds=0.5..20:log"),
    "glft": ("quoting.risk_aversion=0.02..8:log", "quoting.skew_horizon_seconds=0.5..20:log"),
    NO_NETWORK: _NETWORK,
    "neural": (*_NETWORK, "quoting.pull=false,true"),
}
"""What is searched. Everything else, sizes and limits above all, is the default's."""
DEFAULT_CHOSEN_AMONG = 250
"""About so many settings were looked at on the earlier parts before the default's: what its deflated Sharpe ratio is told."""


class Tuned(msgspec.Struct, frozen=True):
    """Settings that were found, and where they come from."""

    settings: tuple[str, ...]
    value: float
    fills: tuple[int, ...]
    trials: int
    parts: tuple[str, ...]
    made_utc: str
    objective: str = SHRUNK
    data: tuple[str, ...] = ()
    networks: str = ""
    """Version of the bundle, of `neural`."""


TunedTable = dict[str, dict[str, Tuned]]
"""By market and strategy."""


def read_tuned(path: Path) -> TunedTable:
    """What is kept; nothing where there is no file. Raises `BacktestError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TunedTable) if path.is_file() else {}
    except (OSError, msgspec.DecodeError) as error:
        raise BacktestError(f"{path}: cannot be read: {error}") from error


def write_tuned(table: TunedTable, path: Path) -> None:
    """Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(table), indent=2) + b"\n")


def base_experiment(market: RealMarket, strategy: str, data: Path, bundle: str) -> Experiment:
    """Of a strategy with the default's settings on the market's last part."""
    quoter = "neural" if strategy == NO_NETWORK else strategy
    heads = NO_HEADS if strategy == NO_NETWORK else None
    return market.experiment(data, market.last, strategy=quoter, bundle=bundle if quoter == "neural" else "", heads=heads)


def tune(
    market: RealMarket,
    strategy: str,
    data: Path,
    folder: Path,
    trials: int,
    workers: Workers,
    bundle: str = "",
    on_trial: Callable[[Trial], None] = lambda _trial: None,
) -> Tuned | None:
    """The best of so many trials; None where none of them traded enough. The sweep's folder makes it resumable."""
    base = base_experiment(market, strategy, data, bundle)
    axes = parse_axes(SPACES[strategy])
    plan = Plan(
        base=base,
        axes=SPACES[strategy],
        windows=market.earlier,
        objective=SHRUNK,
        least_fills=market.least_fills,
        study=True,
        seed=1,
    )
    found = run_sweep(plan, axes, folder, workers, trials, on_trial)
    best = max(found, key=lambda trial: trial.value)
    if best.value < LOWEST / 2:
        return None
    return Tuned(
        settings=tuple(each for each in applied(base, best.point).settings if each not in base.settings),
        value=best.value,
        fills=tuple(int(each["fills"]) for each in best.figures),
        trials=len(found),
        parts=tuple(f"{window.begin or 'begin'} to {window.end}" for window in market.earlier),
        made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        data=market.files,
        networks=_version(bundle) if strategy == "neural" else "",
    )


def market_named(name: str) -> RealMarket:
    """By a part of its name. Raises `BacktestError`."""
    found = [market for market in MARKETS if name.lower() in market.name.lower()]
    if len(found) != 1:
        raise BacktestError(f"{name!r} is the name of {len(found)} markets; there are {', '.join(each.name for each in MARKETS)}")
    return found[0]


def bundle_of(folder: str) -> Bundle:
    """The bundle in a folder, the one that ships where it is empty. Raises `BundleError`."""
    from mmd.daemon.bundles import find_bundle
    from mmd.inference.shipped import DEFAULT_BUNDLE

    return load_bundle(find_bundle(Path(folder) if folder else DEFAULT_BUNDLE), feature_schema_hash=None)


def space_digest(market: RealMarket, strategy: str) -> str:
    """Changes where what is searched, or where it is searched, changes."""
    return repr((market, SPACES[strategy], DEFAULTS))


def _version(folder: str) -> str:
    card = bundle_of(folder).card
    return f"{card.name} {card.version}"
