"""What the core tells about itself when asked: the source of /state, /metrics, the terminal view and the final summary."""

from __future__ import annotations

from typing import Literal

import msgspec

from mmd.types.control import HaltRecord


class OrderLine(msgspec.Struct, frozen=True):
    """One open order of ours."""

    client_order_id: str
    symbol: str
    side: str
    price: float
    quantity: float
    state: str
    age_ns: int


class FillLine(msgspec.Struct, frozen=True):
    """One trade of ours. Price in quote units, quantity in base units."""

    time_ns: int
    """The venue's time of it, UTC."""
    trade_id: int
    side: str
    price: float
    quantity: float
    is_maker: bool


class QuoteLine(msgspec.Struct, frozen=True):
    """The newest quote of a symbol. Prices in quote units; `attribution_ticks` says how many ticks came from which part."""

    bid: float
    ask: float
    bid_quantity: float
    ask_quantity: float
    fair: float
    spread: float
    confidence: float
    predicted_direction: int
    source: str
    attribution_ticks: dict[str, float]
    size_share: float = 1.0
    """What the risk network left of the size."""
    refused: dict[str, str] = {}
    """Networks beside the quote network that were not used, and why."""


class NetworkShare(msgspec.Struct, frozen=True):
    """How much one network moved the quotes that were looked at."""

    mean_absolute_ticks: float | None
    """What it added to or took from prices; None for one that moves none."""
    moved_share: float
    """Share of the quotes whose whole ticks, or sizes, would have been others without it, before the clamps to the touch."""
    quotes: int
    mean_size_taken: float | None = None
    """Share of the size that the risk network took."""
    note: str = ""
    """Why it can move nothing, where that is so: the bundle lacks it, or gives it no weight."""


class SymbolReport(msgspec.Struct, frozen=True):
    """One symbol. Money in quote units, position in base units."""

    symbol: str
    book_valid: bool
    invalid_reason: str
    bid: float
    ask: float
    mid: float
    quote: QuoteLine | None
    position: float
    average_cost: float
    realised: float
    unrealised: float
    fees: float
    pnl: float
    fills: int
    steps: int
    ticks: int
    quotes: int
    sequence_gaps: int
    resyncs: int
    data_age_ns: int
    feed_lag_ns: int
    markouts_bps: dict[str, float]
    features: dict[str, float] = {}
    predictions: dict[str, float] = {}
    drift: dict[str, float] = {}
    """Population stability index by feature."""
    calibration: dict[str, float] = {}
    """`head.measure` to value, over the last judged predictions."""
    distributions: dict[str, tuple[float, ...]] = {}
    """Head to the 5, 50 and 95 percentiles of what it said of late."""
    attribution: dict[str, NetworkShare] = {}
    """By network."""
    funding: float = 0.0
    """Received for holding the position (below zero: paid); part of `pnl`, not of `realised`."""
    mark: float | None = None
    """The venue's mark price of a perpetual."""
    against: dict[str, float] = {}
    """By horizon, the share of our fills that the mid had gone against."""
    pnl_parts: dict[str, float] = {}
    """What the PnL is made of; `inventory` is what the other parts leave of it."""
    presence_seconds: dict[str, float] = {}
    """How long orders of ours have stood on `both` sides, `buy` or `sell` alone, or `none`."""
    funding_rate: float | None = None
    """What longs pay shorts at `next_funding_ns`, as a fraction of the position at the mark."""
    next_funding_ns: int = 0
    bids: tuple[tuple[float, float], ...] = ()
    """Price and quantity of the best levels, best first; none while the book is out of sync."""
    asks: tuple[tuple[float, float], ...] = ()
    recent_fills: tuple[FillLine, ...] = ()
    """The newest of this session, oldest first."""


class WatchedReport(msgspec.Struct, frozen=True):
    """One reference symbol: followed, not quoted."""

    symbol: str
    book_valid: bool
    invalid_reason: str
    bid: float
    ask: float
    ticks: int
    steps: int
    sequence_gaps: int
    resyncs: int
    data_age_ns: int
    feed_lag_ns: int
    features: dict[str, float] = {}


class SignalLine(msgspec.Struct, frozen=True):
    """One external signal: the value in force, and why it is that. 0 is neutral."""

    name: str
    value: float
    state: Literal["absent", "fresh", "stale"]
    age_seconds: float
    received: int


class ShadowLine(msgspec.Struct, frozen=True):
    """One symbol's champion or challenger: what its quotes would have done, by the same strict rule."""

    symbol: str
    who: Literal["champion", "challenger"]
    bundle: str
    quotes: int
    fills: int
    markouts_bps: dict[str, float]
    passed: int
    """Predictions that the gate let through."""
    refused: int


class FlattenReport(msgspec.Struct, frozen=True):
    """The newest flattening. `left` is the position of each symbol in base units, `waits_for` what keeps it from sending now."""

    outcome: Literal["working", "flat", "deadline", "stopped"]
    left: dict[str, float]
    seconds_left: float
    waits_for: str


class TraderReport(msgspec.Struct, frozen=True):
    """The whole trader. `limits_used` maps a limit's name to the fraction of it in use."""

    time_ns: int
    mode: str
    session: str
    halt: HaltRecord
    pauses: tuple[str, ...]
    symbols: tuple[SymbolReport, ...]
    open_orders: tuple[OrderLine, ...]
    ticks: int
    steps: int
    quotes: int
    orders_sent: int
    fills: int
    sequence_gaps: int
    resyncs: int
    pnl: float
    fees: float
    loss_used: float
    drawdown: float
    risk_denials: dict[str, int]
    pause_counts: dict[str, int]
    rejections: dict[str, int]
    gate_refusals: dict[str, int]
    reconciliations: dict[str, int]
    limits_used: dict[str, float]
    watched: tuple[WatchedReport, ...] = ()
    signals: tuple[SignalLine, ...] = ()
    funding: float = 0.0
    shadow: tuple[ShadowLine, ...] = ()
    network_refusals: dict[str, dict[str, int]] = {}
    """By network and reason; `gate_refusals` are those of the quote network."""
    flatten: FlattenReport | None = None
    order_commands: dict[str, int] = {}
    """What was decided about orders, by the name of the command."""
    orders_accepted: int = 0
    exposure: float = 0.0
    """Worst case of all symbols together, quote units."""
    limits: dict[str, float] = {}
    """The money limits, quote units."""
