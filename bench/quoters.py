"""The quoters against each other on the simulated market, in virtual time: fills, PnL, markouts, and how long both sides stood.

python bench/quoters.py --seconds 300 --seeds 101,102
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mmd.daemon.bundles import load_networks
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.types.control import Timer
from mmd.types.instrument import atoms

SYMBOLS = ("BTCUSDT", "ETHUSDT")
START_NS = 1_700_000_000_000_000_000
STRATEGIES = {
    "fixed": QuotingSettings(strategy="fixed"),
    "avellaneda-stoikov": QuotingSettings(strategy="avellaneda-stoikov"),
    "neural": QuotingSettings(strategy="neural"),
    "neural, pulling": QuotingSettings(strategy="neural", pull=True),
}


def uptime_watch(venue: VirtualVenue, counts: dict[int, int]) -> Callable[[Any], None]:
    """Counts, at each timer, how many sides of each symbol stand at the exchange."""

    def look(event: Any) -> None:
        if isinstance(event, Timer):
            for symbol in SYMBOLS:
                sides = len({order.side for order in venue.engine.open_orders("A", symbol)})
                counts[sides] = counts.get(sides, 0) + 1

    return look


def session(settings: QuotingSettings, seed: int, seconds: int, bundle_folder: Path) -> dict[str, Any]:
    """One quoter on one market."""
    engine = MatchingEngine(listed(SYMBOLS))
    market = SimulatedMarket(engine, SimulationParameters(), seed=seed, start_ns=START_NS)
    engine.open_account("A", {"BTC": atoms("5"), "ETH": atoms("100"), "USDT": atoms("1000000")})
    bundle, predictors = load_networks(bundle_folder, SYMBOLS, "auto") if settings.strategy == "neural" else (None, {})
    config = TraderConfig(session="bench", quoting=settings)
    trader = Trader(config, engine.instruments, bundle=bundle, predictors=predictors)
    venue = VirtualVenue(engine, market, "A")
    counts: dict[int, int] = {}
    venue.on_event = uptime_watch(venue, counts)
    venue.connect(trader)
    venue.run(START_NS + seconds * 1_000_000_000)
    report = trader.report(venue.now_ns)
    volume = sum(desk.ledger.volume_atoms for desk in trader.desks.values()) / 1e8
    fills = sum(line.fills for line in report.symbols) or 1
    markout = sum(line.markouts_bps.get("1s", 0.0) * line.fills for line in report.symbols) / fills
    total = sum(counts.values()) or 1
    return {
        "fills": report.fills,
        "volume": round(volume),
        "PnL": round(report.pnl, 2),
        "bps of volume": round(report.pnl / max(volume, 1) * 1e4, 3),
        "markout 1 s, bps": round(markout, 3),
        "both sides": f"{counts.get(2, 0) / total:.0%}",
        "one side": f"{counts.get(1, 0) / total:.0%}",
        "orders": report.orders_sent,
        "denied": sum(report.risk_denials.values()),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="virtual seconds of each session")
    parser.add_argument("--seeds", default="101,102", help="seeds of the simulated market, separated by commas")
    parser.add_argument("--bundle", type=Path, default=Path("models/quote-v1"))
    options = parser.parse_args()
    table = Table(title=f"{options.seconds} virtual seconds a session, no fees")
    made = False
    for name, settings in STRATEGIES.items():
        for seed in options.seeds.split(","):
            row = session(settings, int(seed), options.seconds, options.bundle)
            if not made:
                for heading in ("quoter", "seed", *row):
                    table.add_column(heading, justify="right")
                made = True
            table.add_row(name, seed, *(str(value) for value in row.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
