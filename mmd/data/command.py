"""`mmd import`: files of many origins into one dataset, with a progress bar and an account of every row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.data.manifest import Manifest
    from mmd.data.source import Options

EXIT_FAILED = 1
EXIT_USAGE = 2

PathsArgument = Annotated[list[Path] | None, typer.Argument(metavar="PATH…", help="Files or folders to import.")]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the dataset.")]
AppendOption = Annotated[bool, typer.Option("--append", help="Add to a dataset that is there; files it has already are skipped.")]
MarketOption = Annotated[
    str, typer.Option("--market", help="The market's name, where a file does not say it (spot, usdm, nasdaq …).")
]
TickOption = Annotated[
    str, typer.Option("--tick", help="Tick size of all these files; rows off it are set aside (default: inferred).")
]
LotOption = Annotated[str, typer.Option("--lot", help="Lot size of all these files; goes with --tick.")]
GapOption = Annotated[float, typer.Option("--gap-seconds", min=0.001, help="A longer silence ends a session.")]
ListOption = Annotated[bool, typer.Option("--list-formats", help="Say what can be imported, and how it is recognised.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the manifest instead of a table.")]


def import_command(
    paths: PathsArgument = None,
    out: OutOption = None,
    append: AppendOption = False,
    market: MarketOption = "",
    tick: TickOption = "",
    lot: LotOption = "",
    gap_seconds: GapOption = 60.0,
    list_formats: ListOption = False,
    json_output: JsonOption = False,
) -> None:
    """Import market data into one parquet dataset with a manifest: recordings, Binance's archives, Tardis, LOBSTER, parquet files.

    Nothing is dropped in silence: rows that cannot be used are counted by kind and written to `rejected/` with their reason. The
    dataset is there whole or not at all. `mmd train --data FOLDER` reads it. Needs polars: pip install 'mmd[train]'.

    \b
    Examples:
      mmd import recordings --out dataset
      mmd import BTCUSDT-bookTicker-2024-03-01.zip BTCUSDT-trades-2024-03-01.zip --out dataset
      mmd import AAPL_2012-06-21_34200000_57600000_message_10.csv AAPL_2012-06-21_34200000_57600000_orderbook_10.csv --out dataset
      mmd import recordings --out dataset --append
      mmd import --list-formats

    \b
    Exit codes: 0 imported (rejected rows are told), 1 refused, nothing was changed, 2 usage.
    """
    try:
        from mmd.data.formats import FORMATS
        from mmd.data.manifest import ManifestError
        from mmd.data.source import ImportFailed, Options
    except ImportError as error:
        _fail(f"{error}: importing needs polars, install it with: pip install 'mmd[train]'", EXIT_FAILED)
    if list_formats:
        for each in FORMATS:
            typer.echo(f"{each.name}\n  {each.what}\n  {each.columns}")
        return
    if not paths or out is None:
        _fail("say what to import and where to: mmd import PATH… --out FOLDER (or --list-formats)", EXIT_USAGE)
    if bool(tick) != bool(lot):
        _fail("--tick and --lot go together: say both or neither", EXIT_USAGE)
    try:
        manifest = _run(paths, out, Options(market, tick, lot, gap_seconds), append)
    except (ImportFailed, ManifestError) as error:
        _fail(str(error), EXIT_FAILED)
    if json_output:
        import msgspec

        typer.echo(msgspec.json.encode(manifest).decode())
    else:
        _print_table(manifest, out)


def _run(paths: list[Path], out: Path, options: Options, append: bool) -> Manifest:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from mmd.data.importing import Progress, import_data
    from mmd.data.source import Source

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("looking at the files", total=None)

        def begin(source: Source, size: int) -> None:
            more = f" and {len(source.files) - 1} more" if len(source.files) > 1 else ""
            bars.reset(task, description=f"{source.format}: {source.files[0].name}{more}", total=size)

        return import_data(paths, out, options, append=append, progress=Progress(begin, lambda size: bars.advance(task, size)))


def _print_table(manifest: Manifest, out: Path) -> None:
    import datetime

    from rich.console import Console
    from rich.table import Table

    def moment(ns: int) -> str:
        return f"{datetime.datetime.fromtimestamp(ns / 1e9, datetime.UTC):%Y-%m-%d %H:%M:%S}"

    table = Table(
        "market", "symbol", "table", "rows", "from (UTC)", "to", "gaps", "set aside", "tick", "lot", box=None, pad_edge=False
    )
    for series in manifest.series:
        for name, entry in series.tables.items():
            aside = ", ".join(f"{count:,} {reason}" for reason, count in sorted(entry.rejected.items())) or "0"
            steps = (series.instrument.tick_size, series.instrument.lot_size)
            span = (moment(entry.begin_ns), moment(entry.end_ns))
            table.add_row(series.market, series.symbol, name, f"{entry.rows:,}", *span, str(entry.gap_count), aside, *steps)
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)
    notes = [f"{source.files[0]}: {note}" for source in manifest.sources for note in source.notes]
    notes += [
        f"{each.market} {each.symbol}: {each.clock_offset.note}"
        for each in manifest.series
        if each.clock_offset and each.clock_offset.note
    ]
    notes += [f"passed over, of no known format: {name}" for name in manifest.passed_over]
    for note in notes:
        console.print(f"  {note}", style="dim", highlight=False)
    typer.echo(f"dataset in {out}, sha256 {manifest.sha256}")


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"mmd import: {message}", err=True)
    raise typer.Exit(code)
