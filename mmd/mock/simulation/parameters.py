"""Every number of the simulated market: per symbol in a table, per class of participant in others, the rest shared."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]

KINDS = 6
"""Kinds of ordinary order flow: buy, sell, new bid, new ask, cancelled bid, cancelled ask."""


class SymbolParameters(BaseModel):
    """One symbol. Quantities are in base units (BTC, ETH), distances in *steps*: `step_ticks` ticks, the grid most people price on.

    Real venues show either a spread of one tick with a queue of hours, or a spread of several ticks; here the latter is chosen, so
    that quoting has room: the usual spread is one to three steps, over levels one step apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str = Field(min_length=1)
    opening_price: float = Field(gt=0, description="efficient price at the start, in quote units")
    step_ticks: int = Field(gt=0, description="price grid of most participants, in ticks")
    order_size: float = Field(gt=0, description="median quantity of a noise trader's market order, base units")
    order_size_sigma: float = Field(default=2.4, gt=0, description="log standard deviation of market order quantities")
    order_size_max: float = Field(gt=0, description="largest market order, base units")
    limit_size: float = Field(gt=0, description="median quantity of a noise trader's limit order, base units")
    limit_size_sigma: float = Field(default=1.7, gt=0, description="log standard deviation of limit order quantities")
    maker_size: float = Field(gt=0, description="median quantity of a maker's order at its best price, base units")
    volatility_bps: float = Field(
        default=0.07, gt=0, description="diffusion of the efficient price, bps per square root of a second"
    )
    move_bps: float = Field(default=0.28, gt=0, description="scale of a sudden small move (Laplace), bps")
    common_lag_ms: int = Field(
        default=0, ge=0, le=5_000, description="how long after the others the common factor arrives, ms (in steps of 50)"
    )


class MakerParameters(BaseModel):
    """A class of competing makers. Distances in steps of the symbol's price grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    count: int = Field(gt=0, le=50, description="makers of this class per symbol")
    wakes_per_second: float = Field(gt=0, description="how often each looks at the market, 1/s")
    latency_ms: int = Field(
        ge=1, le=2_000, description="age of the price a maker knows, ms; each maker's own is 0.5 to 1.5 times this"
    )
    half_spread_steps: float = Field(gt=0, description="distance of the best quote from the maker's estimate, steps")
    rungs: tuple[int, ...] = Field(
        min_length=1, description="distances of the maker's orders behind its best quote, steps, rising from 0"
    )
    size_factor: float = Field(default=1.0, gt=0, description="multiplies the symbol's maker_size")
    behind_factor: float = Field(default=0.2, gt=0, description="quantity of the orders behind the best one, as a factor of it")
    size_growth: float = Field(default=0.06, ge=0, description="growth of the quantity per step behind the best quote")
    error_steps: float = Field(default=0.6, ge=0, description="standard deviation of the maker's error about the price, steps")
    error_seconds: float = Field(default=4.0, gt=0, description="how long an error lasts, s")
    foresight: float = Field(default=0.0, ge=0, le=1, description="weight of the coming move in the maker's sizes and withdrawals")
    inventory_skew_steps: float = Field(default=1.0, ge=0, description="shift of both quotes at full inventory, steps")


class InformedParameters(BaseModel):
    """A class of traders who know what the asset is worth, now or soon."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    wakes_per_second: float = Field(gt=0, description="how often they look, 1/s per symbol")
    horizon_ms: int = Field(ge=-2_000, le=5_000, description="how far ahead they know the efficient price (below 0: how late), ms")
    edge_steps: float = Field(ge=0, description="gain beyond the touch for which they take, steps")
    levels: int = Field(ge=1, le=50, description="levels they take at most each time they look")
    join_share: float = Field(
        default=0.0, ge=0, le=1, description="share of looks without such a gain that join the favoured queue"
    )


