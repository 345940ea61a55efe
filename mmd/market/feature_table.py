"""The features by name, formula, unit and source: the one list from which the order of a row and the documentation come."""

from __future__ import annotations

import msgspec


class FeatureRow(msgspec.Struct, frozen=True):
    """One line of the table."""

    name: str
    formula: str
    unit: str
    source: str


NOTATION = """\
One row stands for one step. m: mid, ticks; r: its change since the step before (0 at the first step); s: spread, ticks, 0 where
locked or crossed; b, a: lots at the best bid and ask; B, S: lots bought and sold by aggressors since the step before, V = B + S;
N: traded ticks x lots; k: number of trades; dt: receive time since the step before, seconds.
Sum20, Mean20, Std20, Mean10: over the last 20 or 10 steps, fewer at the start; n = min(steps so far, 20).
Ewma: over all steps so far, half-life 200 steps, weights adding up to one.
Rate(x, h): the sum of x over the steps after the first, weighted by 0.5^(age / h seconds), divided by the integral of that weight over
the time since the first step: x per second.
v: variance of the mid per second of time, Rate(d^2, 60) as of the last sample; d: change of m between samples, each the first step at
least 1 s after the sample before.
floor = 0.02 Ewma(s). sigma_step = sqrt(Ewma(r^2) + floor^2). sigma_10s = sqrt(10 v + floor^2).
A ratio is 0 where its denominator is 0. Every value is clipped to [-10, 10].
"""

ARTICLE = "article's eight"
TRADES = "trades"
BOOK = "best bid and ask"
LEVELS = "five levels a side"

FEATURES: tuple[FeatureRow, ...] = (
    FeatureRow("trade_imbalance", "Sum20(B - S) / Sum20(B + S)", "share of traded lots, [-1, 1]", f"{TRADES} ({ARTICLE})"),
    FeatureRow("mid_return", "r / sigma_step", "volatilities of one step", f"{BOOK} ({ARTICLE})"),
    FeatureRow("return_mean_20", "Sum20(r) / (sigma_step sqrt(n))", "volatilities of n steps", f"{BOOK} ({ARTICLE})"),
    FeatureRow("return_std_20", "Std20(r) / sigma_step, sample deviation", "volatilities of one step", f"{BOOK} ({ARTICLE})"),
    FeatureRow(
        "vwap_deviation_20",
        "(m - Sum20(N) / Sum20(V)) / (sigma_step sqrt(n))",
        "volatilities of n steps",
        f"{BOOK}, {TRADES} ({ARTICLE})",
    ),
    FeatureRow("relative_spread", "ln(max(s, 0.1 Ewma(s)) / sigma_10s)", "log of volatilities over 10 s", f"{BOOK} ({ARTICLE})"),
    FeatureRow(
        "spread_to_average_10",
        "ln(max(s, 0.1 Ewma(s)) / max(Mean10(s), 0.1 Ewma(s)))",
        "log ratio",
        f"{BOOK} ({ARTICLE})",
    ),
    FeatureRow("volume", "ln(1 + V / Ewma(V))", "log of usual volumes of a step", f"{TRADES} ({ARTICLE})"),
    FeatureRow("touch_imbalance", "(b - a) / (b + a)", "share of the touch's lots, [-1, 1]", BOOK),
    FeatureRow("depth_imbalance_5", "(b - a) / (b + a) of the best five levels", "share of their lots, [-1, 1]", LEVELS),
    FeatureRow("microprice_deviation", "(s / 2) (b - a) / (b + a) / sigma_10s", "volatilities over 10 s", BOOK),
    FeatureRow(
        "order_flow_20",
        "asinh(Sum20(e) / Mean20((b + a) / 2)), e: order-flow imbalance of Cont, Kukanov and Stoikov (2014)",
        "asinh of mean quantities at the touch",
        BOOK,
    ),
    FeatureRow(
        "trade_intensity",
        "ln((Rate(k, 2) / Rate(k, 120) + 0.1) / 1.1)",
        "log ratio of trades per second",
        TRADES,
    ),
    FeatureRow("signed_volume", "asinh(Rate(B - S, 2) / Rate(B + S, 120))", "asinh of usual volumes per second", TRADES),
    FeatureRow("volatility_short", "ln((Rate(r^2, 2) / Rate(r^2, 1200) + 0.01) / 1.01) / 2", "log ratio of volatilities", BOOK),
    FeatureRow("volatility_medium", "ln((Rate(r^2, 15) / Rate(r^2, 1200) + 0.01) / 1.01) / 2", "log ratio of volatilities", BOOK),
    FeatureRow("volatility_long", "ln((Rate(r^2, 120) / Rate(r^2, 1200) + 0.01) / 1.01) / 2", "log ratio of volatilities", BOOK),
    FeatureRow(
        "trend",
        "sum of r weighted by 0.5^(age / 15 s) (m less its fading average), divided by sqrt(v 15 / (2 ln 2) + floor^2)",
        "its volatility in a random walk",
        BOOK,
    ),
    FeatureRow(
        "time_since_trade",
        "ln(1 + t Rate(k, 120)), t: seconds since the last step with a trade, 0 before the first one",
        "log of usual times between trades",
        TRADES,
    ),
    FeatureRow("time_since_step", "ln(1 + 1000 dt)", "log of milliseconds", "receive time"),
)

INVENTORY_FEATURES: tuple[FeatureRow, ...] = (
    FeatureRow("position", "position / limit, clipped to [-1, 1]", "share of the limit, long positive", "ledger, limits"),
    FeatureRow("position_age", "ln(1 + seconds since last flat or turned over); 0 while flat", "log of seconds, [0, 10]", "ledger"),
    FeatureRow(
        "entry_offset",
        "sign(position) (mid - average entry) / sigma over the quote horizon, clipped to [-10, 10]; 0 while flat",
        "volatilities, in profit positive",
        "ledger, best bid and ask",
    ),
    FeatureRow("unrealised", "unrealised PnL / loss budget, clipped to [-1, 1]", "share of the loss budget", "ledger, limits"),
    FeatureRow("exposure", "gross exposure / its limit, clipped to [0, 1]", "share of the limit", "open orders, ledger, limits"),
)

MARKET_NAMES: tuple[str, ...] = tuple(row.name for row in FEATURES)
INVENTORY_NAMES: tuple[str, ...] = tuple(row.name for row in INVENTORY_FEATURES)


def feature_rows() -> tuple[FeatureRow, ...]:
    """Name, formula, unit and source of the 20 market features and then the 5 inventory ones, in the order of the inputs."""
    return FEATURES + INVENTORY_FEATURES
