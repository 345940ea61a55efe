"""The market features computed a second time, with pandas over the whole table of steps at once, and tables of recorded steps.

Each formula is the one that mmd/market/feature_table.py states, reached by another way.
Rolling windows: `rolling(n, min_periods=1)`. Averages over steps: `ewm(halflife=steps)`. Fading sums: `ewm(halflife=seconds,
times=receive time)`, since the weighted mean of x, over the weighted mean of each step's share of the weight's integral, times that
integral, is the weighted sum of x. What holds as of the last sample: the same on the table of samples, carried forward.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

Floats = npt.NDArray[np.float64]
COLUMNS = (
    "receive_ns",
    "bid_ticks",
    "bid_lots",
    "ask_ticks",
    "ask_lots",
    "bid_lots_5",
    "ask_lots_5",
    "buy_lots",
    "sell_lots",
    "trade_count",
    "traded_ticks_lots",
)
SECOND = 1e9


def share(part: pd.Series, whole: pd.Series) -> pd.Series:
    """part / whole, 0 where whole is 0."""
    return (part / whole.where(whole != 0)).fillna(0.0)


def contrast(x: pd.Series, y: pd.Series) -> pd.Series:
    return share(x - y, x + y)


def integral(seconds: pd.Series, half_life: float) -> pd.Series:
    """Of the weight 0.5^(age / half-life) over the last `seconds`."""
    return -np.expm1(-seconds * np.log(2) / half_life) * half_life / np.log(2)


def weighted_mean(x: pd.Series, receive_ns: pd.Series, half_life: float) -> pd.Series:
    """Times count from the first row: pandas holds them as floats, which would round ns since 1970 to 256 ns."""
    since_first = pd.to_datetime(receive_ns - receive_ns.iloc[0])
    return x.astype(float).ewm(halflife=pd.Timedelta(seconds=half_life), times=since_first).mean()


def fade(x: pd.Series, receive_ns: pd.Series, half_life: float) -> pd.Series:
    """Sum of x weighted by 0.5^(age / half-life)."""
    shares = integral(receive_ns.diff().fillna(0) / SECOND, half_life)
    total = integral((receive_ns - receive_ns.iloc[0]) / SECOND, half_life)
    faded = weighted_mean(x, receive_ns, half_life) / weighted_mean(shares, receive_ns, half_life).where(total > 0) * total
    return faded.where(total > 0, x.cumsum())


def sample_rows(receive_ns: Floats, interval_ns: int) -> list[int]:
    """The first row, then each first one at least `interval_ns` after the one before."""
    rows = [0]
    while (row := int(np.searchsorted(receive_ns, receive_ns[rows[-1]] + interval_ns))) < len(receive_ns):
        rows.append(row)
    return rows


def usual(t: pd.DataFrame) -> pd.DataFrame:
    """v, u, w, k', V', T(2), T(15), volatility_long: as of the last sample, one row for each step."""
    rows = sample_rows(t["receive_ns"].to_numpy(), 1_000_000_000)
    at = t["receive_ns"].iloc[rows].reset_index(drop=True)

    def between(x: pd.Series) -> pd.Series:
        """Sums from sample to sample; the first step's are in the second sample's."""
        totals = x.cumsum().iloc[rows].reset_index(drop=True)
        return totals.diff().fillna(0).where(totals.index != 1, totals)

    def time(half_life: float) -> pd.Series:
        return integral((at - at.iloc[0]) / SECOND, half_life)

    sampled_change = t["mid"].iloc[rows].reset_index(drop=True).diff().fillna(0)
    squared = between(t["r"] ** 2)
    w = share(fade(squared, at, 1200), time(1200))
    u = weighted_mean(t["spread"].iloc[rows].reset_index(drop=True), at, 60)
    columns = {
        "v": share(fade(sampled_change**2, at, 60), time(60)),
        "u": u,
        "usual_lots": weighted_mean((t["bid_lots"] + t["ask_lots"]).iloc[rows].reset_index(drop=True) / 2, at, 60),
        "w": w,
        "trade_rate": share(fade(between(t["trade_count"]), at, 120), time(120)),
        "volume_rate": share(fade(between(t["volume"]), at, 120), time(120)),
        "time_2": time(2),
        "time_15": time(15),
        "volatility_long": contrast(fade(squared, at, 120), w * time(120)),
    }
    samples = pd.DataFrame(columns)
    samples.index = pd.Index(rows)
    return samples.reindex(range(len(t))).ffill()


def order_flow(t: pd.DataFrame) -> pd.Series:
    """Cont, Kukanov and Stoikov (2014), equation 4, with its indicator functions."""
    was = t.shift()
    flow = (
        (t["bid_ticks"] >= was["bid_ticks"]) * t["bid_lots"]
        - (t["bid_ticks"] <= was["bid_ticks"]) * was["bid_lots"]
        - (t["ask_ticks"] <= was["ask_ticks"]) * t["ask_lots"]
        + (t["ask_ticks"] >= was["ask_ticks"]) * was["ask_lots"]
    )
    return flow.fillna(0.0)


def reference(steps: pd.DataFrame) -> pd.DataFrame:
    """The features of a table with `COLUMNS`, whose prices are all above 0 and whose times do not run backwards."""
    t = steps.reset_index(drop=True).copy()
    t["mid"] = (t["bid_ticks"] + t["ask_ticks"]) / 2
    t["r"] = t["mid"].diff().fillna(0.0)
    t["spread"] = (t["ask_ticks"] - t["bid_ticks"]).clip(lower=0)
    t["volume"] = t["buy_lots"] + t["sell_lots"]
    t["signed"] = t["buy_lots"] - t["sell_lots"]
    now = t["receive_ns"] = t["receive_ns"] - t["receive_ns"].iloc[0]
    last = usual(t)

    def sum_of(x: pd.Series, window: int = 20) -> pd.Series:
        return x.astype(float).rolling(window, min_periods=1).sum().round(6)

    count = pd.Series(np.minimum(np.arange(1, len(t) + 1), 20))
    sigma_step = np.sqrt((t["r"] ** 2).ewm(halflife=200).mean() + (0.1 * last["u"]) ** 2)
    sigma_10 = np.sqrt(10 * last["v"] + (0.1 * last["u"]) ** 2)
    trend_sigma = np.sqrt(15 / (2 * np.log(2)) * last["v"] + (0.1 * last["u"]) ** 2)
    traded, depth, depth_5 = sum_of(t["volume"]), t["bid_lots"] + t["ask_lots"], t["bid_lots_5"] + t["ask_lots_5"]
    imbalance = share(t["bid_lots"] - t["ask_lots"], depth)
    first_mid = t["mid"].iloc[0]
    vwap = first_mid + sum_of(t["traded_ticks_lots"] - first_mid * t["volume"]) / traded.where(traded > 0)
    average_spread = sum_of(t["spread"], 10) / np.minimum(np.arange(1, len(t) + 1), 10)
    spread_ratio = share(np.maximum(t["spread"], 0.1 * last["u"]), sigma_10)
    signed = fade(t["signed"], now, 2)
    trade_ns = now.where(t["trade_count"] > 0).ffill().fillna(0)
    w = last["w"]
    values = {
        "trade_imbalance": share(sum_of(t["signed"]), traded),
        "mid_return": share(t["r"], sigma_step),
        "return_mean_20": share(sum_of(t["r"]), sigma_step * np.sqrt(count)),
        "return_std_20": share(t["r"].rolling(20, min_periods=2).std().fillna(0.0), sigma_step),
        "vwap_deviation_20": share((t["mid"] - vwap).fillna(0.0), sigma_step * np.sqrt(count)),
        "relative_spread": np.log(spread_ratio.where(spread_ratio > 0, 1.0)),
        "spread_to_average_10": contrast(t["spread"], average_spread),
        "volume": np.log1p(share(t["volume"], t["volume"].ewm(halflife=200).mean())),
        "touch_imbalance": imbalance,
        "depth_imbalance_5": share(t["bid_lots_5"] - t["ask_lots_5"], depth_5),
        "microprice_deviation": share(t["spread"] / 2 * imbalance, sigma_10),
        "order_flow_20": np.arcsinh(share(sum_of(order_flow(t)), sum_of(depth / 2) / count)),
        "trade_intensity": contrast(fade(t["trade_count"], now, 2), last["trade_rate"] * last["time_2"]),
        "signed_volume": share(signed, signed.abs() + last["volume_rate"] * last["time_2"]),
        "volatility_short": contrast(fade(t["r"] ** 2, now, 2), w * last["time_2"]),
        "volatility_medium": contrast(fade(t["r"] ** 2, now, 15), w * last["time_15"]),
        "volatility_long": last["volatility_long"],
        "trend": share(fade(t["r"], now, 15), trend_sigma),
        "time_since_trade": np.log1p((now - trade_ns) / SECOND * last["trade_rate"]),
        "time_since_step": np.log1p(now.diff().fillna(0) / 1e6),
        **recent(t, last, imbalance),
    }
    return pd.DataFrame(values).clip(-10.0, 10.0)


def recent(t: pd.DataFrame, last: pd.DataFrame, imbalance: pd.Series) -> dict[str, pd.Series]:
    """The twelve of what has just happened at the touch."""
    now, flow, lots = t["receive_ns"], order_flow(t), last["usual_lots"]
    half_spread = np.sqrt((t["spread"] / 2) ** 2 + last["v"] / 25 + (last["u"] / 10) ** 2)
    mid = t["mid"] - t["mid"].iloc[0]
    prices = share(t["traded_ticks_lots"] - t["mid"].iloc[0] * t["volume"], t["volume"])[t["volume"] > 0]
    thin = share(t[["bid_lots", "ask_lots"]].min(axis=1), lots)

    def offset(price: pd.Series) -> pd.Series:
        return share((price.reindex(t.index).ffill() - mid).fillna(0.0), half_spread)

    def left(side: str) -> pd.Series:
        price, shown = t[f"{side}_ticks"], t[f"{side}_lots"]
        return share(shown, shown.groupby((price != price.shift()).cumsum()).cummax())

    jumps = imbalance.diff().fillna(0.0)
    return {
        "signed_flow_300ms": np.arcsinh(share(fade(t["signed"], now, 0.3), lots)),
        "last_trade_offset": offset(prices),
        "average_trade_offset": offset(prices.ewm(alpha=0.3, adjust=False).mean()),
        "imbalance_change_300ms": fade(jumps, now, 0.3),
        "imbalance_change_3s": fade(jumps, now, 3),
        "order_flow_100ms": np.arcsinh(share(fade(flow, now, 0.1), lots)),
        "order_flow_300ms": np.arcsinh(share(fade(flow, now, 0.3), lots)),
        "move_100ms": share(fade(t["r"], now, 0.1), half_spread),
        "move_300ms": share(fade(t["r"], now, 0.3), half_spread),
        "thin_side": np.log(thin.where(thin > 0, 1.0)),
        "spread_to_usual": contrast(t["spread"], last["u"]),
        "depletion": left("bid") - left("ask"),
    }


def sigma_ticks(steps: pd.DataFrame, horizon_seconds: float) -> pd.Series:
    """Volatility of the mid over the horizon, at least half a tick."""
    t = steps.reset_index(drop=True).copy()
    t["mid"] = (t["bid_ticks"] + t["ask_ticks"]) / 2
    t["r"] = t["mid"].diff().fillna(0.0)
    t["spread"], t["volume"] = t["ask_ticks"] - t["bid_ticks"], 0
    return np.maximum(np.sqrt(usual(t)["v"] * horizon_seconds), 0.5)


def recorded_steps(book: Path, trades: Path | None, tick: float, lot: float, rows: int) -> pd.DataFrame:
    """Recorded steps as a table: the touch's changes and the trades in order of receive time, a trade with the touch before it."""
    quotes = pl.read_parquet(book, n_rows=rows)
    levels = [level for level in range(1, 6) if f"bid_px_{level}" in quotes.columns]
    sized = "bid_sz_1" in quotes.columns

    def lots(column: str) -> Floats:
        return np.rint(quotes[column].to_numpy() / lot) if sized else np.zeros(len(quotes))

    sides = {
        f"{side}_{what}": value
        for side in ("bid", "ask")
        for what, value in {
            "ticks": np.rint(quotes[f"{side}_px_1"].to_numpy() / tick),
            "lots": lots(f"{side}_sz_1"),
            "lots_5": np.nansum([lots(f"{side}_sz_{level}") for level in levels], axis=0),
        }.items()
    }
    table = pd.DataFrame({"receive_ns": quotes["ts_ns"].to_numpy(), **sides})
    touch = ["bid_ticks", "bid_lots", "ask_ticks", "ask_lots"]
    table = table[(table[touch].diff() != 0).any(axis=1)]
    traded = ["buy_lots", "sell_lots", "trade_count", "traded_ticks_lots"]
    table[traded] = 0
    if trades is not None:
        prints = pl.read_parquet(trades).filter(pl.col("ts_ns") <= int(table["receive_ns"].iloc[-1]))
        size = np.rint(prints["sz"].to_numpy() / lot)
        added = pd.DataFrame({"receive_ns": prints["ts_ns"].to_numpy(), "trade_count": 1})
        added["buy_lots"] = np.where(prints["side"].to_numpy() > 0, size, 0.0)
        added["sell_lots"] = size - added["buy_lots"]
        added["traded_ticks_lots"] = np.rint(prints["px"].to_numpy() / tick) * size
        table = pd.concat([table, added]).sort_values("receive_ns", kind="stable")
        book_columns = list(COLUMNS[1:7])
        table[book_columns] = table[book_columns].ffill()
        table = table.dropna()
    return table[list(COLUMNS)].astype(np.int64).reset_index(drop=True)
