"""What each head says, row by row as it is served, as a parquet table: for any market, the past only.

One line a step: `ts_ns` (receive time, UTC ns), `symbol`, `price_change_bps_H` (the mid's change over H, basis points of the mid),
`spread` (full spread, basis points), `position` (share of the limit, [-1, 1]), and `p_up`, `p_adverse`, `risk` (probabilities and
score in [0, 1], null where the bundle has no such network). Steps with which features and state are warmed are left out, since
nobody quotes on them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars

from mmd.inference.bundle import Bundle
from mmd.inference.predictor import QuotePredictor
from mmd.learning.data import Source, load_rows
from mmd.learning.serving import ServedSession, serve_session


def price_column(horizon_seconds: float) -> str:
    """Such as `price_change_bps_1s`."""
    return f"price_change_bps_{horizon_seconds:g}s"


def write_predictions(
    bundle: Bundle,
    sources: Sequence[Source],
    path: Path,
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Every session of every source, in order; returns the number of lines. The table is written in parts and joined at the end, so
    that memory holds one session at a time; a table that could not be finished is not left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        lines = 0
        parts = []
        for number, table in enumerate(prediction_tables(bundle, sources, on_rows)):
            parts.append(folder / f"{number:06d}.parquet")
            table.write_parquet(parts[-1])
            lines += len(table)
        fresh = folder / "joined.parquet"
        if parts:
            polars.scan_parquet(parts).sink_parquet(fresh)
        else:
            empty_table(bundle.card.horizon_seconds).write_parquet(fresh)
        fresh.replace(path)
        return lines
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prediction_tables(
    bundle: Bundle, sources: Sequence[Source], on_rows: Callable[[int], None] | None = None
) -> Iterator[polars.DataFrame]:
    """One table a session."""
    predictor = QuotePredictor(bundle)
    for source in sources:
        rows = load_rows(source, bundle.card.horizon_seconds, min_rows=1)
        for session in rows.sessions:
            yield prediction_table(bundle, rows.symbol, serve_session(predictor, session, on_rows))


def prediction_table(bundle: Bundle, symbol: str, served: ServedSession) -> polars.DataFrame:
    """The warm rows of a session."""
    card = bundle.card
    table = polars.DataFrame(
        {
            "ts_ns": served.session.receive_ns,
            "symbol": [symbol] * served.session.rows,
            price_column(card.horizon_seconds): served.price_change_bps,
            "spread": served.spread_bps(card.spread_min, card.spread_max) * card.spread_multiplier,
            "position": served.position,
        },
        schema_overrides={"ts_ns": polars.Int64},
    )
    absent = [polars.lit(None, dtype=polars.Float64).alias(name) for name in ("p_up", "p_adverse", "risk")]
    return table.with_columns(absent).filter(polars.col(price_column(card.horizon_seconds)).is_not_nan())


def empty_table(horizon_seconds: float) -> polars.DataFrame:
    """The columns, without lines."""
    names = [price_column(horizon_seconds), "spread", "position", "p_up", "p_adverse", "risk"]
    return polars.DataFrame(schema={"ts_ns": polars.Int64, "symbol": polars.String, **dict.fromkeys(names, polars.Float64)})
