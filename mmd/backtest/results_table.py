"""`python -m mmd.backtest.results_table DATA RUNS.json PAGE.md`: strategies × real data sets × three fees × three latencies.

Limits on loss are lifted, so that a fee moves no order and its cost is the volume's share of it: one run serves all three tiers.
Runs are kept in RUNS.json as they are made; one that is there already is not made again (remove the file to begin anew).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmd.backtest.errors import BacktestError
from mmd.backtest.figures import Terms, figures
from mmd.backtest.options import parse_options
from mmd.backtest.report import encode
from mmd.backtest.runner import Networks, run_backtest
from mmd.backtest.statistics import Calendar
from mmd.backtest.summary import number

STRATEGIES = ("neural", "glft", "avellaneda-stoikov", "fixed")
LATENCIES = ("1ms", "5ms", "20ms")
FEES_BPS = (2.0, 0.0, -0.5)
LIFTED = ("risk.max_daily_loss=1000000", "risk.max_drawdown=1000000", "risk.max_pauses_per_hour=10000")
CAPITAL = 5_000.0


ALWAYS_OPEN = Calendar()


@dataclass(frozen=True)
class DataSet:
    """One of the real markets. `begin` where only its last day is traded."""

    name: str
    files: tuple[str, ...]
    begin: str = ""
    end: str = ""
    calendar: Calendar = ALWAYS_OPEN


DATA_SETS = (
    DataSet("BTCUSDT spot 2023-04-05", ("binance_raw/spot__btcusdt_20230405.dat.gz",)),
    DataSet(
        "BTCUSDT USD-M 2023-04-04/05", ("binance_raw/usdm__btcusdt_20230404.dat.gz", "binance_raw/usdm__btcusdt_20230405.dat.gz")
    ),
    DataSet("BTCUSDT USD-M 2024-07-18/19", ("binance_raw/usdm__btcusdt_20240718.gz", "binance_raw/usdm__btcusdt_20240719.gz")),
    DataSet("ETHUSDT USD-M 2024-07-18/19", ("binance_raw/usdm__ethusdt_20240718.gz", "binance_raw/usdm__ethusdt_20240719.gz")),
    *(
        DataSet(f"{name} 2013-10-09", (f"us_equity/{name}.book.parquet",), "2013-10-09T13:30:00", "", Calendar(252, 6.5))
        for name in ("IBM", "BAC", "AIG")
    ),
    DataSet("XAUUSD 2014-05-08", ("fx/XAUUSD.oanda.book.parquet",), "2014-05-08", "2014-05-09", Calendar(252, 24)),
)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python -m mmd.backtest.results_table DATA RUNS.json PAGE.md\n")
        return 2
    data, kept, page = (Path(argument) for argument in arguments)
    runs: dict[str, Any] = msgspec.json.decode(kept.read_bytes()) if kept.is_file() else {}
    wanted = _wanted()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("runs", total=len(wanted))
        for data_set, strategy, latency in wanted:
            key = f"{data_set.name} | {strategy} | {latency}"
            progress.update(task, description=key)
            if key not in runs:
                runs[key] = one_run(data, data_set, strategy, latency)
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(encode(runs) + b"\n")
                page.write_text(results_page(runs), encoding="utf-8")
            progress.advance(task)
    page.write_text(results_page(runs), encoding="utf-8")
    return 0


def one_run(data: Path, data_set: DataSet, strategy: str, latency: str) -> dict[str, Any]:
    """The figures that the table needs, or why there are none."""
    options = parse_options(
        strategy=strategy, latency=latency, begin=data_set.begin, end=data_set.end, assignments=LIFTED, calibration_share=0.3
    )
    places = [data / name for name in data_set.files]
    missing = [str(place) for place in places if not place.exists()]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not there; set MMD_DATA_DIR to the folder of the real data")
    try:
        run = run_backtest(places, [], options, _networks if strategy == "neural" else None)
    except BacktestError as error:
        return {"error": str(error)}
    found = figures(run.recorder, run.venue.placed, Terms(CAPITAL, data_set.calendar, len(STRATEGIES), 1, 0.0))
    symbol = next(iter(found["symbols"].values()))
    return {
        "pnl": found["pnl"],
        "volume": found["volume"],
        "fills": found["fills"],
        "interval": found["pnl_per_volume_bps_interval"],
        "markout_1s": found["markouts_bps"]["1s"],
        "unexplained_share": found["split"]["unexplained_share"],
        "quote_uptime": symbol["quote_uptime"],
        "seconds": found["seconds"],
        "halt": None if run.halt is None else run.halt.reason,
        "events_a_cpu_second": run.events / run.seconds if run.seconds else None,
        "trades_in_data": all(source.has_trades for source in run.sources),
    }


def _networks(symbols: Sequence[str]) -> Networks:
    from mmd.daemon.bundles import DEFAULT_BUNDLE, load_networks

    return load_networks(DEFAULT_BUNDLE, symbols, "auto")


def results_page(runs: dict[str, Any]) -> str:
    """The page, losing rows and failed ones with the others."""
    lines = [
        "# Results on real data",
        "",
        "Made by `make results`; the runs are in `docs/evidence/results.json`. PnL per volume in bps, at a maker's fee of 2",
        "bps, none, and a rebate of 0.5 bps. The 95 % block-bootstrap interval is that without fees, and shifts with them.",
        "Queue position: risk-averse. Latency is that of feed, order entry and response each. The first 30 % of each period",
        "calibrate GLFT and Avellaneda-Stoikov; nobody trades in them. Limits on loss are lifted; sizes and position limits",
        "are the defaults. No strategy was tuned on these periods. Of stocks and gold the last day is traded. Gold has no",
        "trades: there an order is filled only when the other side's best price reaches it. Of what such numbers cannot",
        "tell, [another page](explanation/what-a-backtest-cannot-tell.md).",
        "",
    ]
    for data_set in DATA_SETS:
        rows = [(key, run) for key, run in runs.items() if key.startswith(f"{data_set.name} | ")]
        if not rows:
            continue
        lines += [
            f"## {data_set.name}",
            "",
            "| strategy | latency | fills | 2 bps | 0 | -0.5 bps | 0, interval | markout 1 s, bps | quoted | unexplained |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for key, run in rows:
            _, strategy, latency = key.split(" | ")
            lines.append(_row(strategy, latency, run))
        lines.append("")
    missing = sum(f"{each.name} | {strategy} | {latency}" not in runs for each, strategy, latency in _wanted())
    if missing:
        lines += [f"{missing} of {len(_wanted())} runs have not been made: `make results` goes on with them.", ""]
    return "\n".join(lines)


def _wanted() -> list[tuple[DataSet, str, str]]:
    return [(each, strategy, latency) for each in DATA_SETS for strategy in STRATEGIES for latency in LATENCIES]


def _row(strategy: str, latency: str, run: dict[str, Any]) -> str:
    if "error" in run:
        return f"| {strategy} | {latency} | {run['error']} | | | | | | | |"
    per_volume = [run["pnl"] / run["volume"] * 1e4 - fee if run["volume"] else None for fee in FEES_BPS]
    interval, markout = run["interval"], run["markout_1s"]
    cells = [
        strategy + (f" (halted: {run['halt']})" if run["halt"] else ""),
        latency,
        str(run["fills"]),
        *[number(value) for value in per_volume],
        _interval(interval),
        f"{number(markout['mean'])} {_interval(markout)}",
        f"{100 * run['quote_uptime']:.0f} %" if run["quote_uptime"] is not None else "-",
        f"{100 * run['unexplained_share']:.2f} %",
    ]
    return f"| {' | '.join(cells)} |"


def _interval(interval: dict[str, Any]) -> str:
    return "" if interval["low"] is None else f"[{number(interval['low'])}, {number(interval['high'])}]"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
