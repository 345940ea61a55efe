"""`mmd backtest`: the core on recorded markets, its results as text, JSON, parquet and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.backtest.runner import Options, Run
    from mmd.backtest.statistics import Calendar

EXIT_ERROR, EXIT_USAGE = 1, 2
STRATEGIES = ("neural", "glft", "avellaneda-stoikov", "fixed")

backtest_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@backtest_app.callback()
def backtest(
    context: typer.Context,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", "-d", metavar="PLACE", help="Recording, NAME.book.parquet, a folder of them, or a dataset; may be repeated."
        ),
    ] = None,
    symbols: Annotated[str, typer.Option("--symbols", help="Symbols to trade, separated by commas (default: all there are).")] = "",
    strategy: Annotated[str, typer.Option("--strategy", "-s", help=", ".join(STRATEGIES) + ".")] = "neural",
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Folder of the networks (default: the one that ships).")] = None,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="Trade from here on, ISO 8601, UTC.")] = "",
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to here, ISO 8601, UTC.")] = "",
    latency: Annotated[
        str,
        typer.Option(
            "--latency", metavar="LATENCY", help="recorded, 5ms, or FEED,ENTRY,RESPONSE (default: recorded, 1ms without stamps)."
        ),
    ] = "",
    queue: Annotated[str, typer.Option("--queue", help="Queue position: risk-averse or probability.")] = "risk-averse",
    maker_fee: Annotated[str, typer.Option("--maker-fee", help="Fraction, or with bps behind; below zero a rebate.")] = "0",
    taker_fee: Annotated[
        str, typer.Option("--taker-fee", help="The same, for what closing the last position would cost.")
    ] = "5bps",
    calibrate: Annotated[
        float, typer.Option("--calibrate", min=0.0, max=0.9, help="First share of the period, in which no strategy trades.")
    ] = 0.3,
    fit: Annotated[
        bool, typer.Option("--fit/--no-fit", help="Whether glft and avellaneda-stoikov take A, k and sigma from that share.")
    ] = True,
    capital: Annotated[
        float, typer.Option("--capital", min=0.0, help="What returns are relative to, quote units (default: the position limit).")
    ] = 0.0,
    days: Annotated[str, typer.Option("--calendar", metavar="DAYSxHOURS", help="Trading days a year and hours a day.")] = "365x24",
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Variants tried before this one, for the deflated Sharpe ratio.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap, and of the fill model.")] = 1,
    fills: Annotated[
        str,
        typer.Option(
            "--fills", help="recorded, probabilistic (a model), or auto: the model where the data has no trades or no sizes."
        ),
    ] = "auto",
    fill_model: Annotated[
        str,
        typer.Option("--fill-model", metavar="NAME=VALUE,...", help="Such as arrivals=0.2,decay=1,adverse=0.3,horizon=1."),
    ] = "",
    funding_rate: Annotated[
        str,
        typer.Option("--funding-rate", help="Of every settlement of perpetuals, e.g. 0.01% (default: as recorded, else none)."),
    ] = "",
    speed: Annotated[
        str,
        typer.Option("--speed", help="exact, or fast: the same orders, compiled, of one symbol (see the how-to)."),
    ] = "exact",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of quoting or risk; may be repeated.")
    ] = None,
    latencies: Annotated[
        str, typer.Option("--latencies", metavar="5ms,...", help="Run at each of these too, for the plot of latency sensitivity.")
    ] = "",
    json_output: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="OUT.html", help="Write a page with plots, JSON and parquet beside it.")
    ] = None,
) -> None:
    """Trade recorded markets with the same core as live; hftbacktest matches, with queue positions, latencies and fees.

    Recordings of Binance frames (*.gz), books and trades as parquet, and datasets of `mmd import` are read. Needs the extra
    `backtest`.

    \b
    Examples:
      mmd backtest --data ../shared/data/binance_raw --symbols ETHUSDT --strategy glft
      mmd backtest --data day.book.parquet --strategy neural --latency 5ms --maker-fee=-0.5bps
      mmd backtest --data usdm__btcusdt_20240718.gz --data usdm__btcusdt_20240719.gz --report out.html
      mmd backtest --data stocks/ --symbols IBM --strategy fixed --calendar 252x6.5 --set quoting.fixed_half_spread_bps=3
      mmd backtest --bundle models/quote-v1 --data ../shared/data/us_equity --symbols AIG --json > evidence.json
      mmd backtest --data fx/XAUUSD.oanda.book.parquet --strategy fixed --fill-model arrivals=0.1,adverse=0.5
      mmd backtest --data ../shared/data/binance_raw --symbols ETHUSDT --strategy glft --speed fast
      mmd backtest --data day.book.parquet --strategy glft --latencies 1ms,5ms,20ms,100ms --report out.html
      mmd backtest compare a.json b.json

    \b
    Exit codes: 0 done, 1 data or bundle cannot be used, 2 usage.
    """
    if context.invoked_subcommand is not None:
        return
    if not data:
        _fail("name the data: --data PLACE", EXIT_USAGE)
    if strategy not in STRATEGIES:
        _fail(f"no strategy {strategy!r}; there are {', '.join(STRATEGIES)}", EXIT_USAGE)
    _need_extra()
    from mmd.backtest.errors import BacktestError
    from mmd.backtest.figures import Terms
    from mmd.backtest.options import parse_calendar, parse_options
    from mmd.backtest.report import document, encode
    from mmd.backtest.sensitivity import latency_sensitivity, parse_latencies

    try:
        options = parse_options(
            strategy=strategy,
            latency=latency,
            queue=queue,
            maker_fee=maker_fee,
            taker_fee=taker_fee,
            begin=begin,
            end=end,
            calibration_share=calibrate,
            calibrated=fit,
            assignments=assignments or [],
            fills=fills,
            fill_model=fill_model,
            fill_seed=seed,
            funding_rate=funding_rate,
            speed=speed,
        )
        calendar: Calendar = parse_calendar(days)
        others = parse_latencies(latencies)
    except BacktestError as error:
        _fail(str(error), EXIT_USAGE)
    names = [name.strip() for name in symbols.split(",") if name.strip()]
    run = _run(data, names, options, bundle)
    terms = Terms(capital or float(options.risk.max_position_notional), calendar, trials, seed, options.taker_fee)
    found = document(run, terms)
    found["latency_sensitivity"] = latency_sensitivity(options, others, lambda each: _run(data, names, each, bundle), terms)
    if report is not None:
        _write(run, found, report)
    if json_output:
        typer.echo(encode(found).decode())
    else:
        from mmd.backtest.summary import print_summary

        print_summary(found)


def _run(data: Sequence[Path], symbols: list[str], options: Options, bundle: Path | None) -> Run:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from mmd.backtest.errors import BacktestError
    from mmd.backtest.runner import Networks, run_backtest
    from mmd.daemon.bundles import load_networks
    from mmd.inference.errors import BundleError, RuntimeUnavailable
    from mmd.inference.shipped import DEFAULT_BUNDLE

    def networks(names: Sequence[str]) -> Networks:
        return load_networks(bundle or DEFAULT_BUNDLE, names, "auto")

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("reading", total=None)
            return run_backtest(
                data,
                symbols,
                options,
                networks if options.strategy == "neural" else None,
                on_total=lambda events: progress.update(task, total=events, description="trading"),
                on_progress=lambda events: progress.advance(task, events),
            )
    except (BacktestError, BundleError, RuntimeUnavailable, OSError) as error:
        _fail(str(error), EXIT_ERROR)


def _write(run: Run, found: dict[str, Any], page: Path) -> None:
    from mmd.backtest.page import write_page
    from mmd.backtest.report import encode, write_trades

    try:
        write_page(run, found, page)
        page.with_suffix(".json").write_bytes(encode(found))
        write_trades(run, page.with_suffix(".trades.parquet"))
    except OSError as error:
        _fail(f"{page}: cannot be written ({error.strerror or error})", EXIT_ERROR)
    typer.echo(f"{page}, with {page.stem}.json and {page.stem}.trades.parquet beside it", err=True)


@backtest_app.command("compare")
def compare_runs(
    first: Annotated[Path, typer.Argument(help="JSON report of a run.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="JSON report of another.", show_default=False)],
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Two runs side by side: every figure, and what differs between their data and models.

    \b
    Example:
      mmd backtest compare glft.json neural.json

    \b
    Exit codes: 0 done, 1 a report cannot be read.
    """
    from mmd.backtest.comparison import ComparisonError, compare, print_comparison, read_report

    try:
        found = compare(read_report(first), read_report(second))
    except ComparisonError as error:
        _fail(str(error), EXIT_ERROR)
    if json_output:
        import json

        typer.echo(json.dumps(found, indent=2))
    else:
        print_comparison(found, first.name, second.name)


def _need_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("hftbacktest", "polars") if find_spec(name) is None]
    if missing:
        _fail(f"{', '.join(missing)} is not installed: pip install 'mmd[backtest]'", EXIT_ERROR)


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"mmd backtest: {text}", err=True)
    raise typer.Exit(code)
