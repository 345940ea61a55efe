"""`mmd guard`: the process beside the daemon that clears the market when the daemon falls silent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXIT_ERROR = 1
EXIT_ORDERS_LEFT = 3

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with settings: the daemon's own.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be repeated.")]


def guard(config: ConfigOption = None, assignments: SetOption = None) -> None:
    """Watch a daemon's heartbeat; when it is lost, latch the halt and cancel everything of ours until the venue confirms it.

    Give it the daemon's settings (the same state_dir, venue and symbols) and, in every mode but mock, a key of its own
    (guard.api_key). It runs until SIGTERM, and sends no order, ever.

    \b
    Examples:
      mmd guard --config mmd.toml
      MMD_GUARD__API_KEY=... MMD_GUARD__API_SECRET_FILE=/run/secrets/guard mmd guard
      curl -s http://127.0.0.1:8781/state

    \b
    Exit codes: 0 told to end, 1 could not start or failed, 3 told to end before the market was clear of a lost daemon's orders.
    """
    from mmd.daemon.control import ControlError
    from mmd.daemon.guard import guard_until_signal
    from mmd.daemon.logs import configure_logging
    from mmd.daemon.settings_sources import SettingsError, load_settings
    from mmd.daemon.state_lock import StateLockError
    from mmd.exchanges.adapter import AdapterError

    overrides: dict[str, str] = {}
    for text in assignments or ():
        key, separator, value = text.partition("=")
        if not separator:
            _fail(f"--set {text!r} is not of the form KEY=VALUE, as guard.timeout_seconds=5")
        overrides[key.strip()] = value.strip()
    try:
        settings = load_settings(config, overrides=overrides)
        if settings.mode == "paper":
            _fail("paper mode has no order at a venue: there is nothing to guard")
        configure_logging(settings.logging, settings.secrets())
        clear = guard_until_signal(settings)
    except SettingsError as error:
        _fail("the settings are wrong\n  " + "\n  ".join(error.problems))
    except (StateLockError, ControlError, AdapterError, OSError, ValueError) as error:
        _fail(f"the guard cannot start: {error}")
    if not clear:
        typer.echo(
            "mmd: the guard was told to end before the market was clear: orders of ours may be open at the venue. "
            "Start it again, or look there",
            err=True,
        )
        raise typer.Exit(EXIT_ORDERS_LEFT)


def _fail(text: str) -> None:
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(EXIT_ERROR)
