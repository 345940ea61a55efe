"""`mmd evidence`: tune every strategy alike, ablate the heads, and write the page of results. All resumable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from mmd.backtest.evidence.kept import KeptRuns, Line
    from mmd.backtest.evidence.markets import RealMarket
    from mmd.backtest.experiment import Experiment
    from mmd.backtest.sweep.workers import Workers

EXIT_ERROR, EXIT_USAGE = 1, 2
KEPT = Path("build/evidence")
TUNED, ABLATION = Path("docs/evidence/tuned.json"), Path("docs/evidence/ablation.json")
RESULTS, PAGE = Path("docs/evidence/results.json"), Path("docs/results.md")

evidence_app = typer.Typer(
    name="evidence", help="Tune, ablate and judge the strategies on real markets.", no_args_is_help=True, rich_markup_mode=None
)

DataOption = Annotated[
    Path, typer.Option("--data", envvar="MMD_DATA_DIR", help="Folder of the real data (default: ../shared/data).")
]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes (default: one for each core).")]
RayOption = Annotated[str, typer.Option("--ray", metavar="ADDRESS", help="Run on this Ray cluster instead.")]
MarketsOption = Annotated[str, typer.Option("--markets", help="Parts of their names, separated by commas (default: all).")]
BundleOption = Annotated[str, typer.Option("--bundle", help="Folder of the networks (default: the one that ships).")]
KeptOption = Annotated[Path, typer.Option("--kept", help="Folder of runs that are not made again.")]
REAL_DATA = Path("../shared/data")


@evidence_app.command("tune")
def tune_command(
    data: DataOption = REAL_DATA,
    trials: Annotated[int, typer.Option("--trials", "-n", min=1, help="Optuna trials of each strategy on each market.")] = 24,
    markets: MarketsOption = "",
    strategies: Annotated[str, typer.Option("--strategies", help="Separated by commas (default: all).")] = "",
    bundle: BundleOption = "",
    tuned: Annotated[Path, typer.Option("--tuned", help="File of the settings found.")] = TUNED,
    kept: KeptOption = KEPT,
    jobs: JobsOption = 0,
    ray: RayOption = "",
) -> None:
    """Tune every strategy with as many trials on the earlier parts of every real market, and keep the settings with their source.

    \b
    Examples:
      mmd evidence tune
      mmd evidence tune --markets IBM,XAUUSD --strategies glft,neural --trials 40
    """
    from mmd.backtest.evidence.tuning import STRATEGIES, read_tuned, tune, write_tuned

    chosen = [name.strip() for name in strategies.split(",") if name.strip()] or list(STRATEGIES)
    unknown = [name for name in chosen if name not in STRATEGIES]
    if unknown:
        _fail(f"no strategy {unknown[0]!r}; there are {', '.join(STRATEGIES)}", EXIT_USAGE)

    def work(progress: Progress) -> None:
        table = read_tuned(tuned)
        there = _markets(markets)
        task = progress.add_task("tuning", total=len(there) * len(chosen) * trials)
        workers = _workers(ray, jobs)
        try:
            for number, (market, strategy) in enumerate([(market, name) for market in there for name in chosen], 1):
                progress.update(task, description=f"{market.name}, {strategy}")
                folder = kept / "tuning" / _folder(market, strategy, bundle)
                found = tune(market, strategy, data, folder, trials, workers, bundle, lambda _trial: progress.advance(task))
                progress.update(task, completed=number * trials)
                if found is None:
                    progress.console.print(f"{market.name}, {strategy}: no trial traded enough")
                    continue
                table.setdefault(market.name, {})[strategy] = found
                write_tuned(table, tuned)
        finally:
            workers.close()

    _with_progress(work)
    typer.echo(f"{tuned} written", err=True)


@evidence_app.command("ablate")
def ablate_command(
    data: DataOption = REAL_DATA,
    bundle: BundleOption = "",
    markets: MarketsOption = "",
    out: Annotated[Path, typer.Option("--out", help="Report, for `mmd models weigh`.")] = ABLATION,
    kept: KeptOption = KEPT,
    jobs: JobsOption = 0,
    ray: RayOption = "",
) -> None:
    """Backtest the networks with and without each head on the earlier parts of every real market: what each is worth.

    \b
    Examples:
      mmd evidence ablate
      mmd evidence ablate --bundle models/quote-v3 --out build/ablation.json
      mmd models weigh models/quote-v2 --evidence docs/evidence/ablation.json
    """
    from mmd.backtest.evidence.ablation import gains, variants
    from mmd.backtest.evidence.kept import KeptRuns
    from mmd.backtest.evidence.tuning import bundle_of

    def work(progress: Progress) -> None:
        there, used = _markets(markets), bundle_of(bundle)
        experiments = {
            f"{market.name}, part {number} | {name}": market.experiment(
                data, window, strategy="neural", bundle=bundle, heads=weights
            )
            for market in there
            for number, window in enumerate(market.earlier, 1)
            for name, weights in variants(used).items()
        }
        lines = _run(progress, KeptRuns(kept / "runs.jsonl"), experiments, lambda: _workers(ray, jobs))
        pairs = {(name.partition(" | ")[0], name.partition(" | ")[2]): line for name, line in lines.items()}
        report = {
            "report": "ablation",
            "version": 1,
            "bundle": f"{used.card.name} {used.card.version}",
            "networks": networks_digest(used),
            "markets": [market.name for market in there],
            "heads": gains(pairs),
            "failed": {name: line.error for name, line in lines.items() if line.figures is None},
        }
        _write_json(report, out)

    from mmd.inference.bundle import networks_digest

    _with_progress(work)
    typer.echo(f"{out} written; put its weights into the card with `mmd models weigh`", err=True)


@evidence_app.command("results")
def results_command(
    data: DataOption = REAL_DATA,
    bundle: BundleOption = "",
    tuned: Annotated[Path, typer.Option("--tuned", help="Settings that `mmd evidence tune` found.")] = TUNED,
    ablation: Annotated[Path, typer.Option("--ablation", help="Report of `mmd evidence ablate`.")] = ABLATION,
    out: Annotated[Path, typer.Option("--out", help="Figures of every run.")] = RESULTS,
    page: Annotated[Path, typer.Option("--page", help="The page.")] = PAGE,
    markets: MarketsOption = "",
    kept: KeptOption = KEPT,
    kept_only: Annotated[bool, typer.Option("--kept-only", help="Make no run: write the page of those that are kept.")] = False,
    jobs: JobsOption = 0,
    ray: RayOption = "",
) -> None:
    """Backtest every strategy on the last part of every real market at three latencies, and write the page of results.

    \b
    Examples:
      mmd evidence results
      mmd evidence results --bundle models/quote-v3 --page build/results.md --out build/results.json
      mmd evidence results --kept-only
    """
    from mmd.backtest.evidence.kept import KeptRuns
    from mmd.backtest.evidence.results_page import results_page
    from mmd.backtest.evidence.tuning import bundle_of, read_tuned

    def work(progress: Progress) -> None:
        table = read_tuned(tuned)
        experiments = _judged(_markets(markets), table, data, bundle)
        runs = KeptRuns(kept / "runs.jsonl")
        lines = runs.there(experiments) if kept_only else _run(progress, runs, experiments, lambda: _workers(ray, jobs))
        found = {(name.split(" | ")[0], name.split(" | ")[1], name.split(" | ")[2]): line for name, line in lines.items()}
        _write_json({name: _public(line) for name, line in lines.items()}, out)
        page.parent.mkdir(parents=True, exist_ok=True)
        card = bundle_of(bundle).card
        networks = f"{card.name} {card.version}"
        page.write_text(results_page(found, len(experiments), networks, table, _read_json(ablation)), encoding="utf-8")

    _with_progress(work)
    typer.echo(f"{page} and {out} written", err=True)


def _judged(markets: list[RealMarket], table: dict[str, Any], data: Path, bundle: str) -> dict[str, Experiment]:
    import msgspec

    from mmd.backtest.evidence.results_page import DEFAULT, LATENCIES
    from mmd.backtest.evidence.tuning import DEFAULT_CHOSEN_AMONG, STRATEGIES, base_experiment

    found: dict[str, Experiment] = {}
    for market in markets:
        for latency in LATENCIES:
            plain = base_experiment(market, "neural", data, bundle)
            found[f"{market.name} | {DEFAULT} | {latency}"] = msgspec.structs.replace(
                plain, latency=latency, trials=DEFAULT_CHOSEN_AMONG
            )
            for strategy in STRATEGIES:
                tuned = table.get(market.name, {}).get(strategy)
                if tuned is not None:
                    base = base_experiment(market, strategy, data, bundle)
                    settings = (*base.settings, *tuned.settings)
                    found[f"{market.name} | {strategy}, tuned | {latency}"] = msgspec.structs.replace(
                        base, latency=latency, settings=settings, trials=tuned.trials
                    )
    return found


def _run(progress: Progress, kept: KeptRuns, experiments: dict[str, Experiment], workers: Callable[[], Workers]) -> dict[str, Line]:
    task = progress.add_task("runs", total=len(experiments))
    return kept.all_of(experiments, workers, lambda name: progress.update(task, advance=1, description=name))


def _public(line: Line) -> dict[str, Any]:
    figures = None if line.figures is None else {name: value for name, value in line.figures.items() if name != "blocks"}
    return {"key": line.key, "figures": figures, "error": line.error}


def _markets(names: str) -> list[RealMarket]:
    from mmd.backtest.evidence.markets import MARKETS
    from mmd.backtest.evidence.tuning import market_named

    chosen = [name.strip() for name in names.split(",") if name.strip()]
    return [market_named(name) for name in chosen] if chosen else list(MARKETS)


def _folder(market: RealMarket, strategy: str, bundle: str) -> str:
    from mmd.backtest.evidence.tuning import NO_NETWORK, bundle_of, space_digest

    about = space_digest(market, strategy)
    if strategy in ("neural", NO_NETWORK):
        about += bundle_of(bundle).digest
    name = f"{market.name} {strategy}".lower().replace(" ", "-").replace("/", "-")
    return f"{name}-{hashlib.sha256(about.encode()).hexdigest()[:8]}"


def _workers(address: str, jobs: int) -> Workers:
    from mmd.backtest.sweep.workers import LocalWorkers, RayWorkers

    return RayWorkers(address) if address else LocalWorkers(jobs or os.cpu_count() or 1)


def _with_progress(work: Callable[[Progress], None]) -> None:
    from importlib.util import find_spec

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    missing = [name for name in ("hftbacktest", "polars", "optuna") if find_spec(name) is None]
    if missing:
        _fail(f"{', '.join(missing)} is not installed: pip install 'mmd[sweep]'", EXIT_ERROR)
    from mmd.backtest.errors import BacktestError
    from mmd.inference.errors import BundleError

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            work(progress)
    except (BacktestError, BundleError, OSError) as error:
        _fail(f"{error} (what is done is kept: the same command goes on)", EXIT_ERROR)


def _write_json(document: Any, path: Path) -> None:
    import msgspec

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")


def _read_json(path: Path) -> Any:
    import msgspec

    return msgspec.json.decode(path.read_bytes()) if path.is_file() else None


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"mmd evidence: {text}", err=True)
    raise typer.Exit(code)