def _default_symbols() -> tuple[SymbolParameters, ...]:
    return (
        SymbolParameters(
            symbol="BTCUSDT",
            opening_price=60_000,
            step_ticks=18,
            order_size=0.012,
            order_size_max=8,
            limit_size=0.04,
            maker_size=0.30,
        ),
        SymbolParameters(
            symbol="ETHUSDT",
            opening_price=3_500,
            step_ticks=2,
            order_size=0.12,
            order_size_max=100,
            limit_size=0.5,
            maker_size=4.0,
            volatility_bps=0.13,
            move_bps=0.33,
            common_lag_ms=100,
        ),
    )


def _default_makers() -> tuple[MakerParameters, ...]:
    return (
        MakerParameters(
            name="fast",
            count=4,
            wakes_per_second=8,
            latency_ms=50,
            half_spread_steps=1.2,
            rungs=(0, 1, 2, 3, 4, 6, 9, 13),
            foresight=1.0,
        ),
        MakerParameters(
            name="slow",
            count=3,
            wakes_per_second=2.5,
            latency_ms=150,
            half_spread_steps=1.6,
            rungs=(0, 1, 2, 4, 6, 9, 12, 16, 20, 25, 31),
            size_factor=1.3,
            error_steps=0.9,
            foresight=0.5,
        ),
        MakerParameters(
            name="patient",
            count=1,
            wakes_per_second=1.0,
            latency_ms=400,
            half_spread_steps=24,
            rungs=(0, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024),
            size_factor=3.0,
            behind_factor=1.0,
            size_growth=0.02,
            error_steps=0.0,
            inventory_skew_steps=0.0,
        ),
    )


def _default_informed() -> tuple[InformedParameters, ...]:
    return (
        InformedParameters(name="foresighted", wakes_per_second=0.6, horizon_ms=700, edge_steps=1.0, levels=3, join_share=0.5),
        InformedParameters(name="arbitrageur", wakes_per_second=3.0, horizon_ms=-120, edge_steps=4.0, levels=4),
    )


STRONGLY_INFORMED = (
    InformedParameters(name="informed", wakes_per_second=4.0, horizon_ms=1_000, edge_steps=0.5, levels=4, join_share=0.5),
)
"""In the place of the calibrated ones, to show what informed traders do to those who quote."""

# Expected children of each kind by each kind (rows cause, columns follow): buy, sell, bid, ask, cancelled bid, cancelled ask.
_DEFAULT_CHILDREN = (
    (0.66, 0.01, 0.30, 0.15, 0.05, 0.25),
    (0.01, 0.66, 0.15, 0.30, 0.25, 0.05),
    (0.02, 0.00, 0.25, 0.08, 0.10, 0.05),
    (0.00, 0.02, 0.08, 0.25, 0.05, 0.10),
    (0.00, 0.03, 0.12, 0.05, 0.20, 0.06),
    (0.03, 0.00, 0.05, 0.12, 0.06, 0.20),
)


