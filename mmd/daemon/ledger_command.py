"""`mmd ledger`: what was ordered, filled, held and halted, from the ledger's file; and that file made anew."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXIT_USAGE = 2
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

ledger_app = typer.Typer(
    name="ledger", help="Orders, fills, positions and halts on record.", no_args_is_help=True, rich_markup_mode=None
)

SinceOption = Annotated[str, typer.Option("--since", help="From then on: 90m, 6h, 2d, or a UTC date or time as 2026-01-31T12:00.")]
SymbolOption = Annotated[str, typer.Option("--symbol", help="Only this symbol.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, help="At most so many rows, the newest.")]
StateOption = Annotated[
    Path | None, typer.Option("--state", "--state-dir", help="The daemon's state directory (default: as the settings say).")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings (default: MMD_CONFIG, then ./mmd.toml).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON array to standard output instead of a table.")]


def _add_listing(table: str, text: str) -> None:
    """A command that shows rows of a table that are about symbols."""

    def listing(
        since: SinceOption = "",
        symbol: SymbolOption = "",
        limit: LimitOption = 100,
        state: StateOption = None,
        config: ConfigOption = None,
        json_output: JsonOption = False,
    ) -> None:
        _show(table, since, symbol, limit, state, config, json_output)

    ledger_app.command(table, help=text)(listing)


_add_listing(
    "fills",
    """Trades of ours, each once.

    \b
    Examples:
      mmd ledger fills --since 6h
      mmd ledger fills --symbol BTCUSDT --json | jq '.[].price'
    """,
)
_add_listing(
    "orders",
    """Orders sent, and the state last heard of each.

    \b
    Example:
      mmd ledger orders --since 2026-01-31 --limit 20
    """,
)
_add_listing(
    "positions",
    """Position, cost, profit and fees whenever one of them moved. Amounts in atoms (1e-8).

    \b
    Example:
      mmd ledger positions --symbol BTCUSDT --limit 1
    """,
)


@ledger_app.command()
def halts(
    since: SinceOption = "",
    limit: LimitOption = 100,
    state: StateOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Halts and resumes with reason, actor, and the money as it stood.

    \b
    Example:
      mmd ledger halts --since 30d
    """
    _show("halts", since, "", limit, state, config, json_output)


@ledger_app.command()
def rebuild(state: StateOption = None, config: ConfigOption = None) -> None:
    """Make the file anew from the journals of all sessions, for one that is lost or corrupt. The old one is kept as `….old`.

    Stop the daemon first. What the journals lack the exchange gives back at the next start.

    \b
    Example:
      mmd ledger rebuild --state /var/lib/mmd
    """
    from mmd.daemon.session_ledger import rebuild as make_anew
    from mmd.daemon.state_lock import StateLock, StateLockError
    from mmd.journal.errors import JournalError
    from mmd.ledger.store import LedgerError

    path, journals, directory = _places(state, config)
    try:
        with StateLock(directory):
            read, problems = make_anew(path, journals, lambda session: typer.echo(f"session {session}", err=True))
    except (JournalError, LedgerError, StateLockError, OSError) as error:
        _fail(str(error))
    for problem in problems:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{path} made anew from {read} sessions")


def _show(table: str, since: str, symbol: str, limit: int, state: Path | None, config: Path | None, json_output: bool) -> None:
    from mmd.ledger.store import LedgerError, LedgerStore

    path, _, _ = _places(state, config)
    if not path.exists():
        _fail(f"there is no ledger {path}: it is made when the daemon first starts")
    try:
        store = LedgerStore(path, read_only=True)
        rows = store.rows(table, since_ns=since_ns(since), symbol=symbol, limit=limit)
        store.close()
    except LedgerError as error:
        _fail(str(error))
    if json_output:
        import msgspec

        typer.echo(msgspec.json.encode(rows).decode())
        return
    _print(table, rows)


def _print(table: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    names = [name for name in (rows[0] if rows else ()) if name not in ("price_ticks", "lots", "session", "receive_ns")]
    for name in names:
        shown.add_column(name.removesuffix("_ns"), overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(name, row[name]) for name in names))
    Console().print(shown)
    typer.echo(f"{len(rows)} {table}")


def _cell(name: str, value: Any) -> str:
    if name.endswith("_ns"):
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(value // 10**9))}.{value // 10**6 % 1000:03d}" if value else ""
    return f"{value / 1e8:.10g}" if name.endswith("_atoms") else str(value)


def since_ns(text: str) -> int:
    """UTC ns of `90m`, `6h`, `2d` (ago), or of an ISO date or time; 0 for nothing. Exits with a message for anything else."""
    import datetime

    if not text:
        return 0
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago:
        return time.time_ns() - int(ago.group(1)) * _UNITS[ago.group(2)] * 10**9
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return _fail(f"--since {text!r} is no time: use 90m, 6h, 2d, or 2026-01-31T12:00 (UTC)")
    return int((moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp() * 1e9)


def _places(state: Path | None, config: Path | None) -> tuple[Path, Path, Path]:
    """The ledger's file, the journals' folder, the state directory."""
    from mmd.daemon.session_journal import FOLDER, journal_root
    from mmd.daemon.session_ledger import ledger_file
    from mmd.daemon.settings_sources import SettingsError, load_settings
    from mmd.ledger.store import FILE_NAME

    if state is not None:
        return state / FILE_NAME, state / FOLDER, state
    try:
        settings = load_settings(config)
    except SettingsError as error:
        return _fail("the settings are wrong\n  " + "\n  ".join(error.problems))
    return ledger_file(settings), journal_root(settings), settings.state_dir


def _fail(text: str) -> NoReturn:
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(EXIT_USAGE)
