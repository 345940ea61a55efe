"""The figures of a run, for each symbol and for all together, as the JSON report states them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.attribution import FillColumns, MidPath, Split, equity_curve, fill_columns, markouts, split_pnl
from mmd.backtest.recorder import Recorder, SymbolTrack
from mmd.backtest.statistics import (
    Calendar,
    Interval,
    block_bootstrap,
    block_bootstrap_of,
    calmar,
    deflated_sharpe,
    max_drawdown,
    moments,
    sharpe,
    sortino,
)

Floats = npt.NDArray[np.float64]
MARKOUT_SECONDS = (0.1, 1.0, 10.0, 60.0)
PERIOD_SECONDS = 1.0
MOST_PERIODS = 20_000
BLOCKS = 40
LEAST_BLOCK_SECONDS = 10.0
BLOCK_COLUMNS = ("pnl", "volume", "markout_sum", "markouts")
LIMIT_SHARE = 0.95
"""A position of so much of its limit counts as at the limit."""
NS = 1_000_000_000


@dataclass(frozen=True)
class Terms:
    """What figures are relative to."""

    capital: float
    calendar: Calendar
    trials: int
    seed: int
    taker_fee: float


def figures(recorder: Recorder, orders_placed: int, terms: Terms) -> dict[str, Any]:
    """All symbols together, and each under `symbols`."""
    tracks = list(recorder.tracks.values())
    symbols = {track.instrument.symbol: symbol_figures(track, terms) for track in tracks}
    times, equity = _pooled_equity(tracks)
    fills = [fill_columns(track) for track in tracks]
    count = sum(len(each.times) for each in fills)
    volume = float(sum(each.notional.sum() for each in fills))
    seconds = (times[-1] - times[0]) / NS if len(times) > 1 else 0.0
    splits = [split_pnl(track) for track in tracks]
    names = ("spread", "adverse_selection", "inventory", "fees", "funding", "unexplained", "total")
    together = Split(**{name: math.fsum(getattr(split, name) for split in splits) for name in names})
    return {
        **_article(fills, times, equity, terms),
        "pnl": together.total,
        "capital": terms.capital,
        "seconds": seconds,
        "volume": volume,
        "pnl_per_volume_bps": _ratio(together.total, volume, 1e4),
        "pnl_per_volume_bps_interval": asdict(_volume_interval(times, equity, fills, terms.seed)),
        "blocks": block_sums(times, equity, [(each, MidPath(track)) for each, track in zip(fills, tracks, strict=True)]),
        "turnover": _ratio(volume, terms.capital),
        "fill_ratio": _ratio(_orders_filled(tracks), orders_placed),
        "orders_placed": orders_placed,
        "fills": count,
        "split": {**asdict(together), "unexplained_share": together.unexplained_share},
        "markouts_bps": _markout_table(
            [(each, MidPath(track)) for each, track in zip(fills, tracks, strict=True)], times, terms.seed
        ),
        "liquidation_cost": math.fsum(_liquidation(track, terms.taker_fee) for track in tracks),
        "symbols": symbols,
    }


def symbol_figures(track: SymbolTrack, terms: Terms) -> dict[str, Any]:
    """Of one symbol."""
    fills, split = fill_columns(track), split_pnl(track)
    volume = float(fills.notional.sum())
    share = (
        np.asarray(track.positions, np.float64) / track.instrument.lot_atoms / np.maximum(1, np.asarray(track.limits, np.float64))
    )
    known = np.asarray(track.limits) > 0
    share = share[known]
    times, equity = np.asarray(track.times, np.int64), equity_curve(track)
    quoted = (np.asarray(track.bids) > 0) & (np.asarray(track.asks) > 0)
    one_sided = (np.asarray(track.bids) > 0) ^ (np.asarray(track.asks) > 0)
    return {
        "pnl": split.total,
        "volume": volume,
        "fills": len(fills.times),
        "pnl_per_volume_bps": _ratio(split.total, volume, 1e4),
        "pnl_per_volume_bps_interval": asdict(_volume_interval(times, equity, [fills], terms.seed)),
        "split": {**asdict(split), "unexplained_share": split.unexplained_share},
        "markouts_bps": _markout_table([(fills, MidPath(track))], times, terms.seed),
        "quote_uptime": float(np.mean(quoted)) if len(quoted) else None,
        "one_sided": float(np.mean(one_sided)) if len(one_sided) else None,
        "time_at_limit": float(np.mean(np.abs(share) >= LIMIT_SHARE)) if len(share) else None,
        "inventory": _distribution(share),
        "final_position": track.positions[-1] / 1e8 if track.positions else 0.0,
    }


def _article(fills: list[FillColumns], times: npt.NDArray[np.int64], equity: Floats, terms: Terms) -> dict[str, Any]:
    period, changes = period_changes(times, equity)
    periods_a_year = terms.calendar.periods(period)
    returns = changes / terms.capital
    seconds = (times[-1] - times[0]) / NS if len(times) > 1 else 0.0
    years = seconds / (terms.calendar.days * terms.calendar.hours * 3_600.0)
    total = float(equity[-1]) / terms.capital if len(equity) else 0.0
    fall = max_drawdown(equity) / terms.capital
    closed = np.concatenate([(each.realised - each.fees)[~np.isnan(each.realised)] for each in fills]) if fills else np.zeros(0)
    captured = (
        np.concatenate([each.sides * (each.mids - each.prices) / each.prices * 1e4 for each in fills]) if fills else np.zeros(0)
    )
    block = max(1, round(max(LEAST_BLOCK_SECONDS, seconds / BLOCKS) / period))
    interval = block_bootstrap_of(returns, block, lambda series: sharpe(series, periods_a_year), terms.seed)
    shape = moments(returns)
    return {
        "total_return": total,
        "sharpe_ratio": sharpe(returns, periods_a_year),
        "sharpe_ratio_interval": asdict(interval),
        "max_drawdown": fall,
        "win_rate": float(np.mean(closed > 0)) if len(closed) else None,
        "average_spread_captured_bps": float(np.mean(captured)) if len(captured) else None,
        "total_trades": sum(len(each.times) for each in fills),
        "sortino_ratio": sortino(returns, periods_a_year),
        "calmar_ratio": calmar(total, fall, years),
        "deflated_sharpe_probability": deflated_sharpe(returns, terms.trials),
        "trials": terms.trials,
        "sharpe_moments": None if shape is None else asdict(shape),
        "return_period_seconds": period,
        "days_a_year": terms.calendar.days,
        "hours_a_day": terms.calendar.hours,
    }


def period_changes(times: npt.NDArray[np.int64], equity: Floats) -> tuple[float, Floats]:
    """Length of a period in seconds, and the equity's change over each whole one; silences of an hour and more are left out."""
    if len(times) < 2:
        return PERIOD_SECONDS, np.zeros(0)
    period = max(PERIOD_SECONDS, math.ceil((times[-1] - times[0]) / NS / MOST_PERIODS))
    edges = np.arange(times[0], times[-1] + 1, round(period * NS))
    place = np.searchsorted(times, edges, side="right") - 1
    changes = np.diff(equity[place])
    asleep = (edges[1:] - times[place[1:]]) > 3_600 * NS
    return float(period), changes[~asleep]


