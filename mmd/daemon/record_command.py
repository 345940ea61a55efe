"""`mmd record`: a venue's market data into files, with a live line of what arrives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from mmd.exchanges.settings import ExchangeSettings
    from mmd.recording.session import RecordingOutcome
    from mmd.recording.settings import RecordingSettings

EXIT_FAILED = 1
EXIT_USAGE = 2

OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder of the recording; is made, or added to.")]
SymbolsOption = Annotated[str, typer.Option("--symbols", help="Symbols to record, separated by commas.")]
SecondsOption = Annotated[float | None, typer.Option("--seconds", min=0.1, help="Leave after so many seconds (default: run on).")]
ProfileOption = Annotated[
    str, typer.Option("--profile", envvar="MMD_EXCHANGE__PROFILE", help="Which venue: mock, testnet, demo or live.")
]
MarketOption = Annotated[str, typer.Option("--market", help="Which market of it: spot or usdm.")]
RestOption = Annotated[
    str, typer.Option("--rest-url", envvar="MMD_EXCHANGE__REST_URL", help="Base of the REST API (default: the profile's).")
]
StreamOption = Annotated[
    str, typer.Option("--stream-url", envvar="MMD_EXCHANGE__STREAM_URL", help="Base of the streams (default: the profile's).")
]
SegmentSecondsOption = Annotated[float, typer.Option("--segment-seconds", min=0.5, help="Begin a new file after so long.")]
SegmentMegabytesOption = Annotated[float, typer.Option("--segment-mb", min=0.01, help="Begin a new file at this compressed size.")]
MinFreeOption = Annotated[float, typer.Option("--min-free-mb", min=0.0, help="Stop while the disk still has so much room.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")]


def record(
    out: OutOption,
    symbols: SymbolsOption = "BTCUSDT",
    seconds: SecondsOption = None,
    profile: ProfileOption = "mock",
    market: MarketOption = "spot",
    rest_url: RestOption = "",
    stream_url: StreamOption = "",
    segment_seconds: SegmentSecondsOption = 3600.0,
    segment_megabytes: SegmentMegabytesOption = 256.0,
    min_free_megabytes: MinFreeOption = 1000.0,
    json_output: JsonOption = False,
) -> None:
    """Record a venue's market data as it arrives: trades, best prices, diff depth and depth snapshots. Needs no account.

    Each symbol gets files of its own, MARKET__SYMBOL_TIME.gz, one `<receive ns> <frame>` a line; `instruments.json` beside them
    holds tick and lot sizes. `mmd mock --replay`, `mmd import` and `mmd train --data` read them. Ends on SIGTERM, Ctrl-C or
    --seconds with everything on disk; after a crash a file can be read up to the last second.

    \b
    Examples:
      mmd record --out recordings --symbols BTCUSDT,ETHUSDT --seconds 60
      mmd record --profile live --symbols BTCUSDT --out recordings
      mmd record --profile live --market usdm --symbols BTCUSDT,ETHUSDT --out recordings
      mmd record --rest-url http://127.0.0.1:9080 --stream-url ws://127.0.0.1:9080 --out recordings

    \b
    Exit codes: 0 recorded without a hole of our making, 1 could not start, or frames were lost (the text says why), 2 usage.
    """
    from mmd.daemon.logs import configure_logging
    from mmd.daemon.settings import LoggingSettings
    from mmd.recording.session import RecordingFailed, run_recording

    venue, settings = (
        _venue(profile, market, rest_url, stream_url),
        _settings(segment_seconds, segment_megabytes, min_free_megabytes),
    )
    chosen = tuple(dict.fromkeys(part.strip().upper() for part in symbols.split(",") if part.strip()))
    if not chosen:
        _fail("--symbols names no symbol: write them with commas, as BTCUSDT,ETHUSDT", EXIT_USAGE)
    configure_logging(LoggingSettings.model_validate({"level": "warning"}), ())
    try:
        outcome = run_recording(venue, market, chosen, out, settings, seconds)
    except RecordingFailed as error:
        _fail(str(error), EXIT_FAILED)
    _report(outcome, json_output)
    if outcome.problem:
        _fail(outcome.problem, EXIT_FAILED)


def _venue(profile: str, market: str, rest_url: str, stream_url: str) -> ExchangeSettings:
    from pydantic import ValidationError

    from mmd.recording.feed import MARKET_WIRES

    wire = MARKET_WIRES.get(market)
    if wire is None:
        _fail(f"--market {market!r}: expected {' or '.join(MARKET_WIRES)}", EXIT_USAGE)
    urls = {name: url for name, url in (("rest_url", rest_url), ("stream_url", stream_url)) if url}
    try:
        return wire.settings.model_validate({"profile": profile, **urls})
    except ValidationError as error:
        _fail("; ".join(f"--{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()), EXIT_USAGE)


def _settings(segment_seconds: float, segment_megabytes: float, min_free_megabytes: float) -> RecordingSettings:
    from mmd.recording.settings import RecordingSettings

    return RecordingSettings.model_validate(
        {
            "segment_seconds": segment_seconds,
            "segment_bytes": round(segment_megabytes * 1e6),
            "min_free_bytes": round(min_free_megabytes * 1e6),
        }
    )


def _report(outcome: RecordingOutcome, json_output: bool) -> None:
    import msgspec

    if json_output:
        typer.echo(msgspec.json.encode(outcome).decode())
        return
    status = outcome.status
    typer.echo(
        f"{status.frames:,} frames and {status.snapshots} snapshots in {outcome.seconds:.1f} s, {status.segments} files, "
        f"{status.bytes_written / 1e6:.2f} MB in {outcome.folder}"
    )
    notes = {
        "dropped (the disk was too slow)": status.dropped,
        "lost (the disk refused)": status.lost,
        "malformed": status.malformed,
        "reconnects": outcome.reconnects,
    }
    if any(notes.values()):
        typer.echo("  " + ", ".join(f"{count:,} {name}" for name, count in notes.items() if count))


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"mmd record: {message}", err=True)
    raise typer.Exit(code)
