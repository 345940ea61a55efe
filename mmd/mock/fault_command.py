"""`mmd mock fault`: switch faults of a running mock exchange on and off, over its admin endpoint."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Annotated, Any

import typer

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_NO_MOCK = 4

UrlOption = Annotated[str, typer.Option("--url", envvar="MMD_MOCK_URL", help="Base URL of the mock exchange.")]
TokenOption = Annotated[str, typer.Option("--token", envvar="MMD_MOCK_ADMIN_TOKEN", help="Its admin token, if it has one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the endpoint's own JSON.")]
DEFAULT_URL = "http://127.0.0.1:9080"

fault_app = typer.Typer(
    name="fault",
    help="Faults on demand: switch them on and off on a running mock exchange.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@fault_app.command("on")
def switch_on(
    kind: Annotated[str, typer.Argument(help="Which fault; `mmd mock fault kinds` lists them.")],
    parameters: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Its parameters.")] = None,
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = "",
) -> None:
    """Switch a fault on, for every connection unless one is named, and print its number.

    \b
    Examples:
      mmd mock fault on drop_frames probability=0.1 seconds=30
      mmd mock fault on skip_depth_update symbols=BTCUSDT
      mmd mock fault on lose_acknowledgements operations=order.place count=1
      mmd mock fault on cut_connections code=1006 connection=3
      mmd mock fault on freeze seconds=5
      mmd mock fault on restart keep_state=false down_seconds=2

    \b
    Exit codes: 0 it is on, 1 refused, 2 no such fault or parameter, 4 no mock exchange answers.
    """
    from mmd.mock.faults import FaultError, parse_fault

    values: dict[str, Any] = {"kind": kind}
    for text in parameters or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            _fail(f"{text!r} is not of the form NAME=VALUE, as probability=0.1", EXIT_USAGE)
        values[name] = _listed(kind, name, value)
    try:
        fault = parse_fault(values)
    except FaultError as error:
        _fail(str(error), EXIT_USAGE)
    answer = _ask(url, token, "POST", "", fault.model_dump(mode="json", exclude_none=True))
    typer.echo(f"fault {answer['id']}: {_described(answer)}")


@fault_app.command("list")
def list_faults(url: UrlOption = DEFAULT_URL, token: TokenOption = "", json_output: JsonOption = False) -> None:
    """What is on, how often each kind has struck, and the connections by number.

    \b
    Examples:
      mmd mock fault list
      mmd mock fault list --json | jq .injected

    \b
    Exit codes: 0, 1 refused, 4 no mock exchange answers.
    """
    answer = _ask(url, token, "GET", "")
    if json_output:
        typer.echo(json.dumps(answer))
        return
    typer.echo(f"seed {answer['seed']}")
    for line in answer["active"]:
        typer.echo(f"fault {line['id']}: {_described(line)}")
    if not answer["active"]:
        typer.echo("no fault is on")
    for kind, count in answer["injected"].items():
        typer.echo(f"struck: {kind} {count}")
    for line in answer["connections"]:
        spared = ", spared" if line["spared"] else ""
        typer.echo(f"connection {line['id']}: {line['channel']} of {line['peer']}, {line['path'][:80]}{spared}")


@fault_app.command("clear")
def clear(
    which: Annotated[str, typer.Argument(metavar="[NUMBER|KIND]", help="One fault, or all of a kind (default: all).")] = "",
    url: UrlOption = DEFAULT_URL,
    token: TokenOption = "",
) -> None:
    """Switch faults off.

    \b
    Examples:
      mmd mock fault clear
      mmd mock fault clear 3
      mmd mock fault clear drop_frames

    \b
    Exit codes: 0, 1 refused (no such fault is on), 4 no mock exchange answers.
    """
    path = f"/{which}" if which.isdigit() else f"?kind={which}" if which else ""
    cleared = _ask(url, token, "DELETE", path)["cleared"]
    typer.echo(f"cleared: {', '.join(map(str, cleared)) or 'none was on'}")


@fault_app.command("kinds")
def kinds() -> None:
    """Every fault with its parameters.

    \b
    Example:
      mmd mock fault kinds
    """
    from mmd.mock.faults.kinds import KINDS

    for name, fault in KINDS.items():
        typer.echo(f"{name}: {fault.effect}")
        for parameter, field in fault.model_fields.items():
            if parameter != "kind":
                typer.echo(f"    {parameter}: {field.description}")


def _listed(kind: str, name: str, value: str) -> Any:
    """Lists are written with commas."""
    from mmd.mock.faults.kinds import KINDS

    field = KINDS[kind].model_fields.get(name) if kind in KINDS else None
    if field is not None and isinstance(field.get_default(call_default_factory=True), tuple):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _described(line: dict[str, Any]) -> str:
    words = [f"{name}={_text(value)}" for name, value in line.items() if name not in ("id", "kind") and value not in ([], "")]
    return " ".join([line["kind"], *words])


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)


def _ask(url: str, token: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/mock/faults{path}", data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            text = json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            text = f"{error.code} {text[:200]}"
        return _fail(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return _fail(
            f"no mock exchange answers at {url} ({reason}): start one with `mmd mock`, or name it with --url", EXIT_NO_MOCK
        )


def _fail(text: str, code: int = EXIT_ERROR) -> Any:
    typer.echo(f"mmd mock fault: {text}", err=True)
    raise typer.Exit(code)
