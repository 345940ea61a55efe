"""`mmd sweep`: many backtests, over a grid or as a study, here or on a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.backtest.sweep.space import Axis
    from mmd.backtest.sweep.study import Plan, Trial
    from mmd.backtest.sweep.workers import Workers

EXIT_ERROR, EXIT_USAGE = 1, 2
MORE_THAN_ONE = "a sweep varies something: --vary KEY=a,b,c or --vary KEY=LOW..HIGH with --trials N"


def sweep(
    data: Annotated[
        list[Path] | None, typer.Option("--data", "-d", metavar="PLACE", help="As for `mmd backtest`; may be repeated.")
    ] = None,
    symbols: Annotated[str, typer.Option("--symbols", help="Symbols to trade, separated by commas (default: all).")] = "",
    strategy: Annotated[str, typer.Option("--strategy", "-s", help="neural, glft, avellaneda-stoikov or fixed.")] = "neural",
    bundle: Annotated[str, typer.Option("--bundle", help="Folder of the networks (default: the one that ships).")] = "",
    vary: Annotated[
        list[str] | None,
        typer.Option("--vary", "-v", metavar="KEY=SPEC", help="a,b,c or LOW..HIGH (:log, :int) of a setting; may be repeated."),
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", "-n", min=0, help="An Optuna study of so many trials (default: every point of the grid).")
    ] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results; the same command goes on there.")] = Path(
        "sweep"
    ),
    window: Annotated[
        list[str] | None,
        typer.Option("--window", metavar="FROM,TO", help="Each trial trades in each of these parts; may be repeated."),
    ] = None,
    objective: Annotated[
        str, typer.Option("--objective", help="A figure of the report by its dotted name, a minus before what should be small.")
    ] = "shrunk_pnl_per_volume_bps",
    least_fills: Annotated[int, typer.Option("--least-fills", min=0, help="A trial with fewer in a window comes last.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes (default: one for each core).")] = 0,
    ray: Annotated[str, typer.Option("--ray", metavar="ADDRESS", help="Run on this Ray cluster: auto, HOST:PORT, or local.")] = "",
    latency: Annotated[str, typer.Option("--latency", help="As for `mmd backtest`.")] = "",
    queue: Annotated[str, typer.Option("--queue", help="risk-averse or probability.")] = "risk-averse",
    maker_fee: Annotated[str, typer.Option("--maker-fee", help="Fraction, or with bps behind; below zero a rebate.")] = "0",
    calibrate: Annotated[float, typer.Option("--calibrate", min=0.0, max=0.9, help="First share, in which nobody trades.")] = 0.3,
    fit: Annotated[bool, typer.Option("--fit/--no-fit", help="Whether glft and avellaneda-stoikov are calibrated there.")] = True,
    fills: Annotated[str, typer.Option("--fills", help="recorded, probabilistic or auto.")] = "auto",
    fill_model: Annotated[str, typer.Option("--fill-model", metavar="NAME=VALUE,...", help="As for `mmd backtest`.")] = "",
    speed: Annotated[str, typer.Option("--speed", help="exact or fast, as for `mmd backtest`.")] = "exact",
    days: Annotated[str, typer.Option("--calendar", metavar="DAYSxHOURS", help="As for `mmd backtest`.")] = "365x24",
    seed: Annotated[int, typer.Option("--seed", help="Of the study, the bootstrap and the fill model.")] = 1,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting that does not vary; may be repeated.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the results as one JSON document.")] = False,
) -> None:
    """Backtest every point of a grid, or an Optuna study, on all cores or a Ray cluster; stopped, the same command goes on.

    Results are sweep.html, results.json and trials.jsonl in the folder of --out. Sharpe ratios are deflated by the number of
    trials. Needs the extra `sweep`, with --ray the extra `ray`.

    \b
    Examples:
      mmd sweep -d day.book.parquet -s glft --vary quoting.risk_aversion=0.1,0.5,2 --vary quoting.skew_factor=0.5,1,2
      mmd sweep -d eth.gz -s fixed --vary quoting.fixed_half_spread_bps=0.05..5:log --trials 40 --out eth-fixed
      mmd sweep -d eth.gz --vary latency=1ms,5ms,20ms --vary maker-fee=0,-0.5bps --json
      mmd sweep -d stocks --symbols IBM --vary quoting.skew_factor=0.2..4:log --trials 30 \\
          --window 2013-10-07T13:30,2013-10-07T20:00 --window 2013-10-08T13:30,2013-10-08T20:00
      mmd sweep -d /shared/eth.gz --vary quoting.skew_factor=0.2..4:log --trials 500 --ray ray://head:10001

    \b
    Exit codes: 0 done, 1 data, a worker or the cluster failed (the same command goes on), 2 usage.
    """
    if not data:
        _fail("name the data: --data PLACE", EXIT_USAGE)
    _need_extra()
    from mmd.backtest.errors import BacktestError
    from mmd.backtest.experiment import Experiment
    from mmd.backtest.sweep.objective import check_name
    from mmd.backtest.sweep.space import applied, grid, parse_axes
    from mmd.backtest.sweep.study import Plan, Window

    try:
        axes = parse_axes(vary or [])
        if not axes:
            raise BacktestError(MORE_THAN_ONE)
        check_name(objective)
        base = Experiment(
            places=tuple(str(place.resolve()) for place in data),
            symbols=tuple(name.strip() for name in symbols.split(",") if name.strip()),
            strategy=strategy,
            bundle=bundle,
            latency=latency,
            queue=queue,
            maker_fee=maker_fee,
            calibration_share=calibrate,
            calibrated=fit,
            settings=tuple(assignments or []),
            fills=fills,
            fill_model=fill_model,
            fill_seed=seed,
            speed=speed,
            calendar=days,
            seed=seed,
        )
        base.options()
        count = trials or len(points := list(grid(axes)))
        for point in [] if trials else points:
            applied(base, point).options()
        windows = tuple(_window(text) for text in window or [","])
    except BacktestError as error:
        _fail(str(error), EXIT_USAGE)
    plan = Plan(
        base=base,
        axes=tuple(vary or []),
        windows=tuple(Window(begin, end) for begin, end in windows),
        objective=objective,
        least_fills=least_fills,
        study=trials > 0,
        seed=seed,
    )
    _sweep(plan, axes, out, count, _workers(ray, jobs or os.cpu_count() or 1, count), json_output)


def _sweep(plan: Plan, axes: list[Axis], out: Path, count: int, workers: Workers, json_output: bool) -> None:
    from mmd.backtest.errors import BacktestError
    from mmd.backtest.sweep.results import print_results, results, write_results

    try:
        trials = _with_progress(plan, axes, out, count, workers)
        found = results(plan, trials)
        data, page = write_results(found, out)
    except (BacktestError, OSError) as error:
        _fail(str(error), EXIT_ERROR)
    finally:
        workers.close()
    if json_output:
        typer.echo(data.read_text())
    else:
        print_results(found)
    typer.echo(f"{page}, with {data.name} beside it", err=True)
    if found["failed"] == found["trials"]:
        _fail(f"every trial failed: {found['ranked'][0]['error']}", EXIT_ERROR)


def _with_progress(plan: Plan, axes: list[Axis], out: Path, count: int, workers: Workers) -> list[Trial]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from mmd.backtest.sweep.results import value_text
    from mmd.backtest.sweep.study import read_trials, run_sweep

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        before = read_trials(out)
        best = [max((trial.value for trial in before), default=float("-inf"))]
        task = progress.add_task("trials", total=count, completed=len(before))

        def tell(trial: Trial) -> None:
            best[0] = max(best[0], trial.value)
            progress.update(task, advance=1, description=f"best {value_text(best[0])}")

        return run_sweep(plan, axes, out, workers, count, tell)


def _workers(address: str, jobs: int, count: int) -> Workers:
    from mmd.backtest.errors import BacktestError
    from mmd.backtest.sweep.workers import LocalWorkers, RayWorkers

    if not address:
        return LocalWorkers(min(jobs, max(1, count)))
    try:
        return RayWorkers(address)
    except BacktestError as error:
        _fail(str(error), EXIT_ERROR)


def _window(text: str) -> tuple[str, str]:
    from mmd.backtest.errors import BacktestError
    from mmd.backtest.options import parse_time

    begin, found, end = (part.strip() for part in text.partition(","))
    first, last = (parse_time(begin), parse_time(end)) if found else (0, 0)
    if not found or (first and last and first >= last):
        raise BacktestError(f"--window {text}: write FROM,TO in order, such as 2013-10-07T13:30,2013-10-07T20:00")
    return begin, end


def _need_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("hftbacktest", "polars", "optuna", "plotly") if find_spec(name) is None]
    if missing:
        _fail(f"{', '.join(missing)} is not installed: pip install 'mmd[sweep]'", EXIT_ERROR)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"mmd sweep: {text}", err=True)
    raise typer.Exit(code)
