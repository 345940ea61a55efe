"""`mmd mock`: the mock exchange as a command."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from mmd.mock.fault_command import fault_app

_REPLAY_SEND_BUFFER = 64 * 1024 * 1024

mock_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
mock_app.add_typer(fault_app)


@mock_app.callback()
def mock(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="TCP port; 0 takes a free one.")] = 9080,
    symbols: Annotated[
        str, typer.Option("--symbols", help="Symbols served, separated by commas: any base asset with a usual quote asset.")
    ] = "BTCUSDT,ETHUSDT",
    accounts: Annotated[
        list[str] | None,
        typer.Option("--account", metavar="KEY:SECRET", help="HMAC key of an account; may be repeated (default: K1:S1 and K2:S2)."),
    ] = None,
    ed25519: Annotated[
        list[str] | None,
        typer.Option("--ed25519", metavar="KEY:PEM", help="Ed25519 key: file or text of the public key in PEM; may be repeated."),
    ] = None,
    rsa: Annotated[
        list[str] | None,
        typer.Option("--rsa", metavar="KEY:PEM", help="RSA key: file or text of the public key in PEM; may be repeated."),
    ] = None,
    key_accounts: Annotated[
        list[str] | None,
        typer.Option("--key-account", metavar="KEY:ACCOUNT", help="Let a key open another key's account; may be repeated."),
    ] = None,
    balances: Annotated[
        list[str] | None,
        typer.Option("--balance", metavar="ASSET=AMOUNT", help="What every new account holds; may be repeated (default: plenty)."),
    ] = None,
    fees: Annotated[
        str, typer.Option("--fees", metavar="MAKER,TAKER", help="Fees as fractions, or with bps behind; below zero a rebate.")
    ] = "0,0.0005",
    rate_limits: Annotated[
        str,
        typer.Option("--rate-limits", metavar="PRESET|NAME=N,…", help="default, strict, off, or single limits by their names."),
    ] = "default",
    min_spread_ticks: Annotated[
        int, typer.Option("--min-spread-ticks", min=1, help="Least spread of the simulated participants, in ticks.")
    ] = 1,
    informed: Annotated[
        str, typer.Option("--informed", help="Simulated traders who know what comes: none, usual or strong.")
    ] = "usual",
    no_market: Annotated[bool, typer.Option("--no-market", help="No simulated participants: only the accounts trade.")] = False,
    futures: Annotated[
        bool, typer.Option("--futures", help="Serve USD-M perpetuals of the same symbols too (/fapi, /fstream, /ws-fapi/v1).")
    ] = False,
    funding_interval: Annotated[
        float, typer.Option("--funding-interval", min=0.1, help="Seconds of market time between two funding payments.")
    ] = 28_800.0,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated market.")] = 1,
    speed: Annotated[float, typer.Option("--speed", min=0.01, help="Market time per wall time.")] = 1.0,
    tls: Annotated[
        bool, typer.Option("--tls", help="HTTPS and WSS; signs a certificate of its own, kept in the state directory.")
    ] = False,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate in PEM to use instead (implies --tls).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key in PEM.")] = None,
    legacy_listen_keys: Annotated[
        bool, typer.Option("--legacy-listen-keys", help="Serve listen keys too, for clients from before they were given up.")
    ] = False,
    state_dir: Annotated[Path | None, typer.Option("--state", "--state-dir", help="Keep accounts and orders here.")] = None,
    replay: Annotated[
        str,
        typer.Option("--replay", metavar="FILE[,FILE…]", help="Recorded Binance frames to play as the market; symbols are theirs."),
    ] = "",
    scenario: Annotated[
        Path | None, typer.Option("--scenario", metavar="FILE.toml", help="Which faults begin when (see `mmd mock fault kinds`).")
    ] = None,
    admin_token: Annotated[
        str | None,
        typer.Option(
            "--admin-token",
            envvar="MMD_MOCK_ADMIN_TOKEN",
            help="Opens the admin endpoint to others than loopback.",
            show_default=False,
        ),
    ] = None,
    exit_with_stdin: Annotated[bool, typer.Option("--exit-with-stdin", help="End when standard input closes.")] = False,
) -> None:
    """A mock exchange that speaks Binance's REST API and websockets, Spot and USD-M futures, with a simulated market on each.

    Once it can be used it prints one line with its URLs.

    \b
    Examples:
      mmd mock
      mmd mock --port 9080 --account mykey:mysecret --speed 5
      mmd mock --symbols BTCUSDT,SOLUSDT,DOGEUSDT --fees -0.5bps,5bps --min-spread-ticks 3
      mmd mock --ed25519 E1:public.pem --key-account E1:K1
      mmd mock --tls --state ./exchange
      mmd mock --futures --funding-interval 60
      mmd mock --rate-limits strict,orders_per_10_seconds=10
      mmd mock --replay usdm__btcusdt_20240718.gz,usdm__ethusdt_20240718.gz --speed 10
      mmd mock --scenario outage.toml
      mmd mock fault on freeze seconds=5
    """
    if context.invoked_subcommand is not None:
        return
    from pydantic import ValidationError

    from mmd.daemon.logs import configure_logging
    from mmd.daemon.settings import LoggingSettings
    from mmd.mock.server import MockConfig, arguments, run_mock

    values: dict[str, Any] = {
        "host": host,
        "port": port,
        "seed": seed,
        "speed": speed,
        "state_dir": state_dir,
        "legacy_listen_keys": legacy_listen_keys,
        "min_spread_ticks": min_spread_ticks,
        "informed": informed,
        "tls": tls or tls_certificate is not None or tls_key is not None,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "symbols": tuple(part.strip() for part in symbols.split(",") if part.strip()),
        "market": "none" if no_market else "simulated",
        "scenario": scenario,
        "admin_token": admin_token,
    }
    if replay:
        # The frames of a recording come as fast as it is played; a reader may lag for a moment without being dropped.
        values |= {"replay": tuple(Path(part.strip()) for part in replay.split(",") if part.strip())}
        values |= {"max_send_buffer": _REPLAY_SEND_BUFFER}
    if accounts:
        values["accounts"] = accounts
    if futures:
        values["futures"] = {"enabled": True, "symbols": values["symbols"], "funding_interval": funding_interval}
    try:
        keys = [arguments.public_key(text, "Ed25519") for text in ed25519 or ()]
        keys += [arguments.public_key(text, "RSA") for text in rsa or ()]
        values["public_keys"] = dict(keys)
        values["key_accounts"] = arguments.pairs(key_accounts or (), "key account", ":")
        values["maker_fee"], values["taker_fee"] = arguments.fees(fees)
        values["rate_limits"] = arguments.rate_limits(rate_limits)
        if balances:
            values["balances"] = arguments.pairs(balances, "balance", "=")
        config = MockConfig.model_validate(values)
    except ValidationError as error:
        _fail("\n".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()))
    except ValueError as error:
        _fail(str(error))
    configure_logging(LoggingSettings(level="info" if replay else "warning"), config.accounts.values())
    if exit_with_stdin:
        _terminate_when_stdin_closes()
    try:
        run_mock(config)
    except (OSError, ValueError) as error:
        _fail(str(error))


def _fail(text: str) -> Any:
    typer.echo(f"mmd: {text}", err=True)
    raise typer.Exit(1)


def _terminate_when_stdin_closes() -> None:
    descriptor = sys.stdin.fileno()

    def wait() -> None:
        # Not through sys.stdin: a thread that holds its lock when the interpreter ends is a fatal error.
        while os.read(descriptor, 4096):
            continue
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="stdin watch", daemon=True).start()
