"""The usual way, as a reference: at each tick recompute features over a window with pandas and call `model.predict` of Keras.

The network is the article's: 60 x 20 market inputs through LSTM 128 and LSTM 64, joined with 5 inventory inputs, three heads.
"""

from __future__ import annotations

import importlib.util
import os
from time import perf_counter_ns
from typing import Any

import numpy as np

from mmd.daemon.latency import LatencyHistogram, Percentiles

WINDOW_ROWS = 200


def available() -> bool:
    """Whether TensorFlow and pandas are installed here (extras `train` and `dev`)."""
    return all(importlib.util.find_spec(name) is not None for name in ("tensorflow", "pandas"))


def measure(rounds: int) -> Percentiles:
    """Features and prediction of one tick, whole."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import pandas as pd

    model = _model()
    rng = np.random.default_rng(1)
    mid = 60_000 + np.cumsum(rng.normal(size=WINDOW_ROWS))
    market = pd.DataFrame(
        {
            "bid": mid - 0.5,
            "ask": mid + 0.5,
            "bid_volume": rng.gamma(2.0, 1.0, WINDOW_ROWS),
            "ask_volume": rng.gamma(2.0, 1.0, WINDOW_ROWS),
            "volume": rng.gamma(1.0, 1.0, WINDOW_ROWS),
        }
    )
    inventory = np.zeros((1, 5), dtype=np.float32)
    histogram = LatencyHistogram()
    for number in range(rounds + 3):
        begin = perf_counter_ns()
        window = _features(market)
        model.predict([window, inventory], verbose=0)
        if number >= 3:
            histogram.record(perf_counter_ns() - begin)
    return histogram.percentiles()


def _features(market: Any) -> Any:
    mid = (market["bid"] + market["ask"]) / 2
    returns = mid.pct_change()
    spread = (market["ask"] - market["bid"]) / mid
    volume = market["volume"]
    vwap = (mid * volume).rolling(20).sum() / volume.rolling(20).sum()
    columns = {
        "imbalance": (market["bid_volume"] - market["ask_volume"]) / (market["bid_volume"] + market["ask_volume"]),
        "return": returns,
        "return_mean_20": returns.rolling(20).mean(),
        "return_std_20": returns.rolling(20).std(),
        "vwap_deviation": (mid - vwap) / vwap,
        "spread": spread,
        "spread_mean_10": spread.rolling(10).mean(),
        "volume": volume,
    }
    table = np.stack([column.to_numpy() for column in columns.values()], axis=1)[-60:].astype(np.float32)
    return np.concatenate([table, np.zeros((60, 12), dtype=np.float32)], axis=1)[None]


def _model() -> Any:
    import keras

    market, inventory = keras.Input((60, 20)), keras.Input((5,))
    carried = keras.layers.LSTM(64)(keras.layers.LSTM(128, return_sequences=True)(market))
    joined = keras.layers.Concatenate()([carried, inventory])
    for size in (128, 64):
        joined = keras.layers.Dense(size, activation="relu")(joined)
    heads = [
        keras.layers.Dense(1, activation=activation)(keras.layers.Dense(32, activation="relu")(joined))
        for activation in ("linear", "sigmoid", "tanh")
    ]
    return keras.Model([market, inventory], heads)
