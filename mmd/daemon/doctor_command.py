"""`mmd doctor`: each line says what is well and what is not, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmd.daemon.doctor import Finding

EXIT_FAILED = 1
EXIT_WARNINGS = 6

ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with settings, as for mmd run.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting; may be repeated.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Warnings too make the exit code other than 0.")]


def doctor(
    config: ConfigOption = None, assignments: SetOption = None, json_output: JsonOption = False, strict: StrictOption = False
) -> None:
    """Look whether mmd can trade here: settings, keys, clock, latency, filters, balances, fees, disk, latch, runtime, bundle.

    Changes nothing and sends no order. Reads the settings that `mmd run` would read.

    \b
    Examples:
      mmd doctor
      mmd doctor --config mmd.toml --json
      mmd doctor --set symbols=BTCUSDT,ETHUSDT

    \b
    Exit codes: 0 nothing fails, 1 something fails, 6 with --strict: something is only warned of.
    """
    findings = _findings(config, assignments)
    failed = [each for each in findings if each.status == "fail"]
    warned = [each for each in findings if each.status == "warn"]
    if json_output:
        import msgspec

        status = "fail" if failed else "warn" if warned else "ok"
        typer.echo(msgspec.json.encode({"status": status, "findings": findings}).decode())
    else:
        _print(findings)
    if failed:
        raise typer.Exit(EXIT_FAILED)
    if warned and strict:
        raise typer.Exit(EXIT_WARNINGS)


def _findings(config: Path | None, assignments: list[str] | None) -> list[Finding]:
    import asyncio

    from mmd.daemon.doctor import Finding, local_findings
    from mmd.daemon.doctor_venue import venue_findings
    from mmd.daemon.logs import configure_logging
    from mmd.daemon.settings import LoggingSettings
    from mmd.daemon.settings_sources import SettingsError, load_settings

    overrides = {}
    for text in assignments or ():
        key, separator, value = text.partition("=")
        if not separator:
            return [Finding("settings", "fail", f"--set {text!r} is not of the form KEY=VALUE", "as risk.max_daily_loss=50")]
        overrides[key.strip()] = value.strip()
    try:
        settings = load_settings(config, overrides=overrides)
    except SettingsError as error:
        return [Finding("settings", "fail", problem, "mend it where the line says") for problem in error.problems]
    configure_logging(LoggingSettings.model_validate({"level": "error"}), settings.secrets())

    async def ask() -> list[Finding]:
        return [finding async for finding in venue_findings(settings)]

    return [*local_findings(settings), *asyncio.run(ask())]


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    console = Console(soft_wrap=True)
    for each in findings:
        line = Text.assemble((f"{each.status:<5}", styles[each.status]), (f"{each.check:<13}", "bold"), each.detail)
        console.print(line)
        if each.remedy:
            console.print(Text(f"{'':<18}→ {each.remedy}", "dim"))
    counts = {status: sum(each.status == status for each in findings) for status in styles}
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()), highlight=False)
