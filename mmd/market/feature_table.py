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
One row stands for one step, and is made of that step and those before it alone. m: mid, ticks; r: its change since the step before
(0 at the first step); s: spread, ticks, 0 where locked or crossed; b, a: lots at the best bid and ask; B, S: lots bought and sold
by aggressors since the step before, V = B + S; N: traded ticks x lots; k: number of trades; dt: receive time since the step
before, seconds.
Sum20, Mean20, Std20, Mean10: over the last 20 or 10 steps, fewer at the start; n = min(steps so far, 20).
Ewma: over all steps so far, weights halved every 200 steps and adding up to one.
Fade(x, h): sum over all steps so far, weighted by 0.5^(age / h seconds). T(h): that weight's integral over the time from the first
step to the last sample, seconds. Samples are steps: the first one, then each first one at least 1 s after the sample before.
Of the last sample (sums between samples count from the sample on):
v = Fade(d^2, 60) / T(60), d: change of m from sample to sample: variance of the mid per second; u: average of s over the samples,
weighted by 0.5^(age / 60 s); w = Fade(r^2, 1200) / T(1200); k' = Fade(k, 120) / T(120); V' = Fade(V, 120) / T(120).
D: average of (b + a) / 2 over the samples, weighted by 0.5^(age / 60 s).
h = sqrt((s / 2)^2 + v / 25 + (u / 10)^2): half a spread, no narrower than the mid's volatility over 0.04 s.
i: (b - a) / (b + a); i', e: change of i since the step before, and order-flow imbalance of Cont, Kukanov and Stoikov (2014).
p: average price of the trades of a step.
sigma_step = sqrt(Ewma(r^2) + (u / 10)^2); sigma(t) = sqrt(t v + (u / 10)^2). contrast(x, y) = (x - y) / (x + y).
A ratio is 0 where its denominator is 0. Every value is clipped to [-10, 10].
"""

ARTICLE = "article's eight"
TRADES = "trades"
BOOK = "best bid and ask"
CONTRAST = "tanh of half a log ratio, [-1, 1]"

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
    FeatureRow("relative_spread", "ln(max(s, u / 10) / sigma(10))", "log of volatilities over 10 s", f"{BOOK} ({ARTICLE})"),
    FeatureRow("spread_to_average_10", "contrast(s, Mean10(s))", CONTRAST, f"{BOOK} ({ARTICLE})"),
    FeatureRow("volume", "ln(1 + V / Ewma(V))", "log of usual volumes of a step", f"{TRADES} ({ARTICLE})"),
    FeatureRow("touch_imbalance", "(b - a) / (b + a)", "share of the touch's lots, [-1, 1]", BOOK),
    FeatureRow("depth_imbalance_5", "(b - a) / (b + a) of the best five levels", "share of their lots, [-1, 1]", "book"),
    FeatureRow("microprice_deviation", "(s / 2) (b - a) / (b + a) / sigma(10)", "volatilities over 10 s", BOOK),
    FeatureRow(
        "order_flow_20",
        "asinh(Sum20(e) / Mean20((b + a) / 2)), e: order-flow imbalance of Cont, Kukanov and Stoikov (2014)",
        "asinh of mean quantities at the touch",
        BOOK,
    ),
    FeatureRow("trade_intensity", "contrast(Fade(k, 2), k' T(2))", CONTRAST, TRADES),
    FeatureRow("signed_volume", "x / (|x| + V' T(2)), x = Fade(B - S, 2)", "share, [-1, 1]", TRADES),
    FeatureRow("volatility_short", "contrast(Fade(r^2, 2), w T(2))", CONTRAST, BOOK),
    FeatureRow("volatility_medium", "contrast(Fade(r^2, 15), w T(15))", CONTRAST, BOOK),
    FeatureRow("volatility_long", "contrast(Fade(r^2, 120), w T(120)) as of the last sample", CONTRAST, BOOK),
    FeatureRow(
        "trend",
        "Fade(r, 15) / sigma(15 / (2 ln 2)): m less its fading average",
        "its own volatilities in a random walk",
        BOOK,
    ),
    FeatureRow(
        "time_since_trade",
        "ln(1 + k' t), t: seconds since the last step with a trade, or the first step",
        "log of usual times between trades",
        TRADES,
    ),
    FeatureRow("time_since_step", "ln(1 + 1000 dt)", "log of milliseconds", "receive time"),
    FeatureRow("signed_flow_300ms", "asinh(Fade(B - S, 0.3) / D)", "asinh of usual quantities at the touch", TRADES),
    FeatureRow("last_trade_offset", "(p of the last step with trades - m) / h", "half-spreads", f"{BOOK}, {TRADES}"),
    FeatureRow(
        "average_trade_offset",
        "(P - m) / h, P: average of p over steps with trades, each weighing 0.3 and those before it 0.7",
        "half-spreads",
        f"{BOOK}, {TRADES}",
    ),
    FeatureRow("imbalance_change_300ms", "Fade(i', 0.3): i less its fading average", "share of the touch's lots", BOOK),
    FeatureRow("imbalance_change_3s", "Fade(i', 3): i less its fading average", "share of the touch's lots", BOOK),
    FeatureRow("order_flow_100ms", "asinh(Fade(e, 0.1) / D)", "asinh of usual quantities at the touch", BOOK),
    FeatureRow("order_flow_300ms", "asinh(Fade(e, 0.3) / D)", "asinh of usual quantities at the touch", BOOK),
    FeatureRow("move_100ms", "Fade(r, 0.1) / h: m less its fading average", "half-spreads", BOOK),
    FeatureRow("move_300ms", "Fade(r, 0.3) / h: m less its fading average", "half-spreads", BOOK),
    FeatureRow("thin_side", "ln(min(b, a) / D)", "log of usual quantities at the touch", BOOK),
    FeatureRow("spread_to_usual", "contrast(s, u)", CONTRAST, BOOK),
    FeatureRow(
        "depletion",
        "b / (most b since the bid's price changed) - a / (most a since the ask's price changed)",
        "difference of shares, [-1, 1]",
        BOOK,
    ),
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
    """Name, formula, unit and source of the market features and then the 5 inventory ones, in the order of the inputs."""
    return FEATURES + INVENTORY_FEATURES