class SimulationParameters(BaseModel):
    """The whole market: a table of symbols, tables of makers and of informed traders, and what all of them share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbols: tuple[SymbolParameters, ...] = Field(default_factory=_default_symbols, min_length=1)
    makers: tuple[MakerParameters, ...] = Field(default_factory=_default_makers, min_length=1)

    informed: tuple[InformedParameters, ...] = Field(default_factory=_default_informed)

    common_share: float = Field(
        default=0.9, ge=0, le=1, description="share of a symbol's variance that comes from the common factor"
    )
    move_rate: float = Field(default=0.5, ge=0, description="sudden small moves of a symbol's efficient price, 1/s")
    jump_rate: float = Field(default=0.002, ge=0, description="rare common jumps, 1/s")
    jump_bps: float = Field(default=2.0, ge=0, description="scale of a rare jump (Laplace), bps")
    fast_volatility_sigma: float = Field(
        default=0.5, ge=0, le=1, description="standard deviation of the quick part of log volatility"
    )
    fast_volatility_seconds: float = Field(default=20.0, gt=0, description="time in which the quick part reverts, s")
    slow_volatility_sigma: float = Field(
        default=0.3, ge=0, le=1, description="standard deviation of the slow part of log volatility"
    )
    slow_volatility_seconds: float = Field(default=1_200.0, gt=0, description="time in which the slow part reverts, s")
    price_reversion_hours: float = Field(default=24.0, gt=0, description="time in which the price returns to its opening, hours")

    market_order_rate: float = Field(default=0.95, gt=0, description="market orders of one side that nothing excited, 1/s")
    limit_order_rate: float = Field(default=2.0, gt=0, description="limit orders of one side that nothing excited, 1/s")
    limit_order_seconds: float = Field(default=16.0, gt=0, description="mean life of a noise trader's limit order, s")
    children: tuple[tuple[float, ...], ...] = Field(
        default=_DEFAULT_CHILDREN, description="Hawkes branching matrix, expected children per event"
    )
    excitation_seconds: float = Field(default=0.6, gt=0, description="mean time from an event to its children, s")
    protection_bps: float = Field(default=4.0, gt=0, description="a market order goes no further than this from the touch, bps")
    improve_share: float = Field(
        default=0.15, ge=0, le=1, description="share of limit orders that improve the touch where the spread has room"
    )
    join_share: float = Field(default=0.35, ge=0, le=1, description="share of limit orders that join the touch")
    depth_steps: float = Field(default=9.0, gt=0, description="mean distance of the other limit orders behind the touch, steps")
    off_grid_share: float = Field(default=0.1, ge=0, le=1, description="share of limit orders priced between the steps")

    watching_wakes_per_second: float = Field(
        default=4.0, gt=0, description="how often noise traders look after their limit orders, 1/s"
    )
    watching_latency_ms: int = Field(default=150, ge=0, le=2_000, description="age of the price they see then, ms")
    watching_share: float = Field(
        default=0.6, ge=0, le=1, description="share of orders a step or more off that are withdrawn at a look"
    )

    foresight_ms: int = Field(default=900, ge=0, le=5_000, description="how far ahead makers with foresight look, ms")
    foresight_noise_steps: float = Field(default=1.5, ge=0, description="standard deviation of the error in what they see, steps")
    foresight_scale_steps: float = Field(default=5.0, gt=0, description="a move this large is seen as nearly certain, steps")
    foresight_withdrawal_steps: float = Field(default=2.5, ge=0, description="how far an endangered side withdraws at most, steps")
    foresight_size_lean: float = Field(
        default=0.8, ge=0, description="log of the quantity's factor at full outlook; its inverse on the other side"
    )
    inventory_seconds: float = Field(default=8.0, gt=0, description="time in which a maker lays off its inventory elsewhere, s")
    min_spread_ticks: int = Field(
        default=1, ge=1, description="simulated participants rest no order closer than this to the opposite touch, ticks"
    )

    @model_validator(mode="after")
    def _stable(self) -> SimulationParameters:
        names = [each.symbol for each in self.symbols]
        if len(set(names)) != len(names):
            raise ValueError(f"symbols: each may appear once, got {names}")
        matrix = np.array(self.children, dtype=float)
        if matrix.shape != (KINDS, KINDS) or (matrix < 0).any():
            raise ValueError(f"children: expected {KINDS} rows of {KINDS} numbers not below 0, got shape {matrix.shape}")
        radius = float(max(abs(np.linalg.eigvals(matrix))))
        if radius >= 0.95:
            raise ValueError(f"children: spectral radius {radius:.2f} must stay below 0.95, or the order flow grows without bound")
        for maker in self.makers:
            if maker.rungs[0] != 0 or any(a >= b for a, b in zip(maker.rungs, maker.rungs[1:], strict=False)):
                raise ValueError(f"makers: rungs of {maker.name!r} must rise from 0, got {maker.rungs}")
        return self
