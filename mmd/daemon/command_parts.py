"""What commands share: options, exit codes, how an error is told, and a question to a running daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.daemon.control_client import ControlClient

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_HALTED = 3
EXIT_NO_DAEMON = 4
EXIT_UNCONFIRMED = 5

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings (default: MMD_CONFIG, then ./mmd.toml).")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. risk.max_daily_loss=50; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output instead of text.")]


def fail(text: str, code: int = EXIT_ERROR) -> NoReturn:
    """One clear line on standard error, and the exit code."""
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(code)


def assigned(assignments: list[str] | None) -> dict[str, str]:
    """What `--set` gave, by key. Exits where it is not of the form KEY=VALUE."""
    values: dict[str, str] = {}
    for text in assignments or []:
        key, separator, value = text.partition("=")
        if not separator or not key.strip():
            fail(f"--set {text!r} is not of the form KEY=VALUE, as risk.max_daily_loss=50", EXIT_USAGE)
        values[key.strip()] = value.strip()
    return values


def settings_or_exit(load: Callable[[], Any]) -> Any:
    """What `load` gives; settings that are wrong are told line by line."""
    from mmd.daemon.settings_sources import SettingsError

    try:
        return load()
    except SettingsError as error:
        return fail("the settings are wrong\n  " + "\n  ".join(error.problems))


def ask(
    config: Path | None,
    assignments: list[str] | None,
    question: Callable[[ControlClient], Any],
    remedy: str = "",
    timeout_seconds: float = 40.0,
) -> Any:
    """The reply of a running daemon. Exits where none answers, adding `remedy`."""
    from mmd.daemon.control_client import ControlClient, NoDaemon
    from mmd.daemon.settings_sources import load_control_settings

    settings = settings_or_exit(lambda: load_control_settings(config, overrides=assigned(assignments)))
    try:
        return question(ControlClient(settings, timeout_seconds=timeout_seconds))
    except NoDaemon as error:
        return fail(f"{error} {remedy}".strip(), EXIT_NO_DAEMON)
