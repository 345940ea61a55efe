"""The command line. Imports little at the top, so that every command, `halt` above all, starts fast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mmd.backtest.command import backtest_app
from mmd.backtest.evidence.command import evidence_app
from mmd.backtest.sweep.command import sweep
from mmd.benchmark.command import bench
from mmd.daemon.command_parts import ConfigOption, JsonOption, SetOption, assigned, fail, settings_or_exit
from mmd.daemon.control_commands import challenge_networks, flatten_position, halt, resume, status, use_networks
from mmd.daemon.doctor_command import doctor
from mmd.daemon.guard_command import guard
from mmd.daemon.ledger_command import ledger_app
from mmd.daemon.mock_command import mock_app
from mmd.daemon.record_command import record
from mmd.daemon.top_command import top
from mmd.data.command import import_command
from mmd.learning.command import train
from mmd.learning.evaluate_command import evaluate
from mmd.learning.models_command import models, promote
from mmd.learning.retrain_command import retrain
from mmd.replay.command import replay
from mmd.replay.explain_command import explain

app = typer.Typer(
    name="mmd",
    help="A neural-network market maker that a person can leave running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.0, help="Leave after so many seconds (default: run on).")]
ReplayOption = Annotated[
    str,
    typer.Option("--replay", metavar="FILE[,FILE…]", help="Recorded Binance frames to play as the market; symbols are theirs."),
]
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
    _launched(lambda: launch(load_settings(config, overrides=assigned(assignments)), output, seconds))


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
    overrides = assigned(assignments)
    with tempfile.TemporaryDirectory(prefix="mmd-demo-") as temporary:
        options = DemoOptions(state_dir or Path(temporary), seconds, symbols, seed, speed, _files(replay))
        _launched(lambda: launch_demo(options, output, overrides))


app.command()(halt)
app.command("flatten")(flatten_position)
app.command()(resume)
app.command()(status)
models.command("use")(use_networks)
models.command("challenge")(challenge_networks)
app.add_typer(mock_app, name="mock")
app.add_typer(backtest_app, name="backtest")
app.add_typer(ledger_app, name="ledger")
app.command("sweep")(sweep)
app.add_typer(evidence_app, name="evidence")
app.command()(doctor)
app.command()(guard)
app.command()(record)
app.command()(top)
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


def _files(text: str) -> tuple[Path, ...]:
    return tuple(Path(part.strip()) for part in text.split(",") if part.strip())


def _launched(start: Callable[[], int]) -> None:
    from mmd.daemon.launch import LaunchError
    from mmd.daemon.mock_child import MockChildError

    try:
        code = settings_or_exit(start)
    except (LaunchError, MockChildError) as error:
        fail(str(error))
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
