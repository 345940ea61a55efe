"""The dataset's tables: their columns, units and types."""

from __future__ import annotations

import polars as pl

LEVELS = 10
BOOK, TRADES, DEPTH_BANDS = "book", "trades", "depth_bands"
TABLES = (BOOK, TRADES, DEPTH_BANDS)

ROW = "_row"
"""Line or row of the source, counted from 1; not kept."""
BREAK = "_break"
"""True where what stands before and this row are not one session; not kept."""

MEANINGS = {
    "ts_ns": "receive time, UTC ns (the exchange's time where a source has no other, as its entry in the manifest says)",
    "symbol": "as the venue writes it",
    "exch_ts_ns": "the exchange's time, UTC ns; null where the source has none",
    "update_id": "the exchange's update id that the row shows; null where the source has none",
    "session": "rows of one number follow each other without a gap; it rises at every gap",
    "bid_px_N": "price of the N-th best bid, quote units; null where there is no such level",
    "bid_sz_N": "its quantity, base units; null where the source has no sizes",
    "ask_px_N": "price of the N-th best ask",
    "ask_sz_N": "its quantity",
    "trade_id": "the exchange's id; null where the source has none, or none that is a number",
    "px": "price, quote units",
    "sz": "quantity, base units",
    "side": "+1: the buyer was the aggressor, -1: the seller, 0: unknown",
    "percentage": "distance from the mid up to which orders are summed, per cent; below zero: bids",
    "depth": "quantity within that distance, base units",
    "notional": "the same in quote units",
}


def level_columns(levels: int = LEVELS) -> list[str]:
    """`bid_px_1, bid_sz_1, ask_px_1, ask_sz_1, bid_px_2, …`."""
    return [f"{side}_{what}_{level}" for level in range(1, levels + 1) for side in ("bid", "ask") for what in ("px", "sz")]


def schema_of(table: str) -> dict[str, pl.DataType]:
    """Column to type, in order. Raises `KeyError` for an unknown table."""
    return {
        BOOK: {
            "ts_ns": pl.Int64(),
            "symbol": pl.String(),
            "exch_ts_ns": pl.Int64(),
            "update_id": pl.Int64(),
            "session": pl.Int32(),
            **dict.fromkeys(level_columns(), pl.Float64()),
        },
        TRADES: {
            "ts_ns": pl.Int64(),
            "symbol": pl.String(),
            "exch_ts_ns": pl.Int64(),
            "trade_id": pl.Int64(),
            "px": pl.Float64(),
            "sz": pl.Float64(),
            "side": pl.Int8(),
        },
        DEPTH_BANDS: {
            "ts_ns": pl.Int64(),
            "symbol": pl.String(),
            "percentage": pl.Float64(),
            "depth": pl.Float64(),
            "notional": pl.Float64(),
        },
    }[table]


def shaped(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """The table's columns in their types, those that are absent null; `_row` and `_break` behind them."""
    schema = schema_of(table)
    there = set(frame.columns)
    columns = [(pl.col(name) if name in there else pl.lit(None)).cast(kind).alias(name) for name, kind in schema.items()]
    row = (pl.col(ROW) if ROW in there else pl.lit(0)).cast(pl.Int64).alias(ROW)
    cut = (pl.col(BREAK) if BREAK in there else pl.lit(False)).cast(pl.Boolean).alias(BREAK)
    return frame.select(*columns, row, cut)
