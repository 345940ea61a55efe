"""The command line. Imports little at the top, so that every command, `halt` above all, starts fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmd.backtest.command import backtest_app
from mmd.backtest.evidence.command import evidence_app
from mmd.backtest.sweep.command import sweep
from mmd.benchmark.command import bench
from mmd.daemon.doctor_command import doctor
from mmd.daemon.guard_command import guard
from mmd.daemon.ledger_command import ledger_app
from mmd.daemon.mock_command import mock_app
from mmd.daemon.record_command import record
from mmd.data.command import import_command
from mmd.learning.command import train
from mmd.learning.evaluate_command import evaluate
from mmd.learning.models_command import models, promote
from mmd.learning.retrain_command import retrain
from mmd.replay.command import replay
from mmd.replay.explain_command import explain

if TYPE_CHECKING:
    from mmd.daemon.control_client import ControlClient

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_HALTED = 3
EXIT_NO_DAEMON = 4
EXIT_UNCONFIRMED = 5

app = typer.Typer(
    name="mmd",
    help="A neural-network market maker that a person can leave running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings (default: MMD_CONFIG, then ./mmd.toml).")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. risk.max_daily_loss=50; may be repeated.")
]
ReasonArgument = Annotated[str, typer.Argument(help="Why; kept in the latch.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="The same as an option.")]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.0, help="Leave after so many seconds (default: run on).")]
ReplayOption = Annotated[
    str,
    typer.Option("--replay", metavar="FILE[,FILE…]", help="Recorded Binance frames to play as the market; symbols are theirs."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output instead of text.")]
ViewOption = Annotated[bool | None, typer.Option("--view/--no-view", help="Live table in the terminal.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from mmd import __version__

        typer.echo(f"mmd {__version__}")
        raise typer.Exit


@app.callback()
def program(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is, and leave.")
    ] = False,
) -> None:
    """A neural-network market maker that a person can leave running."""


@app.command()
def run(
    config: ConfigOption = None,
    assignments: SetOption = None,
    seconds: SecondsOption = None,
    json_output: JsonOption = False,
    view: ViewOption = False,
) -> None:
    """Trade, until SIGTERM or SIGINT; every order of ours is cancelled before it leaves.

    \b
    Examples:
      mmd run --config mmd.toml
      MMD_MODE=testnet MMD_EXCHANGE__API_KEY=... MMD_EXCHANGE__API_SECRET_FILE=/run/secrets/binance mmd run
      mmd run --set symbols=BTCUSDT,ETHUSDT --set risk.max_daily_loss=50

    \b
    Exit codes: 0 left clean, 1 could not start or failed, 3 orders are or may be still open.
    """
    from mmd.daemon.launch import Output, launch
    from mmd.daemon.settings_sources import load_settings

    output = Output("mmd run", json_output, view)
    _launched(lambda: launch(load_settings(config, overrides=_assigned(assignments)), output, seconds))


@app.command()
def demo(
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.0, help="How long to trade (default: 60; a recording to its end).")
    ] = None,
    json_output: JsonOption = False,
    view: ViewOption = None,
    symbols: Annotated[str, typer.Option("--symbols", help="Symbols to quote, separated by commas.")] = "BTCUSDT",
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated market.")] = 1,
    speed: Annotated[float, typer.Option("--speed", min=0.01, help="Market time per wall time.")] = 1.0,
    replay: ReplayOption = "",
    state_dir: Annotated[
        Path | None, typer.Option("--state", "--state-dir", help="Keep latch, ledger and logs here, not in a temporary directory.")
    ] = None,
    assignments: SetOption = None,
) -> None:
    """A mock exchange and the market maker on it, in one command. Needs no account and no network.

    Reads no settings but those given here.

    \b
    Examples:
      mmd demo
      mmd demo --seconds 20 --json
      mmd demo --symbols BTCUSDT,ETHUSDT --set quoting.fixed_half_spread_bps=2
      mmd demo --replay usdm__btcusdt_20240718.gz,usdm__btcusdt_20240719.gz --speed 10
    """
    import tempfile

    from mmd.daemon.launch import DemoOptions, Output, launch_demo

    output = Output("mmd demo on a mock exchange", json_output, view)
    assigned = _assigned(assignments)
    with tempfile.TemporaryDirectory(prefix="mmd-demo-") as temporary:
        options = DemoOptions(state_dir or Path(temporary), seconds, symbols, seed, speed, _files(replay))
        _launched(lambda: launch_demo(options, output, assigned))


@app.command()
def halt(
    reason: ReasonArgument = "",
    reason_option: ReasonOption = "",
    wait: Annotated[
        float, typer.Option("--wait", min=0.0, max=30.0, help="Wait so many seconds for the orders to be confirmed gone.")
    ] = 3.0,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Then work towards no position, as `mmd flatten` does, for 60 s.")
    ] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Stop a running daemon's trading: latch, and cancel everything of ours. It stays halted over restarts.

    \b
    Examples:
      mmd halt --reason "spread looks wrong"
      mmd halt --flatten --reason "venue announces maintenance"
      mmd halt --set control.port=8781

    \b
    Exit codes: 0 every order confirmed gone, 5 halted but not yet confirmed, 4 no daemon answers, 1 refused.
    """
    if flatten:
        _flatten(reason_option or reason, 60.0, config, assignments)
        return
    reply = _ask(config, assignments, lambda client: client.halt(reason_option or reason, wait_seconds=wait), remedy=HALT_FILE_HINT)
    if reply.status not in (200, 202):
        _fail(f"not halted: {reply.document.get('error', reply.document)}")
    document = reply.document
    record = document["record"]
    typer.echo(f"halted by {record['actor']}: {record['reason']}")
    if reply.status == 202:
        typer.echo(f"orders still to be confirmed gone: {document['still_open']}; it goes on cancelling, see `mmd status`")
        raise typer.Exit(EXIT_UNCONFIRMED)
    typer.echo(f"orders that were open: {document['open_orders']}, all confirmed gone")


