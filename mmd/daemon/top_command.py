"""`mmd top`, the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_ERROR = 1
EXIT_NO_DAEMON = 4


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and leave (so too where the output is no terminal).")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="TOML file with settings (default: MMD_CONFIG, then ./mmd.toml).")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. control.port=8781; may be repeated.")
    ] = None,
) -> None:
    """What a running daemon does, live: market, our quotes and why they stand there, position, PnL, limits, latency.

    Keys: h halts (it asks first), q leaves. The daemon goes on.

    \b
    Examples:
      mmd top
      mmd top --once
      mmd top --set control.port=8781
      watch -n 5 mmd top --once

    \b
    Exit codes: 0 seen, 4 no daemon answers, 1 refused.
    """
    from rich.console import Console

    from mmd.daemon.control_client import NoDaemon
    from mmd.daemon.settings_sources import SettingsError, load_control_settings
    from mmd.daemon.top import watch

    try:
        settings = load_control_settings(config, overrides=_assigned(assignments))
    except SettingsError as error:
        _fail("the settings are wrong\n  " + "\n  ".join(error.problems), EXIT_ERROR)
    console = Console()
    try:
        if once or not console.is_terminal:
            _print_once(settings, console)
        else:
            watch(settings, console)
    except NoDaemon as error:
        _fail(str(error), EXIT_NO_DAEMON)
    except KeyboardInterrupt:
        return


def _print_once(settings: Any, console: Any) -> None:
    import msgspec

    from mmd.daemon.control_client import ControlClient
    from mmd.daemon.state_document import StateDocument
    from mmd.daemon.top import TopScreen

    reply = ControlClient(settings).state()
    if reply.status != 200:
        _fail(f"refused: {reply.document.get('error', reply.document)}", EXIT_ERROR)
    screen = TopScreen(keys=False)
    screen.show(msgspec.convert(reply.document, StateDocument))
    console.print(screen)


def _assigned(assignments: list[str] | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in assignments or []:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            _fail(f"--set {text!r} is not of the form KEY=VALUE, as control.port=8781", 2)
        values[key.strip()] = value.strip()
    return values


def _fail(text: str, code: int) -> Any:
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(code)
