"""The run as one JSON document, and its trades as a table."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from mmd.backtest.account import FundingRecord
from mmd.backtest.attribution import MidPath, fill_columns, markouts
from mmd.backtest.data import MarketSource
from mmd.backtest.figures import MARKOUT_SECONDS, Terms, figures
from mmd.backtest.runner import Options, Run
from mmd.backtest.sensitivity import fee_sensitivity
from mmd.inference.bundle import content_digest

REPORT = "backtest"


def document(run: Run, terms: Terms) -> dict[str, Any]:
    """What `--json` prints. Says what it is of (`report`, `bundle_content`) so that a promotion can lean on it."""
    found = figures(run.recorder, run.venue.placed, terms)
    options, bundle = run.options, run.trader.bundle
    return {
        "report": REPORT,
        "version": 1,
        "strategy": options.strategy,
        "bundle": None if bundle is None else str(bundle.folder.name),
        "bundle_content": None if bundle is None else content_digest(bundle.card),
        "data": [str(path) for source in run.sources for path in source.files],
        "from": _iso(run.recorder.begin_ns),
        "to": _iso(run.recorder.end_ns),
        "figures": found,
        "fee_sensitivity": fee_sensitivity(found, options.maker_fee, run.halt is not None),
        "latency_sensitivity": [],
        "orders": {"sent": run.venue.sent, "rested": run.venue.placed, "refused_as_taking": run.venue.refused},
        "halt": None if run.halt is None else {"reason": run.halt.reason, "time": _iso(run.halt.time_ns)},
        "model": {
            "matching": "hftbacktest, partial fills, post-only orders; our orders move nothing",
            "queue": options.queue,
            "latency": run.latency.text,
            "feed": {source.symbol: asdict(market.times) for source, market in zip(run.sources, run.markets, strict=True)},
            "maker_fee": options.maker_fee,
            "taker_fee": options.taker_fee,
            "fills": {source.symbol: _fill_model(source, options) for source in run.sources},
            "modelled_fills": {source.symbol: options.fill_model.as_dict() for source in run.sources if options.modelled(source)},
            "contract": {
                source.symbol: "linear perpetual future" if source.instrument.perpetual else "spot" for source in run.sources
            },
            "funding": [_funding(record) for track in run.recorder.tracks.values() for record in track.funding],
            "funding_settlements": len(run.funding),
            "calibration": {symbol: asdict(each) for symbol, each in run.calibrations.items()},
            "calibration_share": options.calibration_share,
        },
        "repairs": {source.symbol: source.repairs for source in run.sources},
        "book_gaps": {source.symbol: market.gaps for source, market in zip(run.sources, run.markets, strict=True)},
        "settings": {
            "quoting": run.trader.config.quoting.model_dump(mode="json"),
            "risk": run.trader.config.risk.model_dump(mode="json"),
        },
        "seed": terms.seed,
        "events": run.events,
        "cpu_seconds": run.seconds,
        "conversion_cpu_seconds": run.convert_seconds,
        "speed": options.speed,
        "cache": None if run.cache is None else asdict(run.cache),
    }


def encode(report: dict[str, Any]) -> bytes:
    """Indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report, enc_hook=_plain), indent=2)


def write_trades(run: Run, path: Path) -> int:
    """One row a fill, as parquet, beside the report. Returns how many. Raises `OSError`."""
    import polars as pl

    frames = []
    for symbol, track in run.recorder.tracks.items():
        fills, mids = fill_columns(track), MidPath(track)
        columns: dict[str, Any] = {
            "ts_ns": fills.times,
            "exch_ts_ns": [fill.exchange_ns for fill in track.fills],
            "symbol": [symbol] * len(fills.times),
            "order": [fill.client_order_id for fill in track.fills],
            "side": [fill.side.sign for fill in track.fills],
            "px": fills.prices,
            "sz": fills.quantities,
            "fee": fills.fees,
            "mid": fills.mids,
        }
        for seconds in MARKOUT_SECONDS:
            columns[f"markout_{seconds:g}s_bps"] = markouts(fills, mids, seconds)
        names = sorted({name for each in track.attributions for name in each})
        for name in names:
            columns[f"quote_{name}_ticks"] = [each.get(name) for each in track.attributions]
        frames.append(pl.DataFrame(columns))
    table = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
    table.write_parquet(path)
    return int(table.height)


def _funding(record: FundingRecord) -> dict[str, Any]:
    point, payment = record.point, record.payment
    return {
        "symbol": payment.symbol,
        "time": _iso(point.exchange_ns),
        "rate": str(point.rate),
        "mark_ticks": record.mark_ticks,
        "lots": record.lots,
        "received": payment.amount_atoms / 1e8,
        "rate_and_mark": "recorded" if point.recorded else "assumed",
    }


def _fill_model(source: MarketSource, options: Options) -> str:
    if options.modelled(source):
        return options.fill_model.text
    if not source.has_trades:
        return "the data has no trades: an order is filled only when the other side's best price reaches it"
    if not source.has_sizes:
        return "the data has no sizes: each level counts as one lot"
    return "queue position by trades and level sizes"


def _iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")
