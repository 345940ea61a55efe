"""What each head says, row by row as it is served, as a parquet table: for any market, the past only.

One line a step: `ts_ns` (receive time, UTC ns), `symbol`, `price_change_bps_H` (the mid's change over H, basis points of the mid),
`spread` (full spread, basis points), `position` (share of the limit, [-1, 1]), and `p_up`, `p_adverse`, `risk` (probabilities and
score in [0, 1], null where the bundle has no such network); `p_adverse` is the larger one of that of our bid
and that of our ask at the touch. Steps with which features and state are warmed are left out, since nobody
quotes on them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars

from mmd.inference.bundle import Bundle
from mmd.inference.companion import Companion
from mmd.inference.predictor import QuotePredictor
from mmd.learning.data import Source, load_rows
from mmd.learning.serving import CompanionAnswers, ServedSession, serve_companion, serve_session

COMPANION_COLUMNS = ("p_up", "p_adverse", "risk")


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
    companion = Companion(bundle.card.companion, bundle.companion_files) if bundle.card.companion else None
    for source in sources:
        rows = load_rows(source, bundle.card.horizon_seconds, min_rows=1)
        for session in rows.sessions:
            served = serve_session(predictor, session, on_rows)
            yield prediction_table(bundle, rows.symbol, served, serve_companion(companion, session) if companion else None)


def prediction_table(bundle: Bundle, symbol: str, served: ServedSession, said: CompanionAnswers | None = None) -> polars.DataFrame:
    """The warm rows of a session; `said` by the companion networks, where there are any."""
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
    return table.with_columns(_companion_columns(said)).filter(polars.col(price_column(card.horizon_seconds)).is_not_nan())


def _companion_columns(said: CompanionAnswers | None) -> list[polars.Series] | list[polars.Expr]:
    if said is None:
        return [polars.lit(None, dtype=polars.Float64).alias(name) for name in COMPANION_COLUMNS]
    columns = (said.p_up, np.maximum(said.p_adverse_bid, said.p_adverse_ask), said.risk)
    return [polars.Series(name, column) for name, column in zip(COMPANION_COLUMNS, columns, strict=True)]


def empty_table(horizon_seconds: float) -> polars.DataFrame:
    """The columns, without lines."""
    names = [price_column(horizon_seconds), "spread", "position", *COMPANION_COLUMNS]
    return polars.DataFrame(schema={"ts_ns": polars.Int64, "symbol": polars.String, **dict.fromkeys(names, polars.Float64)})
