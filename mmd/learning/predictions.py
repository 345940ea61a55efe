"""What each head says, row by row as it is served, as a parquet table: for any market, the past only.

One line a moment, of the last step that bears its stamp: `ts_ns` (receive time, UTC ns), `symbol`, `price_change_bps_H` (the mid's
change over H, basis points of the mid), `spread` (full spread, basis points), `position` (share of the limit, [-1, 1]), and `p_up`,
`p_adverse`, `risk` (probabilities and score in [0, 1], null where the bundle has no such network); `p_adverse` is the larger one of
that of our bid and that of our ask at the touch. Asked for, there is `cross_asset_bps_H` besides: what the cross-asset network says
of the mid's change, from this market and those received with it; null where none of those was fresh, or there is no such network.
Steps with which features and state are warmed are left out, since nobody quotes on them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars

from mmd.inference.bundle import Bundle
from mmd.inference.companion import Companion
from mmd.inference.cross_asset import CrossAssetPredictor
from mmd.inference.predictor import QuotePredictor
from mmd.learning.cross_asset_evidence import cross_move_bps
from mmd.learning.cross_asset_rows import AssetHistory
from mmd.learning.data import Rows as SourceRows
from mmd.learning.data import Source, load_rows
from mmd.learning.serving import CompanionAnswers, ServedSession, serve_companion, serve_session
from mmd.learning.sessions import Floats

COMPANION_COLUMNS = ("p_up", "p_adverse", "risk")


def price_column(horizon_seconds: float) -> str:
    """Such as `price_change_bps_1s`."""
    return f"price_change_bps_{horizon_seconds:g}s"


def cross_column(horizon_seconds: float) -> str:
    """Such as `cross_asset_bps_1s`."""
    return f"cross_asset_bps_{horizon_seconds:g}s"


def write_predictions(
    bundle: Bundle,
    sources: Sequence[Source],
    path: Path,
    on_rows: Callable[[int], None] | None = None,
    *,
    cross_asset: bool = False,
) -> int:
    """Every session of every source, in order; returns the number of lines. The table is written in parts and joined at the end, so
    that memory holds one session at a time; a table that could not be finished is not left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        lines = 0
        parts = []
        for number, table in enumerate(prediction_tables(bundle, sources, on_rows, cross_asset=cross_asset)):
            parts.append(folder / f"{number:06d}.parquet")
            table.write_parquet(parts[-1])
            lines += len(table)
        fresh = folder / "joined.parquet"
        if parts:
            polars.scan_parquet(parts).sink_parquet(fresh)
        else:
            empty_table(bundle.card.horizon_seconds, cross_asset=cross_asset).write_parquet(fresh)
        fresh.replace(path)
        return lines
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prediction_tables(
    bundle: Bundle, sources: Sequence[Source], on_rows: Callable[[int], None] | None = None, *, cross_asset: bool = False
) -> Iterator[polars.DataFrame]:
    """One table a session. With `cross_asset` every source is read before the first is served, since they look at each other."""
    predictor = QuotePredictor(bundle)
    companion = Companion(bundle.card.companion, bundle.companion_files) if bundle.card.companion else None
    horizon = bundle.card.horizon_seconds
    every: Iterable[tuple[Source, SourceRows]] = ((source, load_rows(source, horizon, min_rows=1)) for source in sources)
    crossing = None
    if cross_asset:
        every = list(every)
        card = bundle.card.cross_asset
        histories = [AssetHistory(each.series, rows.symbol, rows.sessions, each.group) for each, rows in every]
        crossing = None if card is None else (CrossAssetPredictor(card, bundle.cross_asset_files), histories)
    for _, rows in every:
        for session in rows.sessions:
            served = serve_session(predictor, session, on_rows)
            more = {}
            if cross_asset:
                more[cross_column(horizon)] = (
                    np.full(session.rows, np.nan) if crossing is None else cross_move_bps(*crossing, session)
                )
            said = serve_companion(companion, session) if companion else None
            yield prediction_table(bundle, rows.symbol, served, said, more)


def prediction_table(
    bundle: Bundle,
    symbol: str,
    served: ServedSession,
    said: CompanionAnswers | None = None,
    more: Mapping[str, Floats] | None = None,
) -> polars.DataFrame:
    """The warm rows of a session; `said` by the companion networks, where there are any, and `more` columns by name."""
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
    beside = [polars.Series(name, column).fill_nan(None) for name, column in (more or {}).items()]
    return table.with_columns(_companion_columns(said), *beside).filter(
        polars.col(price_column(card.horizon_seconds)).is_not_nan(),
        # Of one moment what is said when all of it is known: who asks as of a time gets the last line.
        polars.col("ts_ns") != polars.col("ts_ns").shift(-1, fill_value=-1),
    )


def _companion_columns(said: CompanionAnswers | None) -> list[polars.Series] | list[polars.Expr]:
    if said is None:
        return [polars.lit(None, dtype=polars.Float64).alias(name) for name in COMPANION_COLUMNS]
    columns = (said.p_up, np.maximum(said.p_adverse_bid, said.p_adverse_ask), said.risk)
    return [polars.Series(name, column) for name, column in zip(COMPANION_COLUMNS, columns, strict=True)]


def empty_table(horizon_seconds: float, *, cross_asset: bool = False) -> polars.DataFrame:
    """The columns, without lines."""
    names = [price_column(horizon_seconds), "spread", "position", *COMPANION_COLUMNS]
    names += [cross_column(horizon_seconds)] if cross_asset else []
    return polars.DataFrame(schema={"ts_ns": polars.Int64, "symbol": polars.String, **dict.fromkeys(names, polars.Float64)})
