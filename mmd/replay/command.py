"""`mmd replay`: the sessions that were recorded, what is in one, and whether it comes out again as it went out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.journal.reader import SessionJournal
    from mmd.replay.verification import Verdict

EXIT_DIFFERS = 1
EXIT_USAGE = 2

SessionArgument = Annotated[
    str, typer.Argument(metavar="[SESSION]", help="Name of the session, path of its folder, or `last` (see --list).")
]
StateOption = Annotated[
    Path | None, typer.Option("--state", "--state-dir", help="The daemon's state directory (default: settings).")
]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings (default: MMD_CONFIG, then ./mmd.toml).")
]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="Folder of the session's networks, if they are not where they were.")
]
PredictionsOption = Annotated[
    Literal["auto", "recomputed", "recorded"],
    typer.Option(
        "--predictions",
        help="Evaluate the networks again, bit for bit, or take what they said from the record; `auto` evaluates on the processor "
        "type and runtime of the session.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output instead of text.")]


def replay(
    session: SessionArgument = "",
    list_sessions: Annotated[bool, typer.Option("--list", help="List the sessions.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Replay it and compare everything that went out.")] = False,
    records: Annotated[bool, typer.Option("--records", help="Print every record as a line of JSON.")] = False,
    predictions: PredictionsOption = "auto",
    bundle: BundleOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
    json_output: JsonOption = False,
) -> None:
    """Live a recorded session again: the core is rebuilt, fed the journal, and must send what it sent, byte for byte.

    The hash covers every command and every encoded request, without its signature and key.

    \b
    Examples:
      mmd replay --list
      mmd replay last --verify
      mmd replay mwxv60vl --verify --state /var/lib/mmd
      mmd replay mwxv60vl --records | jq -c 'select(.kind == "Fill")'

    \b
    Exit codes: 0 it matches, 1 it differs, 2 it cannot be read or replayed.
    """
    from mmd.journal.errors import JournalError
    from mmd.replay.errors import ReplayError

    root = sessions_folder(state, config)
    try:
        if list_sessions:
            _print_sessions(root, json_output)
            return
        if not session:
            fail("say which session (`last` is the newest), or --list")
        journal = open_session(root, session)
        if records:
            _print_records(journal)
        elif verify:
            _verify(journal, predictions, bundle, json_output)
        else:
            _print_contents(journal, json_output)
    except (JournalError, ReplayError) as error:
        fail(str(error))


def open_session(root: Path, name: str) -> SessionJournal:
    """A session by name, path, or `last`. Raises `JournalError`."""
    from mmd.journal.reader import find_session

    return find_session(root, name)


def sessions_folder(state: Path | None, config: Path | None) -> Path:
    """Where the journals are: of the state directory given, or as the settings say."""
    from mmd.daemon.session_journal import FOLDER, journal_root
    from mmd.daemon.settings_sources import SettingsError, load_settings

    if state is not None:
        return state / FOLDER
    try:
        return journal_root(load_settings(config))
    except SettingsError as error:
        return fail("the settings are wrong\n  " + "\n  ".join(error.problems))


@contextmanager
def progress_bar(journal: SessionJournal, what: str) -> Iterator[Callable[[int], None]]:
    """Bytes of the journal, on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=journal.size_bytes)
        yield lambda done: progress.update(task, completed=done)


def fail(text: str) -> NoReturn:
    """One clear line, and the exit code of what cannot be done."""
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(EXIT_USAGE)


# ---- list, contents


def _print_sessions(root: Path, json_output: bool) -> None:
    from mmd.journal.reader import session_summaries

    summaries = session_summaries(root)
    if json_output:
        _print_json(summaries)
        return
    for summary in summaries:
        end = summary.end
        what = f"{summary.venue} {summary.mode} {','.join(summary.symbols)}, {summary.size_bytes / 1e6:.1f} MB"
        if end is not None:
            seconds = (end.ended_ns - summary.started_ns) / 1e9
            what += (
                f", {seconds:,.0f} s, {end.records:,} records, {end.requests:,} requests, {end.outbound_sha256[:12]}: {end.detail}"
            )
        else:
            what += f", {summary.problem or 'not ended in order'}"
        typer.echo(f"{summary.session}  {moment(summary.started_ns)}  {what}")


def _print_contents(journal: SessionJournal, json_output: bool) -> None:
    from collections import Counter

    counts: Counter[str] = Counter()
    with progress_bar(journal, "reading") as on_progress:
        for record in journal.records(on_progress):
            counts[kind_name(record)] += 1
    begin, torn = journal.begin, journal.torn
    if json_output:
        _print_json({"session": begin.session, "started_ns": begin.started_ns, "records": counts, "torn": torn})
        return
    typer.echo(
        f"session {begin.session} of mmd {begin.program_version}, began {moment(begin.started_ns)} UTC\n"
        f"{begin.account}, mode {begin.mode}: {', '.join(begin.symbols)}\n"
        f"settings {begin.settings_sha256[:12]}"
        + (f", networks {begin.networks.name} {begin.networks.version} {begin.networks.digest[:12]}" if begin.networks else "")
    )
    for name, count in sorted(counts.items(), key=lambda entry: -entry[1]):
        typer.echo(f"{count:12,}  {name}")
    if torn is not None:
        typer.echo(f"{torn.bytes_ignored:,} bytes at the end of {torn.path} do not count: {torn.why}")


def _print_records(journal: SessionJournal) -> None:
    import sys

    import msgspec

    for number, record in enumerate(journal.records()):
        line = {"number": number, "kind": kind_name(record), "record": record}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


def kind_name(record: Any) -> str:
    """What people call a record."""
    return {int: "inference time", tuple: "prediction", bytes: "request"}.get(type(record), type(record).__name__)


def moment(time_ns: int) -> str:
    """UTC, to the second."""
    import datetime

    return f"{datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC):%Y-%m-%d %H:%M:%S}" if time_ns else ""


def _print_json(document: Any) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(document).decode())


# ---- verify


def _verify(
    journal: SessionJournal, predictions: Literal["auto", "recomputed", "recorded"], bundle: Path | None, json_output: bool
) -> None:
    from mmd.replay.session import ReplayedSession
    from mmd.replay.verification import Verification

    replayed = ReplayedSession(journal.begin, predictions=predictions, bundle=bundle)
    with progress_bar(journal, "replaying") as on_progress:
        verdict = Verification(journal, replayed).run(on_progress)
    if json_output:
        _print_json(verdict)
    else:
        typer.echo("\n".join(verdict_lines(verdict)))
    if not verdict.matches:
        raise typer.Exit(EXIT_DIFFERS)


def verdict_lines(verdict: Verdict) -> list[str]:
    """For people: what was compared, and what came of it."""
    networks = {
        "none": "no networks",
        "recomputed": f"{verdict.evaluations:,} predictions evaluated again, bit for bit the same",
        "recorded": f"{verdict.evaluations:,} predictions taken from the record ({verdict.why_recorded})",
    }[verdict.predictions]
    lines = []
    if verdict.difference:
        lines += [*verdict.context, verdict.difference, ""]
    if verdict.incomplete:
        lines.append(f"compared only so far: {verdict.incomplete}")
    lines.append(f"{verdict.events:,} events in, {verdict.commands:,} commands and {verdict.requests:,} requests out; {networks}")
    lines.append(f"{'MATCH' if verdict.matches else 'DIFFERENT'} {verdict.outbound_sha256}")
    return lines