def _pooled_equity(tracks: list[SymbolTrack]) -> tuple[npt.NDArray[np.int64], Floats]:
    times = np.asarray(tracks[0].times, np.int64)
    return times, np.sum([equity_curve(track) for track in tracks], axis=0) if len(times) else np.zeros(0)


def _blocks(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Edges of blocks of one length, some forty, at least ten seconds each."""
    if len(times) < 2:
        return np.zeros(0, np.int64)
    length = round(max(LEAST_BLOCK_SECONDS, (times[-1] - times[0]) / NS / BLOCKS) * NS)
    return np.arange(times[0], times[-1] + length, length)


def block_sums(times: npt.NDArray[np.int64], equity: Floats, parts: list[tuple[FillColumns, MidPath]]) -> dict[str, list[float]]:
    """Of each block: PnL, volume, and of the fills' 1 s markouts in bps the sum and how many; for comparing runs block by block."""
    edges = _blocks(times)
    if len(edges) < 2:
        return {"pnl": [], "volume": [], "markout_sum": [], "markouts": []}
    place = np.minimum(np.searchsorted(times, edges, side="right"), len(times)) - 1
    volume, sums, counts = (np.zeros(len(edges) - 1) for _ in range(3))
    for fills, path in parts:
        values = markouts(fills, path, 1.0)
        known = ~np.isnan(values)
        volume += np.histogram(fills.times, bins=edges, weights=fills.notional)[0]
        sums += np.histogram(fills.times[known], bins=edges, weights=values[known])[0]
        counts += np.histogram(fills.times[known], bins=edges)[0]
    pnl = np.diff(equity[np.maximum(place, 0)])
    return {name: column.tolist() for name, column in zip(BLOCK_COLUMNS, (pnl, volume, sums, counts), strict=True)}


def _volume_interval(times: npt.NDArray[np.int64], equity: Floats, fills: list[FillColumns], seed: int) -> Interval:
    edges = _blocks(times)
    if len(edges) < 3:
        return Interval(None, None, 0)
    place = np.minimum(np.searchsorted(times, edges, side="right"), len(times)) - 1
    gains = np.diff(equity[np.maximum(place, 0)]) * 1e4
    volumes = np.zeros(len(edges) - 1)
    for each in fills:
        volumes += np.histogram(each.times, bins=edges, weights=each.notional)[0]
    return block_bootstrap(gains, volumes, seed)


def _markout_table(parts: list[tuple[FillColumns, MidPath]], times: npt.NDArray[np.int64], seed: int) -> dict[str, Any]:
    edges = _blocks(times)
    table: dict[str, Any] = {}
    for seconds in MARKOUT_SECONDS:
        values = np.concatenate([markouts(fills, path, seconds) for fills, path in parts])
        when = np.concatenate([fills.times for fills, _ in parts])
        known = ~np.isnan(values)
        values, when = values[known], when[known]
        interval = Interval(None, None, 0)
        if len(edges) > 2:
            sums = np.histogram(when, bins=edges, weights=values)[0]
            interval = block_bootstrap(sums, np.histogram(when, bins=edges)[0].astype(np.float64), seed)
        mean = float(np.mean(values)) if len(values) else None
        table[f"{seconds:g}s"] = {"mean": mean, "fills": len(values), **asdict(interval)}
    return table


def _distribution(share: Floats) -> dict[str, Any]:
    if not len(share):
        return {}
    quantiles = {f"p{round(100 * q)}": float(np.quantile(share, q)) for q in (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)}
    return {**quantiles, "mean": float(np.mean(share)), "mean_absolute": float(np.mean(np.abs(share)))}


def _orders_filled(tracks: list[SymbolTrack]) -> int:
    return sum(len({fill.exchange_order_id for fill in track.fills}) for track in tracks)


def _liquidation(track: SymbolTrack, taker_fee: float) -> float:
    """What it would cost to close the last position at the mid with the taker's fee, quote units."""
    if not track.positions:
        return 0.0
    mid = track.mids_x2[-1] / 2 * float(track.instrument.tick_size)
    return abs(track.positions[-1]) / 1e8 * mid * taker_fee


def _ratio(top: float, bottom: float, scale: float = 1.0) -> float | None:
    return top / bottom * scale if bottom else None
