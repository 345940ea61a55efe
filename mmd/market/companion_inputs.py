"""What the networks beside the quote network look at: the market features, chosen and, where a side is asked about, mirrored.

Order flow sees eight of them at each step (the last 100 in the windowed form) and the newest row whole, adverse selection fifteen
from the side of a quote,
risk eight of them without their direction and two external signals. All are of the step and of those before it.
"""

from __future__ import annotations

from mmd.market.feature_table import MARKET_NAMES

ORDER_FLOW_NAMES: tuple[str, ...] = (
    "signed_flow_300ms",
    "last_trade_offset",
    "touch_imbalance",
    "depth_imbalance_5",
    "order_flow_100ms",
    "signed_volume",
    "move_300ms",
    "time_since_step",
)

ADVERSE_SIGNED_NAMES: tuple[str, ...] = (
    "signed_flow_300ms",
    "last_trade_offset",
    "move_300ms",
    "order_flow_100ms",
    "touch_imbalance",
    "depth_imbalance_5",
    "microprice_deviation",
    "imbalance_change_3s",
    "signed_volume",
    "trend",
)
"""Multiplied by +1 for a bid and -1 for an ask of ours, so that one network serves both sides: above 0 is in our favour."""
ADVERSE_PLAIN_NAMES: tuple[str, ...] = (
    "relative_spread",
    "trade_intensity",
    "volatility_short",
    "spread_to_usual",
    "thin_side",
)
ADVERSE_NAMES: tuple[str, ...] = ADVERSE_SIGNED_NAMES + ADVERSE_PLAIN_NAMES

RISK_MARKET_NAMES: tuple[str, ...] = (
    "volatility_short",
    "volatility_medium",
    "volatility_long",
    "return_std_20",
    "relative_spread",
    "spread_to_average_10",
    "trade_intensity",
    "volume",
)
SIGNAL_NAMES: tuple[str, ...] = ("news_sentiment", "macro_risk")
"""External signals with a time to live; 0 where there are none."""
RISK_NAMES: tuple[str, ...] = RISK_MARKET_NAMES + SIGNAL_NAMES


def columns(names: tuple[str, ...]) -> list[int]:
    """Places in a row of market features."""
    return [MARKET_NAMES.index(name) for name in names]
