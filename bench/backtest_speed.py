"""Events a second of both speeds of a backtest, of making the fast one's cache, and of hftbacktest's bare loop on the same events.

`python bench/backtest_speed.py RECORDING OUT.md [OUT.json]`. CPU seconds of one thread, the best of three rounds taken in turn, so
that the ratios are of one run; absolute numbers are those of whatever machine this was. The exact speed runs in a process for each
core that is at hand, pure and compiled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

ROUNDS = 3
STRATEGIES = ("fixed", "glft", "avellaneda-stoikov")
NEURAL = "neural"
BARE_STEP_NS = 100_000_000
EXACT = "--exact"
"""Asks a process of our own for one round of the exact speed, as a line of JSON."""


def main(arguments: list[str]) -> int:
    if len(arguments) == 2 and arguments[0] == EXACT:
        sys.stdout.write(json.dumps(exact_round(Path(arguments[1]))) + "\n")
        return 0
    if len(arguments) not in (2, 3):
        sys.stderr.write("usage: python bench/backtest_speed.py RECORDING OUT.md [OUT.json]\n")
        return 2
    from mmd.backtest.fast import market_pass
    from mmd.backtest.fast.entry import entry
    from mmd.backtest.runner import run_backtest

    assert entry.address, "compiled, or found where compiled code is kept, before the cache is moved"
    place, cores = Path(arguments[0]), cores_at_hand()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMD_CACHE_DIR"] = folder
        best: dict[str, float] = {}
        events = 0

        def took(name: str, seconds: float) -> None:
            best[name] = min(best.get(name, seconds), seconds)

        for _ in range(ROUNDS):
            market_pass.forget()
            for path in Path(folder).glob("columns/*"):
                path.unlink()
            traded: dict[str, str] = {}
            for strategy in (*STRATEGIES, NEURAL):
                options = replace(options_of(strategy), speed="fast")
                before = run_backtest([place], [], options, networks_of(strategy))
                fast = run_backtest([place], [], options, networks_of(strategy))
                events, traded[strategy] = fast.events, fills(fast)
                took(f"fast, {strategy}", fast.seconds)
                cache_seconds = before.cache.seconds if before.cache else 0.0
                if strategy == STRATEGIES[0]:
                    took("making the cache (once a market)", cache_seconds)
                    took("hftbacktest's bare loop", bare_loop(fast.markets[0]))
                elif strategy == NEURAL:
                    took(
                        "making the cache of the networks (once a market and bundle)", before.cache.seconds if before.cache else 0.0
                    )
            for core in cores:
                for strategy, (seconds, exact_fills) in exact_in_process(place, core).items():
                    if exact_fills != traded[strategy]:
                        raise SystemExit(f"{strategy}: the two speeds differ, the exact one on the {core} core")
                    took(f"exact, {strategy}, {core} core", seconds)
    table = rows(best, events)
    Path(arguments[1]).write_text(page(table, place.name, events), encoding="utf-8")
    if len(arguments) == 3:
        Path(arguments[2]).write_text(json.dumps({"data": place.name, "events": events, "rows": table}, indent=2) + "\n")
    return 0


def options_of(strategy: str) -> Any:
    from mmd.backtest.options import parse_options

    return parse_options(strategy=strategy) if strategy == NEURAL else parse_options(strategy=strategy, calibrated=False)


def networks_of(strategy: str) -> Any:
    from mmd.daemon.bundles import load_networks
    from mmd.inference.shipped import DEFAULT_BUNDLE

    return (lambda names: load_networks(DEFAULT_BUNDLE, names, "auto")) if strategy == NEURAL else None


def cores_at_hand() -> list[str]:
    from mmd.compiled import build_folder, judge

    return ["pure", "compiled"] if judge(build_folder())[1] is not None else ["pure"]


def exact_round(place: Path) -> dict[str, Any]:
    from mmd.backtest.runner import run_backtest

    made = {}
    for strategy in (*STRATEGIES, NEURAL):
        exact = run_backtest([place], [], options_of(strategy), networks_of(strategy))
        made[strategy] = exact.seconds, fills(exact)
    return made


def exact_in_process(place: Path, core: str) -> dict[str, tuple[float, str]]:
    command = [sys.executable, __file__, EXACT, str(place)]
    done = subprocess.run(command, env={**os.environ, "MMD_CORE": core}, stdout=subprocess.PIPE, check=True)
    return {strategy: (seconds, hashed) for strategy, (seconds, hashed) in json.loads(done.stdout).items()}


def fills(run: Any) -> str:
    """Hash of every fill."""
    return sha256(repr([track.fills for track in run.recorder.tracks.values()]).encode()).hexdigest()


def bare_loop(market: Any) -> float:
    """CPU seconds in which hftbacktest passes over the same events without anybody trading."""
    from mmd.backtest.fast.compiling import calling_library
    from mmd.backtest.matching import Matcher, OrderLatency

    global _loop
    if _loop is None:
        _loop = calling_library(_pass_over)
    matcher = Matcher([market.events], [OrderLatency(1_000_000, 1_000_000)], "risk-averse")
    exchange = matcher.compiled_interface()
    _loop(exchange, 0)
    started = time.thread_time()
    _loop(exchange, BARE_STEP_NS)
    seconds = time.thread_time() - started
    matcher.close()
    return seconds


_loop: Any = None


def _pass_over(exchange: Any, step_ns: int) -> None:
    if step_ns:
        while exchange.elapse(step_ns) == 0:
            pass


def rows(best: dict[str, float], events: int) -> list[dict[str, Any]]:
    bare = best["hftbacktest's bare loop"]
    return [
        {"what": name, "events_a_second": round(events / seconds), "of_the_bare_loop": round(bare / seconds, 4)}
        for name, seconds in sorted(best.items(), key=lambda item: item[1])
    ]


def page(table: list[dict[str, Any]], data: str, events: int) -> str:
    lines = [
        "# Speed of backtests",
        "",
        f"`python bench/backtest_speed.py`, on {data} ({events:,} events).",
        f"CPU time of one thread, the best of {ROUNDS} rounds of one run.",
        "Fast runs are those after the cache; the fills of both speeds, and of both cores, were compared and are the same.",
        "",
        "| what | events a second | share of the bare loop |",
        "|---|---|---|",
        *[f"| {row['what']} | {row['events_a_second']:,} | {row['of_the_bare_loop']:.2%} |" for row in table],
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
