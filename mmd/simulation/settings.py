"""The trader's settings in a story, drawn from its seed: small limits and short time-outs, so that a few seconds meet them all."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import msgspec

from mmd.execution.settings import ExecutionSettings
from mmd.quoting.settings import QuotingSettings
from mmd.risk.limits import RiskLimits
from mmd.trader.settings import ReconciliationSettings, TraderConfig
from mmd.types.instrument import Instrument, Replacement

PREFIX = "mmd"
SECRET = "s3cr3t-0f-th3-s1mul4t10n"
"""Stands in the text of errors, as a careless library would put it there."""
START_TICKS = 10_000
NAMES = ("AAA", "BBB")
TERMINAL_ORDERS_KEPT = 15
RECEIVE_WINDOW_MS = 300

INSTRUMENTS = tuple(
    Instrument.create(f"{base}USDT", base, "USDT", tick_size="0.01", lot_size="0.01", min_notional="5") for base in NAMES
)


class Surroundings(msgspec.Struct, frozen=True):
    """What the world around the trader is like."""

    instruments: dict[str, Instrument]
    maker_fee: Decimal
    feed_latency_ns: int
    order_latency_ns: int
    exchange_offset_ns: int
    request_timeout_ns: int
    orders_per_10s: int
    """The venue's own limit."""
    earlier_lots: int
    """Bought (sold, below zero) in our account before the story, under ids like ours."""


def draw_surroundings(seed: int, symbols: int, *, turns: bool = False) -> Surroundings:
    """By seed. Where the market `turns`, it pays first: fees and the venue's limit leave room for that."""
    random = Random(f"surroundings {seed}")
    replacement = random.choice((Replacement.CANCEL_REPLACE, Replacement.CANCEL_REPLACE, Replacement.CANCEL_FIRST))
    chosen = [msgspec.structs.replace(instrument, replacement=replacement) for instrument in INSTRUMENTS[:symbols]]
    surroundings = Surroundings(
        instruments={instrument.symbol: instrument for instrument in chosen},
        maker_fee=random.choice((Decimal(0), Decimal(0), Decimal("0.001"), Decimal("-0.0001"))),
        feed_latency_ns=random.choice((1, 5, 20)) * 1_000_000,
        order_latency_ns=random.choice((1, 5, 30)) * 1_000_000,
        exchange_offset_ns=random.randrange(-2_000, 2_000) * 1_000_000,
        request_timeout_ns=random.choice((150, 250, 400)) * 1_000_000,
        orders_per_10s=random.choice((50, 150, 1_000)),
        earlier_lots=random.choice((0, 40, -40)),
    )
    if turns:
        fee = min(surroundings.maker_fee, Decimal(0))
        return msgspec.structs.replace(surroundings, maker_fee=fee, orders_per_10s=1_000)
    return surroundings


def draw_config(seed: int, symbols: int, session: str, *, turns: bool = False) -> TraderConfig:
    """By seed; `session` names the run of the process. Where the market `turns`, only the fall from the peak is to say stop."""
    random = Random(f"config {seed}")
    order = random.choice((20, 40))
    position = round(order * random.choice((1.5, 2.5, 4.0)))
    config = TraderConfig(
        session=session,
        client_order_id_prefix=PREFIX,
        quoting=QuotingSettings(
            strategy="fixed",
            fixed_half_spread_bps=random.choice((2.0, 3.0)),
            order_notional=order,
            skew_factor=random.choice((0.0, 1.0)),
        ),
        execution=ExecutionSettings(
            acknowledgement_timeout_ms=random.choice((250, 400)),
            receive_window_ms=RECEIVE_WINDOW_MS,
            query_backoff_ms=100,
            max_query_backoff_ms=400,
            not_found_confirmations=random.choice((1, 3)),
            terminal_orders_kept=TERMINAL_ORDERS_KEPT,
            minimum_quote_life_ms=random.choice((150, 300)),
            aggressive_tolerance_ticks=1,
            price_tolerance_ticks=random.choice((1, 2)),
        ),
        risk=RiskLimits(
            max_order_notional=Decimal(round(order * 1.2)),
            max_position_notional=Decimal(position),
            max_gross_exposure_notional=Decimal(round(position * symbols * random.choice((0.6, 0.6, 1.5)))),
            price_collar_bps=random.choice((5.0, 20.0, 100.0)),
            max_daily_loss=random.choice((Decimal("0.06"), Decimal("0.3"), Decimal(100))),
            max_drawdown=random.choice((Decimal("0.1"), Decimal(200))),
            max_orders_per_10s=random.choice((8, 30, 50)),
            order_count_reserve=random.choice((3, 20)),
            max_open_orders=random.choice((2, 4, 10)),
            max_data_age_seconds=random.choice((0.5, 1.0)),
            max_timer_silence_seconds=0.5,
            max_feed_lag_ms=random.choice((100.0, 500.0)),
            max_pause_seconds=random.choice((2.0, 300.0, 300.0)),
            max_pauses_per_hour=random.choice((8, 100, 100)),
            max_consecutive_errors=random.choice((5, 10)),
        ),
        reconciliation=ReconciliationSettings(
            interval_seconds=random.choice((1.0, 3.0)), retry_seconds=0.2, timeout_seconds=1.0, max_failures=20
        ),
    )
    if turns:
        limits = {"max_daily_loss": Decimal(100), "max_drawdown": random.choice((Decimal("0.1"), Decimal("0.2")))}
        rates = {"max_orders_per_10s": 50, "max_open_orders": 10, "price_collar_bps": 100.0}
        return config.model_copy(update={"risk": config.risk.model_copy(update={**limits, **rates})})
    return config
