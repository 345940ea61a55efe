"""`mmd bench`: one run, all figures, as a table or as one JSON object."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmd import CORE
from mmd.inference.shipped import DEFAULT_BUNDLE

if TYPE_CHECKING:
    from mmd.inference.bundle import Bundle

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output instead of a table.")]
QuickOption = Annotated[bool, typer.Option("--quick", help="A tenth of the rounds: shows that it works, not how fast it is.")]
WriteOption = Annotated[Path | None, typer.Option("--write", help="Also write the JSON object to this file.")]
BundleOption = Annotated[Path, typer.Option("--bundle", help="Folder of the bundle whose network is timed.")]


def bench(
    json_output: JsonOption = False,
    quick: QuickOption = False,
    write: WriteOption = None,
    bundle: BundleOption = DEFAULT_BUNDLE,
) -> None:
    """Time a tick: per stage and whole, hot and at 1,000 ticks a second over real sockets.

    Beside it, in the same run, two references: a bare websocket echo on the same stack, and features by pandas with Keras'
    `model.predict` (where TensorFlow is installed). Read the ratios: the times are this machine's, and vary with what else it does.

    \b
    Examples:
      mmd bench
      mmd bench --json > bench.json
      mmd bench --write docs/evidence/bench.json
    """
    import msgspec

    from mmd.inference.errors import BundleError, RuntimeUnavailable

    try:
        figures = run(bundle, quick)
    except (BundleError, RuntimeUnavailable) as error:
        typer.echo(f"mmd bench: {error}", err=True)
        raise typer.Exit(1) from error
    if write is not None:
        write.write_bytes(msgspec.json.encode(figures) + b"\n")
    if json_output:
        typer.echo(msgspec.json.encode(figures).decode())
    else:
        _print_table(figures)


def run(folder: Path, quick: bool) -> dict[str, Any]:
    """Every figure by its key; times in microseconds as p50, p99, p999 and n."""
    from mmd.benchmark import article, hot, live
    from mmd.benchmark.frames import simulated_frames
    from mmd.daemon.bundles import load_networks

    load_before = os.getloadavg()
    say = _progress()
    bundle: Bundle = load_networks(folder, (), "auto")[0]
    say("starting the daemon's parts in a fresh process")
    start_seconds = _start_seconds(folder)
    share = 0.1 if quick else 1.0
    say("drawing frames from the simulated market")
    frames = simulated_frames(60 if quick else 300)
    say("hot: network, features, whole way")
    inference_us = hot.inference(bundle, round(20_000 * share))
    networks_us = hot.networks(bundle, round(20_000 * share))
    features_us, features_alone_us = hot.features(frames)
    whole = hot.tick_to_quote(frames, bundle, laps=False)
    staged = hot.tick_to_quote(frames, bundle, laps=True)
    without = hot.tick_to_quote(frames, None, laps=False)
    say("over sockets, 1,000 ticks a second, and a flood")
    sockets = live.measure(bundle, round(5_000 * share), 1_000.0, round(50_000 * share))
    sleeping, polling = sockets.sleeping, sockets.polling
    usual = None
    if article.available():
        say("the usual way: pandas and model.predict")
        usual = article.measure(5 if quick else 30)
    return {
        "core": CORE.name,
        "core_detail": CORE.detail.replace(f"{Path.cwd()}{os.sep}", ""),
        "inference_us": inference_us,
        "networks_us": networks_us,
        "features_us": features_us,
        "features_alone_us": features_alone_us,
        "hot_tick_to_quote_us": whole.whole,
        "hot_tick_to_order_us": whole.ordering,
        "hot_without_inference_us": without.whole,
        "stage_us": staged.stages,
        "hot_without_inference_to_order_us": without.ordering,
        "live_tick_to_quote_us": sleeping.tick_to_quote,
        "wire_to_wire_us": sleeping.wire_to_wire,
        "echo_us": sleeping.echo,
        "ratio_to_echo": _ratio(sleeping.wire_to_wire.p50, sleeping.echo.p50),
        "polling_tick_to_quote_us": polling.tick_to_quote,
        "polling_wire_to_wire_us": polling.wire_to_wire,
        "polling_echo_us": polling.echo,
        "polling_ratio_to_echo": _ratio(polling.wire_to_wire.p50, polling.echo.p50),
        "ticks_unanswered": sleeping.unanswered + polling.unanswered,
        "article_us": usual,
        "ratio_to_article": None if usual is None else _ratio(usual.p50, whole.whole.p50),
        "messages_per_second": round(sockets.messages_per_second),
        "machine": _machine(),
        "python": platform.python_version(),
        "load_average": load_before,
        "rss_mb": round(_resident_mb(), 1),
        "start_seconds": start_seconds,
    }


def _ratio(above: float, below: float) -> float | None:
    return round(above / below, 3) if below else None


def _progress() -> Any:
    from rich.console import Console

    console = Console(stderr=True)
    return lambda text: console.print(f"[dim]{text} ...[/dim]")


def _start_seconds(folder: Path) -> float:
    code = (
        "from pathlib import Path; import mmd.daemon.process, mmd.exchanges.binance.adapter; "
        f"from mmd.daemon.bundles import load_networks; load_networks(Path({str(folder)!r}), ('BTCUSDT',), 'auto')"
    )
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return round(time.perf_counter() - begin, 3)


def _machine() -> str:
    described = Path("/proc/cpuinfo")
    for line in described.read_text().splitlines() if described.is_file() else ():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def _resident_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _print_table(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from mmd.daemon.latency import Percentiles

    table = Table(title="a tick, in microseconds")
    for heading in ("", "p50", "p99", "p99.9", "n"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {**figures, **{f"stage {name}": value for name, value in figures["stage_us"].items()}}
    for name, value in rows.items():
        if isinstance(value, Percentiles):
            table.add_row(name, f"{value.p50:.1f}", f"{value.p99:.1f}", f"{value.p999:.1f}", str(value.n))
    console = Console()
    console.print(table)
    for name, value in figures.items():
        if not isinstance(value, Percentiles) and name != "stage_us":
            console.print(f"{name}: {value}")
