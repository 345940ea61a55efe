"""Sessions made by hand or drawn from a seed, without a market."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmd.learning.dataset import Part
from mmd.learning.labels import LabelSettings, make_labels
from mmd.learning.sessions import Session
from mmd.market.feature_table import MARKET_NAMES

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
Trade = tuple[int, int, int, int]
"""Row before it, price in ticks, sign of the aggressor, lots."""


def made_session(
    seconds: Sequence[float],
    bids: Sequence[int],
    asks: Sequence[int],
    sigma: float = 2.0,
    trades: Sequence[Trade] = (),
    series: str = "made",
) -> Session:
    """Touches of ten lots a side; features are zeros."""
    count = len(seconds)
    traded = np.array(trades, dtype=np.int64).reshape(-1, 4)
    return Session(
        series=series,
        market=np.zeros((count, len(MARKET_NAMES)), dtype=np.float32),
        receive_ns=START_NS + np.round(np.array(seconds) * SECOND_NS).astype(np.int64),
        bid_ticks=np.array(bids, dtype=np.int64),
        bid_lots=np.full(count, 10, dtype=np.int64),
        ask_ticks=np.array(asks, dtype=np.int64),
        ask_lots=np.full(count, 10, dtype=np.int64),
        sigma_ticks=np.full(count, sigma),
        trade_row=traded[:, 0],
        trade_price_ticks=traded[:, 1],
        trade_sign=traded[:, 2],
        trade_lots=traded[:, 3],
    )


def drawn_session(rows: int = 1_500, seed: int = 0, series: str = "drawn", strength: float = 0.8) -> Session:
    """A random walk of the mid, ten rows a second, whose next move the feature `touch_imbalance` foretells to some degree."""
    rng = np.random.default_rng(seed)
    moves = np.round(rng.normal(size=rows) * 2).astype(np.int64)
    mid = 10_000 + np.cumsum(moves)
    coming = np.array([moves[index + 1 : index + 11].sum() for index in range(rows)])
    market = rng.normal(size=(rows, len(MARKET_NAMES))).astype(np.float32)
    market[:, 8] = strength * coming / 6.0 + rng.normal(size=rows)
    trade_rows = np.sort(rng.choice(rows - 1, rows // 3, replace=False))
    signs = rng.choice([-1, 1], len(trade_rows))
    return Session(
        series=series,
        market=market,
        receive_ns=START_NS + np.arange(rows, dtype=np.int64) * (SECOND_NS // 10),
        bid_ticks=mid - 1,
        bid_lots=rng.integers(1, 20, rows),
        ask_ticks=mid + 1,
        ask_lots=rng.integers(1, 20, rows),
        sigma_ticks=np.full(rows, 6.0),
        trade_row=trade_rows,
        trade_price_ticks=mid[trade_rows] + signs,
        trade_sign=signs,
        trade_lots=rng.integers(1, 5, len(trade_rows)),
    )


def whole(session: Session, settings: LabelSettings) -> Part:
    """All rows of a session as one part."""
    return Part(session, make_labels(session, settings), 0, session.rows)
