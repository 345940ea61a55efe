"""A run's settings as the records that compiled code reads; what it cannot do as the live path does is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from mmd.backtest.errors import BacktestError
from mmd.backtest.fast import layout
from mmd.backtest.fast.layout import World
from mmd.backtest.fast.market_pass import MarketPass
from mmd.backtest.fast.network_pass import NetworkPass
from mmd.backtest.funding import REPORT_DELAY_NS, FundingPoint
from mmd.inference.gate import input_ranges
from mmd.market.feature_settings import FeatureSettings
from mmd.quoting.avellaneda_stoikov import AvellanedaStoikovQuoter
from mmd.quoting.fixed import FixedSpreadQuoter
from mmd.quoting.glft import GlftQuoter
from mmd.quoting.prediction import QuoteModel
from mmd.quoting.rescale import decay_of, spacing_ns
from mmd.risk.checks import Bounds
from mmd.risk.limits import NS_PER_SECOND, limit_atoms, nanoseconds
from mmd.trader.desk import quote_model
from mmd.trader.settings import TraderConfig
from mmd.types.instrument import Instrument, Replacement

STRATEGIES = {
    "fixed": layout.FIXED,
    "avellaneda-stoikov": layout.AVELLANEDA_STOIKOV,
    "glft": layout.GLFT,
    "neural": layout.NEURAL,
}
LARGEST = 1 << 62
FIRST_FILLS = 16_384


@dataclass(frozen=True)
class Setup:
    """What a fast run is told."""

    config: TraderConfig
    instrument: Instrument
    trade_from_ns: int
    sample_ns: int
    round_trip_ns: int
    maker_fee: float
    funding: tuple[FundingPoint, ...] = ()
    logging: bool = False
    networks: NetworkPass | None = None


def refuse_what_differs(setup: Setup, market: MarketPass) -> None:
    """Raises `BacktestError` for what the compiled loop would do otherwise than the live path."""
    config, instrument = setup.config, setup.instrument
    if config.quoting.strategy not in STRATEGIES:
        raise BacktestError(f"the fast speed has no strategy {config.quoting.strategy!r}: run it with --speed exact")
    if config.quoting.strategy == "neural" and setup.networks is None:
        raise BacktestError("the fast speed has no neural quotes without networks: give a bundle, or run it with --speed exact")
    if instrument.replacement is not Replacement.CANCEL_REPLACE:
        raise BacktestError(f"{instrument.symbol}: the fast speed knows cancel-replace alone: run it with --speed exact")
    if instrument.min_lots < 1 or instrument.min_price_ticks < 1:
        raise BacktestError(f"{instrument.symbol}: its filters allow orders of nothing: run it with --speed exact")
    if any(point.rate and point.mark_ticks is not None for point in setup.funding):
        raise BacktestError(f"{instrument.symbol}: funding at recorded marks is booked exactly alone: run it with --speed exact")
    # Whole numbers have 63 bits here and any number of them live: twice the worst value that the checks compute has to fit.
    asks, bids = market.records["ask_ticks"], market.records["bid_ticks"]
    highest, lowest = int(asks.max(initial=1)), int(bids[bids > 0].min(initial=1 << 40))
    most_atoms = 2 * (limit_atoms(config.risk.max_position_notional) + limit_atoms(config.risk.max_order_notional))
    most_lots = most_atoms // (lowest * instrument.notional_atoms) + 1
    rates = max((max(abs(each) for each in point.rate.as_integer_ratio()) for point in setup.funding if point.rate), default=1)
    if (
        max(2 * most_atoms * most_lots, 4 * highest * 10_000_000, 4 * highest * most_lots * instrument.notional_atoms * rates)
        > LARGEST
    ):
        raise BacktestError(
            f"{instrument.symbol}: its prices, lots and limits are too large for the fast speed's whole numbers: "
            "run it with --speed exact, or lower risk.max_position_notional"
        )


def world(setup: Setup, market: MarketPass) -> World:
    """The state in which a run begins. Raises `BacktestError`, see `refuse_what_differs`."""
    refuse_what_differs(setup, market)
    limits = setup.config.risk
    slots = limits.max_open_orders + 34
    orders = np.zeros(slots, layout.ORDER)
    orders["v_replaced_by"] = layout.NONE
    last_ns = int(market.records["receive_ns"][-1])
    samples = max(0, last_ns - setup.trade_from_ns) // setup.sample_ns + 16
    networks = setup.networks
    return World(
        state=_state(setup),
        orders=orders,
        lists=np.zeros((2, slots + 1), np.int64),
        sayings=_sayings(setup, slots),
        requests=np.zeros(slots * 4, layout.REQUEST),
        rings=np.zeros((5, max(limits.max_orders_per_10s, layout.HOURS_SIZE, limits.max_pauses_per_hour + 1)), np.int64),
        funding=np.zeros(len(setup.funding) + 1, layout.FUNDING),
        fills=np.zeros(FIRST_FILLS, layout.FILL),
        samples=np.zeros(samples, layout.SAMPLE),
        log=np.zeros(FIRST_FILLS * 4 if setup.logging else 1, layout.LOG),
        records=market.records,
        steps=market.steps,
        waiting=np.zeros(layout.WAITING_SIZE, layout.WAITING),
        inventory=np.zeros(layout.INVENTORY_INPUTS, np.float32),
        ranges=np.zeros(3 * layout.INVENTORY_INPUTS) if networks is None else _ranges(networks),
        predictions=np.zeros(1, layout.PREDICTION) if networks is None else networks.predictions,
        trunk=np.zeros(1, np.float32) if networks is None else networks.trunk.reshape(-1),
        layers=np.zeros(1, np.int64) if networks is None else networks.dense.layers,
        weights=np.zeros(1, np.float32) if networks is None else networks.dense.weights,
        scratch=np.zeros(1, np.float32) if networks is None else networks.dense.scratch,
    )


def _ranges(networks: NetworkPass) -> npt.NDArray[np.float64]:
    """Of the inventory inputs: low, high and width of each."""
    return np.array(input_ranges(networks.bundle.card)[-layout.INVENTORY_INPUTS :]).T.ravel().copy()


def _sayings(setup: Setup, slots: int) -> npt.NDArray[Any]:
    """What the venue will say whatever we do: that funding is settled."""
    sayings = np.zeros((2, slots * 8 + 2 * len(setup.funding)), layout.SAYING)
    for number, point in enumerate(setup.funding):
        said = sayings[layout.ANSWERS, number]
        said["kind"], said["seq"], said["due_ns"] = layout.SETTLES, number, point.happens_ns
        said["asked_ns"] = point.happens_ns + max(REPORT_DELAY_NS, 2 * setup.round_trip_ns)
        said["lots"], said["filled"] = point.rate.as_integer_ratio()
    return sayings


def _state(setup: Setup) -> npt.NDArray[Any]:
    """Everything of which there is one; what is not named here begins as 0."""
    config, instrument, none = setup.config, setup.instrument, layout.NONE
    limits, quoting = config.risk, config.quoting
    glft = GlftQuoter(quoting, instrument)
    state = np.zeros(1, layout.STATE)
    model = None if setup.networks is None else quote_model(setup.networks.bundle, quoting)
    for source in (quoting, config.execution, instrument, Bounds(limits), model):
        for name in layout.STATE.names or ():
            if name != "strategy" and hasattr(source, name):
                state[name] = getattr(source, name)
    values: dict[str, Any] = {
        "starting": True,
        "size_share": 1.0,
        "mask_every": layout.STARTING,
        "since_every": none,
        "since_symbol": none,
        "day": none,
        "rate_slid_ns": none,
        "book_was_valid": none,
        "strategy": STRATEGIES[quoting.strategy],
        "fixed_fraction": FixedSpreadQuoter(quoting, instrument).half_spread_fraction,
        "stoikov_sigmas": AvellanedaStoikovQuoter(quoting, instrument).half_spread_sigmas,
        "glft_sigmas": glft.half_spread_sigmas,
        "glft_skew_sigmas": glft.skew_sigmas,
        "horizon_seconds": 1.0,
        "sigma_floor_ticks": FeatureSettings().sigma_floor_ticks,
        "lot_atoms": 1,
        "atoms_per_lot": instrument.lot_atoms,
        "position_bound": 2 * limit_atoms(limits.max_position_notional) // instrument.notional_atoms,
        "position_cap_atoms": limit_atoms(limits.max_position_notional),
        "day_shift_ns": limits.day_start_hour_utc * 3_600 * NS_PER_SECOND,
        "max_orders_per_10s": limits.max_orders_per_10s,
        "max_orders_per_day": limits.max_orders_per_day,
        "max_pause_ns": nanoseconds(limits.max_pause_seconds),
        "max_pauses_per_hour": limits.max_pauses_per_hour,
        "trade_from_ns": setup.trade_from_ns,
        "sample_ns": setup.sample_ns,
        "round_trip_ns": setup.round_trip_ns,
        "interval_ns": int(config.reconciliation.interval_seconds * NS_PER_SECOND),
        "retry_ns": int(config.reconciliation.retry_seconds * NS_PER_SECOND),
        "timeout_ns": int(config.reconciliation.timeout_seconds * NS_PER_SECOND),
        "maker_fee": setup.maker_fee,
        "logging": setup.logging,
        "answers": len(setup.funding),
        "max_timer_silence_ns": nanoseconds(limits.max_timer_silence_seconds),
    }
    if model is not None and setup.networks is not None:
        values |= _network_values(setup.networks, model, config)
    for name, value in values.items():
        state[name] = value
    return state


def _network_values(networks: NetworkPass, model: QuoteModel, config: TraderConfig) -> dict[str, Any]:
    return {
        "step": layout.NONE,
        "void": True,
        "inventory_is_zero": True,
        "rescale": 1.0,
        "horizon_seconds": networks.bundle.card.horizon_seconds,
        "log_range": log(model.spread_max / model.spread_min),
        "decay": decay_of(config.quoting.rescale_half_life),
        "spacing_ns": spacing_ns(model.horizon_ns),
        "max_outside": config.gate.max_out_of_range_score,
        "max_prediction_age_ns": round(config.gate.max_prediction_age_ms * 1e6),
        "loss_limit_atoms": limit_atoms(config.risk.max_daily_loss),
        "exposure_limit_atoms": limit_atoms(config.risk.max_gross_exposure_notional),
        "risk_absent": not networks.has_companion,
    }
