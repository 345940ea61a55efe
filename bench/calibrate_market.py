"""Compares the simulated market's stylised facts with recordings, and searches parameters that bring it nearer.

    python bench/calibrate_market.py                       # the table of the present parameters, 20 seeds
    python bench/calibrate_market.py --search 40           # try 40 neighbours of them, print the best
    python bench/calibrate_market.py --out docs/evidence/stylised-facts.md

Reads `*.book.parquet` and `*.trades.parquet` of the reference day from MMD_DATA_DIR (default ../shared/data).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import Progress

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmd.mock.simulation import SimulationParameters
from mmd.mock.simulation.stylised_facts import Aggressors, StylisedFacts, Touches, mean_of, measure, shortfalls
from tests.simulation.market_recording import simulated_facts

REFERENCE_DAY = "20240718"
SYMBOLS = ("BTCUSDT", "ETHUSDT")
WEIGHTS = {
    "spread_bps": 1.0,
    "trades_per_second": 1.0,
    "trade_sign_autocorrelation": 10.0,
    "absolute_return_autocorrelation": 5.0,
}
FACTS = [name for name in StylisedFacts.__struct_fields__ if name != "seconds"]


def reference(folder: Path, symbol: str) -> StylisedFacts:
    """The recorded market. Raises SystemExit where the files are missing."""
    import polars

    stem = folder / "binance_l2" / f"{symbol}-usdm-{REFERENCE_DAY}"
    if not stem.with_suffix(".book.parquet").is_file():
        sys.exit(f"no {stem}.book.parquet: set MMD_DATA_DIR to the folder of recorded markets")
    book, trades = (polars.read_parquet(f"{stem}.{kind}.parquet") for kind in ("book", "trades"))
    columns = [book[name].to_numpy() for name in ("ts_ns", "bid_px_1", "bid_sz_1", "ask_px_1", "ask_sz_1")]
    stamps, sides = trades["exch_ts_ns"].to_numpy(), trades["side"].to_numpy().astype(float)
    first = np.r_[True, (np.diff(stamps) != 0) | (np.diff(sides) != 0)]
    touches = Touches(*columns)
    aggressors = Aggressors(trades["ts_ns"].to_numpy()[first], sides[first])
    return measure(touches, aggressors, int(columns[0][0]), int(columns[0][-1]))


def averaged(
    parameters: SimulationParameters, seeds: Iterable[int], seconds: int, pool: ProcessPoolExecutor
) -> dict[str, StylisedFacts]:
    """Mean facts of each symbol over seeds."""
    jobs = [pool.submit(simulated_facts, seed, seconds, parameters) for seed in seeds]
    results = [job.result() for job in jobs]
    return {symbol: mean_of([result[symbol] for result in results]) for symbol in SYMBOLS}


def distance(found: dict[str, StylisedFacts], wanted: dict[str, StylisedFacts]) -> float:
    """How unlike: log ratios of rates, differences of correlations, weighted; violated bounds cost most."""
    total = 0.0
    for symbol in SYMBOLS:
        for name, weight in WEIGHTS.items():
            here, there = getattr(found[symbol], name), getattr(wanted[symbol], name)
            off = np.log(here / there) if name in ("spread_bps", "trades_per_second") else here - there
            total += weight * off * off
        total += 10.0 * len(shortfalls(found[symbol], wanted[symbol]))
    return float(total)


def neighbour(parameters: SimulationParameters, generator: np.random.Generator) -> SimulationParameters | None:
    """The parameters with those that order flow hangs on moved a little; None where that makes no stable market."""
    scale = lambda spread: float(np.exp(generator.normal(0, spread)))  # noqa: E731
    children = [list(row) for row in parameters.children]
    children[0][0] = children[1][1] = min(0.75, children[0][0] * scale(0.08))
    children[0][1] = children[1][0] = max(0.0, children[0][1] * scale(0.5))
    symbols = tuple(
        each.model_copy(update={"step_ticks": max(1, round(each.step_ticks * scale(0.2)))}) for each in parameters.symbols
    )
    changed = parameters.model_dump() | {
        "symbols": [each.model_dump() for each in symbols],
        "children": children,
        "market_order_rate": parameters.market_order_rate * scale(0.1),
        "excitation_seconds": parameters.excitation_seconds * scale(0.2),
    }
    try:
        return SimulationParameters.model_validate(changed)
    except ValueError:
        return None


def table(found: dict[str, StylisedFacts], wanted: dict[str, StylisedFacts], seeds: int, seconds: int) -> str:
    """Markdown."""
    lines = [
        "# The simulated market beside a recorded one",
        "",
        f"Mean over {seeds} seeds of {seconds} s each, beside the USD-M recordings of {REFERENCE_DAY}.",
        "Made by `bench/calibrate_market.py`.",
        "",
        "| fact | " + " | ".join(f"{symbol} simulated | {symbol} recorded" for symbol in SYMBOLS) + " |",
        "|---|" + "---|---|" * len(SYMBOLS),
    ]
    for name in FACTS:
        cells = [f"{getattr(found[symbol], name):.4g} | {getattr(wanted[symbol], name):.4g}" for symbol in SYMBOLS]
        lines.append(f"| {name.replace('_', ' ')} | " + " | ".join(cells) + " |")
    unlike = [f"- {symbol}: {text}" for symbol in SYMBOLS for text in shortfalls(found[symbol], wanted[symbol])]
    lines += ["", "Unlike the recording:" if unlike else "Near enough in everything that is asked of it.", *unlike]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="markets to average over")
    parser.add_argument("--seconds", type=int, default=480, help="length of each, virtual seconds")
    parser.add_argument("--search", type=int, default=0, metavar="N", help="neighbours of the parameters to try")
    parser.add_argument("--out", type=Path, help="write the table here")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("MMD_DATA_DIR", "../shared/data"))
    wanted = {symbol: reference(folder, symbol) for symbol in SYMBOLS}
    best, seeds = SimulationParameters(), range(1, arguments.seeds + 1)
    with ProcessPoolExecutor(os.cpu_count()) as pool, Progress() as progress:
        task = progress.add_task("simulating", total=1 + arguments.search)
        found = averaged(best, seeds, arguments.seconds, pool)
        progress.advance(task)
        generator = np.random.default_rng(1)
        for _ in range(arguments.search):
            tried = neighbour(best, generator)
            if tried is not None:
                facts = averaged(tried, seeds, arguments.seconds, pool)
                if distance(facts, wanted) < distance(found, wanted):
                    best, found = tried, facts
            progress.advance(task)
    text = table(found, wanted, arguments.seeds, arguments.seconds)
    print(text)
    if arguments.search:
        print("best parameters found:")
        print({"symbols": [(each.symbol, each.step_ticks) for each in best.symbols], "children": best.children})
        print({"market_order_rate": best.market_order_rate, "excitation_seconds": best.excitation_seconds})
    if arguments.out:
        arguments.out.write_text(text)


if __name__ == "__main__":
    main()
