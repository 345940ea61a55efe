"""Traders who know what comes, off and on: P(adverse) and the spread head of the shipped networks react, and each network's part of
the quotes can be told. The same market otherwise, in virtual time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmd.daemon.bundles import load_networks
from mmd.inference.calibration import Traded
from mmd.mock.engine import MatchingEngine
from mmd.mock.instruments import listed
from mmd.mock.simulation import STRONGLY_INFORMED, InformedParameters, SimulatedMarket, SimulationParameters
from mmd.mock.virtual_venue import VirtualVenue
from mmd.quoting.settings import QuotingSettings
from mmd.trader import Trader, TraderConfig
from mmd.types.instrument import atoms

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = PROJECT / "models" / "quote-v2"
TABLE = PROJECT / "docs" / "evidence" / "informed-traders.md"
SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
SYMBOL = "BTCUSDT"


class Watched:
    """What the heads said at each step of a session, and what the trader reports at its end."""

    def __init__(self, seed: int, informed: tuple[InformedParameters, ...], seconds: int) -> None:
        parameters = SimulationParameters()
        parameters = parameters.model_copy(update={"symbols": parameters.symbols[:1], "informed": informed})
        engine = MatchingEngine(listed((SYMBOL,)))
        market = SimulatedMarket(engine, parameters, seed=seed, start_ns=START_NS)
        engine.open_account("A", {"BTC": atoms("5"), "USDT": atoms("1000000")})
        bundle, predictors = load_networks(SHIPPED, (SYMBOL,), "auto")
        config = TraderConfig(session="t", quoting=QuotingSettings(strategy="neural"))
        trader = Trader(config, engine.instruments, bundle=bundle, predictors=predictors)
        venue = VirtualVenue(engine, market, "A")
        venue.connect(trader)
        desk = trader.desks[SYMBOL]
        said = desk.perception.prediction
        assert desk.watch is not None
        judge, traded = desk.watch.calibration.on_trade, list[Traded]()

        def on_trade(one: Traded) -> None:
            traded.append(one)
            judge(one)

        desk.watch.calibration.on_trade = on_trade  # type: ignore[method-assign]
        rows, half_spreads, seen = [], [], 0
        # Looked at a hundred times a second of the market, and only where a step has come since.
        for hundredth in range(1, 100 * seconds + 1):
            venue.run(START_NS + hundredth * SECOND_NS // 100)
            if desk.steps == seen or not said.usable or said.adverse_refusal or desk.quote is None:
                continue
            seen = desk.steps
            rows.append((0.5 * (said.p_adverse_bid + said.p_adverse_ask), said.optimal_spread))
            raw = desk.quote.raw
            half_spreads.append((raw.half_spread + 0.5 * (raw.adverse_bid + raw.adverse_ask)) / desk.context.sigma_ticks)
        self.rows = len(rows)
        hit = np.array([one.p_adverse for one in traded])
        self.p_adverse_hit = float(hit[np.isfinite(hit)].mean())
        self.p_adverse, self.spread_place = np.array(rows).mean(axis=0).tolist()
        self.half_spread_sigmas = float(np.mean(half_spreads))
        self.symbol = trader.report(venue.now_ns).symbols[0]


NAMES = ("p_adverse", "p_adverse_hit", "spread_place", "half_spread_sigmas")


def means(sessions: list[Watched]) -> tuple[float, ...]:
    return tuple(float(np.mean([getattr(each, name) for each in sessions])) for name in NAMES)


def test_adverse_selection_and_spread_heads_react_and_every_network_in_use_moves_quotes() -> None:
    without = [Watched(seed, (), 30) for seed in (2, 5, 7)]
    with_them = [Watched(seed, STRONGLY_INFORMED, 30) for seed in (2, 5, 7)]
    _, p_off, spread_off, half_off = means(without)
    _, p_on, spread_on, half_on = means(with_them)
    assert p_on > p_off
    assert spread_on > 1.1 * spread_off
    assert half_on > half_off
    for session in with_them:
        parts: Mapping[str, Any] = session.symbol.attribution
        assert parts["price_head"].moved_share > 0.5
        assert parts["spread_head"].moved_share > 0.5
        assert parts["position_head"].moved_share > 0.05
        assert parts["adverse_selection"].moved_share > 0.2
        assert parts["risk"].moved_share > 0.5
        assert parts["risk"].mean_size_taken > 0.1
        # The order flow does not beat its baselines and so has no weight: it is computed, and said to move nothing.
        assert parts["order_flow"].mean_absolute_ticks == 0.0
        assert parts["order_flow"].note.startswith("no weight")
        assert parts["cross_asset"].note.startswith("not in the bundle")
        assert "p_up" in session.symbol.distributions


@pytest.mark.long
def test_the_table_of_it() -> None:
    seeds = range(1, 13)
    off, on = [Watched(seed, (), 60) for seed in seeds], [Watched(seed, STRONGLY_INFORMED, 60) for seed in seeds]
    lines = [
        f"| {seed} | {a.p_adverse:.3f} | {b.p_adverse:.3f} | {a.p_adverse_hit:.3f} | {b.p_adverse_hit:.3f} | "
        f"{a.spread_place:.3f} | {b.spread_place:.3f} | "
        f"{a.half_spread_sigmas:.3f} | {b.half_spread_sigmas:.3f} | {markout(a)} | {markout(b)} |"
        for seed, a, b in zip(seeds, off, on, strict=True)
    ]
    whole = [value for pair in zip(means(off), means(on), strict=True) for value in pair]
    risen = [sum(getattr(b, name) > getattr(a, name) for a, b in zip(off, on, strict=True)) for name in NAMES]
    lines.append("| all | " + " | ".join(f"{value:.3f}" for value in whole) + " | | |")
    lines.append("| risen in " + "".join(f"| | {count} of {len(off)} " for count in risen) + "| | |")
    TABLE.write_text(
        "# Informed traders switched off and on\n\n"
        "The simulated BTCUSDT in virtual time, a minute for each seed, bundle quote-v2; made by "
        "`tests/simulation/test_informed_traders.py`. Off: no trader knows what\n"
        "comes (`mmd mock --informed none`); on: looks 4 times a second, knows the price 1 s ahead "
        "(`mmd mock --informed strong`). Means over looks where a step has come, a hundred times a second at most; P(adverse) of\n"
        "both sides, and of the side that a trade hit just before it did; place of the spread on the card's log scale, "
        "half-spread quoted in sigma over the horizon, markout of our own "
        "fills after 1 s in bps.\n\n"
        "| seed | P(adverse) off | on | where hit off | on | spread off | on | half-spread off | on | markout off | on |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n\n" + attribution_table(off, on)
    )


def markout(session: Watched) -> str:
    value = session.symbol.markouts_bps.get("1s")
    return "" if value is None else f"{value:+.3f}"


def attribution_table(off: list[Watched], on: list[Watched]) -> str:
    """By network, mean over the sessions."""
    lines = []
    for name in on[0].symbol.attribution:
        cells = []
        for sessions in (off, on):
            shares = [each.symbol.attribution[name] for each in sessions]
            ticks = [share.mean_absolute_ticks for share in shares if share.mean_absolute_ticks is not None]
            size = [share.mean_size_taken for share in shares if share.mean_size_taken is not None]
            cells.append(f"{np.mean(ticks):.1f} ticks" if ticks else f"{np.mean(size):.0%} of the size")
            cells.append(f"{np.mean([share.moved_share for share in shares]):.0%}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return (
        "What each network gave to the quotes (mean absolute ticks, and the share of quotes that would have been others without "
        "it); one without gain over its baseline has\nno weight: it is computed and watched, and moves nothing.\n\n"
        "| network | off | moved | on | moved |\n|---|---|---|---|---|\n" + "\n".join(lines) + "\n"
    )