@app.command("flatten")
def flatten_position(
    reason: ReasonArgument = "",
    reason_option: ReasonOption = "",
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, max=3600.0, help="The deadline, from now.")] = 60.0,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Halt a running daemon, and have it work towards no position: reduce-only orders, passive at first, then aggressive.

    It joins our side of the touch for a third of the time, then trades up to risk.flatten_collar_bps from the mid. Nothing
    leaves while the book is not valid. It stays halted afterwards; `mmd halt` stops it in the middle.

    \b
    Examples:
      mmd flatten --reason "going on holiday"
      mmd flatten --seconds 300 --reason "thin market, take time"

    \b
    Exit codes: 0 flat, 5 something is left (it says what), 4 no daemon answers, 1 refused.
    """
    _flatten(reason_option or reason, seconds, config, assignments)


@app.command()
def resume(
    reason: ReasonArgument = "",
    reason_option: ReasonOption = "",
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Lift the halt of a running daemon. Needs a reason: what was found and mended.

    \b
    Example:
      mmd resume --reason "feed was late, provider confirms repair"
    """
    given = reason_option or reason
    if not given.strip():
        _fail("resume needs a reason: say what was found and mended, as mmd resume --reason 'feed repaired'", EXIT_USAGE)
    reply = _ask(config, assignments, lambda client: client.resume(given))
    if reply.status != 200:
        _fail(f"not resumed: {reply.document.get('error', reply.document)}")
    typer.echo("resumed")


@app.command()
def status(config: ConfigOption = None, assignments: SetOption = None, json_output: JsonOption = False) -> None:
    """What a running daemon is doing.

    \b
    Examples:
      mmd status
      mmd status --json | jq .trader.pnl

    \b
    Exit codes: 0 not halted, 3 halted, 4 no daemon answers, 1 refused.
    """
    reply = _ask(config, assignments, lambda client: client.state())
    if reply.status != 200:
        _fail(f"refused: {reply.document.get('error', reply.document)}")
    if json_output:
        import json

        typer.echo(json.dumps(reply.document))
    else:
        from mmd.daemon.status_text import print_status

        print_status(reply.document)
    if reply.document["trader"]["halt"]["halted"]:
        raise typer.Exit(EXIT_HALTED)


