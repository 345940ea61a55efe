"""Ten symbols quoted at once by one daemon on the mock exchange: ticks, quotes, fills, CPU, memory, loop lag, what is left open.

    python -m bench.ten_symbols --seconds 300 --out docs/evidence/ten-symbols.md

Two processes, as in `mmd demo`: the exchange with ten simulated markets, and `mmd run` with a network for each symbol.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from mmd.daemon.mock_child import MockChild

SYMBOLS = (
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT", "LINKUSDT", "AVAXUSDT",
)  # fmt: skip
LIMITS = {"risk.max_open_orders": 40, "risk.max_orders_per_10s": 80, "risk.max_gross_exposure_notional": 20_000}
"""Of an account that quotes ten symbols: two orders a symbol, twice that while they are replaced; the venue allows 100 in 10 s."""
POLL_SECONDS = 1.0


def ask(url: str) -> str:
    """One GET of the control port."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def metric(text: str, name: str, *labels: str) -> float:
    """The sum of a metric's samples that bear all these labels."""
    lines = (line for line in text.splitlines() if line.startswith(name) and all(label in line for label in labels))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def quantile(text: str, name: str, share: float) -> float:
    """Upper bound of the bucket in which a quantile of a histogram lies, ms."""
    buckets = [line for line in text.splitlines() if line.startswith(f"{name}_bucket")]
    counts = [
        (float(line.split('le="')[1].split('"')[0].replace("+Inf", "inf")), float(line.rsplit(" ", 1)[1])) for line in buckets
    ]
    total = counts[-1][1] if counts else 0.0
    return next((bound * 1e3 for bound, count in counts if count >= share * total), float("nan"))


