"""Commands to a running daemon: `mmd halt`, `flatten`, `resume`, `status`, `models use` and `models challenge`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmd.daemon.command_parts import (
    EXIT_HALTED,
    EXIT_UNCONFIRMED,
    EXIT_USAGE,
    ConfigOption,
    JsonOption,
    SetOption,
    ask,
    fail,
)

if TYPE_CHECKING:
    from mmd.daemon.control_client import ControlClient

HALT_FILE_HINT = "A file named HALT in the daemon's state directory halts it too"

ReasonArgument = Annotated[str, typer.Argument(help="Why; kept in the latch.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="The same as an option.")]


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
    reply = ask(config, assignments, lambda client: client.halt(reason_option or reason, wait_seconds=wait), remedy=HALT_FILE_HINT)
    if reply.status not in (200, 202):
        fail(f"not halted: {reply.document.get('error', reply.document)}")
    document = reply.document
    record = document["record"]
    typer.echo(f"halted by {record['actor']}: {record['reason']}")
    if reply.status == 202:
        typer.echo(f"orders still to be confirmed gone: {document['still_open']}; it goes on cancelling, see `mmd status`")
        raise typer.Exit(EXIT_UNCONFIRMED)
    typer.echo(f"orders that were open: {document['open_orders']}, all confirmed gone")


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
        fail("resume needs a reason: say what was found and mended, as mmd resume --reason 'feed repaired'", EXIT_USAGE)
    reply = ask(config, assignments, lambda client: client.resume(given))
    if reply.status != 200:
        fail(f"not resumed: {reply.document.get('error', reply.document)}")
    typer.echo("resumed")


def status(config: ConfigOption = None, assignments: SetOption = None, json_output: JsonOption = False) -> None:
    """What a running daemon is doing.

    \b
    Examples:
      mmd status
      mmd status --json | jq .trader.pnl

    \b
    Exit codes: 0 not halted, 3 halted, 4 no daemon answers, 1 refused.
    """
    reply = ask(config, assignments, lambda client: client.state())
    if reply.status != 200:
        fail(f"refused: {reply.document.get('error', reply.document)}")
    if json_output:
        import json

        typer.echo(json.dumps(reply.document))
    else:
        from mmd.daemon.status_text import print_status

        print_status(reply.document)
    if reply.document["trader"]["halt"]["halted"]:
        raise typer.Exit(EXIT_HALTED)


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
        fail("say which bundle, or --previous", EXIT_USAGE)
    choice: dict[str, str | bool] = {"rollback": True} if previous else {"use": bundle}
    reply = ask(config, assignments, lambda client: client.choose_networks(**choice))
    if reply.status != 200:
        fail(f"not swapped: {reply.document.get('error', reply.document)}")
    serving = reply.document["current"]
    typer.echo(f"{serving['name']} {serving['version']} serves now (stage {serving['stage']}, {serving['folder']})")


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
    reply = ask(config, assignments, lambda client: client.choose_networks(challenger=bundle))
    if reply.status != 200:
        fail(f"not watched: {reply.document.get('error', reply.document)}")
    watched = reply.document["challenger"]
    typer.echo(f"{watched['name']} {watched['version']} runs in shadow" if watched else "nothing runs in shadow")


def _flatten(reason: str, seconds: float, config: Path | None, assignments: list[str] | None) -> None:
    question: Callable[[ControlClient], Any] = lambda client: client.flatten(reason, seconds=seconds)  # noqa: E731
    reply = ask(config, assignments, question, remedy=HALT_FILE_HINT, timeout_seconds=seconds + 40.0)
    if reply.status not in (200, 202):
        fail(f"not flattened: {reply.document.get('error', reply.document)}")
    left, record = reply.document["left"], reply.document["record"]
    typer.echo(f"halted by {record['actor']}: {record['reason']}")
    for symbol, amount in left.items():
        typer.echo(f"left of {symbol}: {amount:.10g}")
    if reply.status == 202:
        typer.echo(f"not flat: {reply.document['outcome']}; see `mmd status`")
        raise typer.Exit(EXIT_UNCONFIRMED)
    typer.echo("flat, but for what is too small to be traded" if left else "flat")