@models.command("use")
def use_networks(
    bundle: Annotated[str, typer.Argument(help="Name below models/, or folder, as the daemon sees it.")] = "",
    previous: Annotated[bool, typer.Option("--previous", help="Roll back to what served before the last swap.")] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Have a running daemon quote with another bundle, without a restart. A restart takes what `networks.bundle` names.

    \b
    Examples:
      mmd models use quote-v3
      mmd models use --previous

    \b
    Exit codes: 0 swapped, 1 refused (the old networks go on serving), 4 no daemon answers.
    """
    if bool(bundle) == previous:
        _fail("say which bundle, or --previous", EXIT_USAGE)
    choice: dict[str, str | bool] = {"rollback": True} if previous else {"use": bundle}
    reply = _ask(config, assignments, lambda client: client.choose_networks(**choice))
    if reply.status != 200:
        _fail(f"not swapped: {reply.document.get('error', reply.document)}")
    serving = reply.document["current"]
    typer.echo(f"{serving['name']} {serving['version']} serves now (stage {serving['stage']}, {serving['folder']})")


@models.command("challenge")
def challenge_networks(
    bundle: Annotated[str, typer.Argument(help="Name below models/, or folder, as the daemon sees it; none ends it.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Have a running daemon watch another bundle in shadow: the same ticks, no orders, hypothetical markouts beside the champion's.

    \b
    Examples:
      mmd models challenge quote-v3
      mmd models challenge none
      mmd status --json | jq .trader.shadow

    \b
    Exit codes: 0 watched, 1 refused, 4 no daemon answers.
    """
    reply = _ask(config, assignments, lambda client: client.choose_networks(challenger=bundle))
    if reply.status != 200:
        _fail(f"not watched: {reply.document.get('error', reply.document)}")
    watched = reply.document["challenger"]
    typer.echo(f"{watched['name']} {watched['version']} runs in shadow" if watched else "nothing runs in shadow")


app.add_typer(mock_app, name="mock")
app.add_typer(backtest_app, name="backtest")
app.add_typer(ledger_app, name="ledger")
app.command("sweep")(sweep)
app.add_typer(evidence_app, name="evidence")
app.command()(doctor)
app.command()(guard)
app.command()(record)
app.command("import")(import_command)
app.command()(train)
app.command()(evaluate)
app.command()(promote)
app.command()(retrain)
app.add_typer(models)
app.command()(bench)
app.command()(replay)
app.command()(explain)


@app.command()
def version() -> None:
    """The version of this program.

    \b
    Example:
      mmd version
    """
    from mmd import __version__

    typer.echo(__version__)


def main() -> None:
    """The entry point `mmd`."""
    app()


HALT_FILE_HINT = "A file named HALT in the daemon's state directory halts it too"


# ---- settings and errors


def _files(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def _fail(text: str, code: int = EXIT_ERROR) -> Any:
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(code)


def _assigned(assignments: list[str] | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in assignments or []:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            _fail(f"--set {text!r} is not of the form KEY=VALUE, as risk.max_daily_loss=50", EXIT_USAGE)
        values[key.strip()] = value.strip()
    return values


def _settings_or_exit(load: Callable[[], Any]) -> Any:
    from mmd.daemon.settings_sources import SettingsError

    try:
        return load()
    except SettingsError as error:
        return _fail("the settings are wrong\n  " + "\n  ".join(error.problems))


def _ask(
    config: Path | None,
    assignments: list[str] | None,
    question: Callable[[ControlClient], Any],
    remedy: str = "",
    timeout_seconds: float = 40.0,
) -> Any:
    from mmd.daemon.control_client import ControlClient, NoDaemon
    from mmd.daemon.settings_sources import load_control_settings

    settings = _settings_or_exit(lambda: load_control_settings(config, overrides=_assigned(assignments)))
    try:
        return question(ControlClient(settings, timeout_seconds=timeout_seconds))
    except NoDaemon as error:
        return _fail(f"{error} {remedy}".strip(), EXIT_NO_DAEMON)


def _flatten(reason: str, seconds: float, config: Path | None, assignments: list[str] | None) -> None:
    ask: Callable[[ControlClient], Any] = lambda client: client.flatten(reason, seconds=seconds)  # noqa: E731
    reply = _ask(config, assignments, ask, remedy=HALT_FILE_HINT, timeout_seconds=seconds + 40.0)
    if reply.status not in (200, 202):
        _fail(f"not flattened: {reply.document.get('error', reply.document)}")
    left, record = reply.document["left"], reply.document["record"]
    typer.echo(f"halted by {record['actor']}: {record['reason']}")
    for symbol, amount in left.items():
        typer.echo(f"left of {symbol}: {amount:.10g}")
    if reply.status == 202:
        typer.echo(f"not flat: {reply.document['outcome']}; see `mmd status`")
        raise typer.Exit(EXIT_UNCONFIRMED)
    typer.echo("flat, but for what is too small to be traded" if left else "flat")


# ---- trading


def _launched(start: Callable[[], int]) -> None:
    from mmd.daemon.launch import LaunchError
    from mmd.daemon.mock_child import MockChildError

    try:
        code = _settings_or_exit(start)
    except (LaunchError, MockChildError) as error:
        _fail(str(error))
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