def run(symbols: tuple[str, ...], seconds: float, folder: Path, *, as_seen: bool = False) -> dict[str, Any]:
    """One session: the daemon's summary, and what was seen of it once a second. `as_seen`: it ends once every symbol has quoted."""
    arguments = ["--symbols", ",".join(symbols), "--seed", "5"]
    port = free_port()
    with MockChild(arguments, log_file=folder / "mock.log", timeout_seconds=60) as child:
        settings: dict[str, Any] = {
            "symbols": ",".join(symbols),
            "state_dir": folder / "state",
            "control.port": port,
            "exchange.api_key": "K1",
            "exchange.api_secret": "S1",
            **{f"exchange.{name}_url": child.urls[name] for name in ("rest", "stream", "websocket_api")},
            **LIMITS,
        }
        assigned = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        command = [sys.executable, "-m", "mmd.cli", "run", "--json", "--seconds", str(seconds), *assigned]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MMD_")}
        with (folder / "errors.log").open("wb") as errors:
            daemon = subprocess.Popen(command, cwd=Path.cwd(), env=environment, stdout=subprocess.PIPE, stderr=errors)
        seen = watch(daemon, f"http://127.0.0.1:{port}", folder, len(symbols) if as_seen else 0)
        output, _ = daemon.communicate(timeout=60)
    if daemon.returncode not in (0, 3) or not output:
        raise RuntimeError(f"the daemon ended with {daemon.returncode}: {(folder / 'errors.log').read_text()[-2000:]}")
    return {"summary": json.loads(output), **seen, "exit_code": daemon.returncode}


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def first_metrics(url: str, daemon: subprocess.Popen[bytes], folder: Path) -> str:
    """Once the control port answers."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and daemon.poll() is None:
        try:
            return ask(f"{url}/metrics")
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the daemon did not start: {(folder / 'errors.log').read_text()[-2000:]}")


def watch(daemon: subprocess.Popen[bytes], url: str, folder: Path, enough: int) -> dict[str, Any]:
    """Memory, CPU, both sides of each symbol once a second, until the daemon leaves or `enough` of them have quoted (0: never)."""
    resident, two_sided, one_sided, polls, text, state, cpu = [], {}, {}, 0, "", {}, 0.0
    first_cpu = metric(first_metrics(url, daemon, folder), "mmd_cpu_seconds_total")
    begun = time.monotonic()
    while daemon.poll() is None:
        time.sleep(POLL_SECONDS)
        try:
            text, state = ask(f"{url}/metrics"), json.loads(ask(f"{url}/state"))
        except OSError:
            continue
        polls += 1
        resident.append(metric(text, "mmd_resident_memory_bytes"))
        cpu = (metric(text, "mmd_cpu_seconds_total") - first_cpu) / (time.monotonic() - begun)
        sides = {(order["symbol"], order["side"]) for order in state["trader"]["open_orders"]}
        for symbol in {symbol for symbol, _ in sides}:
            one_sided[symbol] = one_sided.get(symbol, 0) + 1
            two_sided[symbol] = two_sided.get(symbol, 0) + ((symbol, "BUY") in sides and (symbol, "SELL") in sides)
        ready = [line for line in state["trader"]["symbols"] if line["quotes"] and line["steps"] and line["predictions"]]
        if enough and len(ready) == len(one_sided) == enough:
            daemon.terminate()
            daemon.wait(60)
    symbols = {line["symbol"]: line for line in state["trader"]["symbols"]}
    return {
        "cpu": cpu,
        "resident_first": resident[min(5, len(resident) - 1)],
        "resident_last": resident[-1],
        "two_sided": {symbol: two_sided.get(symbol, 0) / max(polls, 1) for symbol in symbols},
        "one_sided": {symbol: one_sided.get(symbol, 0) / max(polls, 1) for symbol in symbols},
        "symbols": symbols,
        "loop_lag_p99_ms": quantile(text, "mmd_loop_lag_seconds", 0.99),
        "loop_lag_p50_ms": quantile(text, "mmd_loop_lag_seconds", 0.5),
    }


def table(result: dict[str, Any], seconds: float) -> str:
    """As Markdown."""
    summary = result["summary"]
    lines = ["| symbol | ticks | steps | quotes | fills | both sides / one stood | position |", "|---|---|---|---|---|---|---|"]
    for symbol, line in result["symbols"].items():
        stood = f"{result['two_sided'][symbol]:.0%} / {result['one_sided'][symbol]:.0%}"
        counts = " | ".join(f"{line[name]:,}" for name in ("ticks", "steps", "quotes", "fills"))
        lines.append(f"| {symbol} | {counts} | {stood} | {line['position']:g} |")
    load = os.getloadavg()[1]
    facts = {
        "ticks": f"{summary['ticks']:,} ({summary['ticks'] / seconds:,.0f}/s)",
        "quotes made": f"{summary['quotes']:,}",
        "orders sent": f"{summary['orders_sent']:,} ({10 * summary['orders_sent'] / seconds:.1f} in 10 s)",
        "fills": f"{summary['fills']:,}",
        "CPU of the daemon": f"{result['cpu']:.0%} of one core",
        "memory (RSS) after 5 s / at the end": f"{result['resident_first'] / 1e6:.0f} / {result['resident_last'] / 1e6:.0f} MB",
        "event loop lag, p50 / p99 at most": f"{result['loop_lag_p50_ms']:g} / {result['loop_lag_p99_ms']:g} ms",
        "tick to quote, p50 / p99": f"{summary['tick_to_quote_us']['p50']:.0f} / {summary['tick_to_quote_us']['p99']:.0f} µs",
        "denied by risk": ", ".join(f"{count} {reason}" for reason, count in summary["risk_denials"].items()) or "none",
        "refused by the venue": ", ".join(f"{count} × {code}" for code, count in summary["rejections"].items()) or "none",
        "sequence gaps, resyncs": f"{summary['sequence_gaps']}, {summary['resyncs']}",
        "halted": summary["halt_reason"] or "no",
        "open orders at exit, as the venue says": f"{summary['open_orders_at_exit']}",
        "load of the machine (5 min, 2 cores, the exchange included)": f"{load:.1f}",
    }
    return "\n".join([*lines, "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())]) + "\n"


def page(result: dict[str, Any], seconds: float) -> str:
    """The evidence: the table with what it was made by."""
    head = f"# {len(result['symbols'])} symbols, one daemon, {seconds:g} s\n\nMade by `python -m bench.ten_symbols`; "
    return head + "limits: " + ", ".join(f"`{name}={value}`" for name, value in LIMITS.items()) + ".\n\n" + table(result, seconds)


def main() -> int:
    """Print the table, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--symbols", default=",".join(SYMBOLS))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    symbols = tuple(arguments.symbols.split(","))
    with tempfile.TemporaryDirectory() as folder:
        result = run(symbols, arguments.seconds, Path(folder))
    if arguments.out is None:
        print(table(result, arguments.seconds))
    else:
        arguments.out.write_text(page(result, arguments.seconds))
    return 0 if result["exit_code"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
