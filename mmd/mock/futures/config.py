"""Settings of the futures beside the spot market."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

STREAM_PREFIX = "/fstream"
"""Path of all streams of the futures."""
WEBSOCKET_API_PATH = "/ws-fapi/v1"


class FuturesConfig(BaseModel):
    """USD-M perpetuals. Accounts, keys, seed, speed and limits are the exchange's; the state is not kept over a restart."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(default=False, description="whether futures are served at all (/fapi, /fstream, /ws-fapi/v1)")
    symbols: tuple[str, ...] = Field(default=("BTCUSDT", "ETHUSDT"), description="perpetuals served", min_length=1)
    balances: Mapping[str, Decimal] = Field(
        default={"USDT": Decimal(100_000), "BNB": Decimal(10)}, description="initial collateral of every account"
    )
    leverage: int = Field(default=20, ge=1, le=125, description="initial leverage of every account on every symbol")
    maker_fee: Decimal = Field(default=Decimal("0.0002"), lt=1, gt=-1, description="fee of the maker as a fraction of the notional")
    taker_fee: Decimal = Field(default=Decimal("0.0005"), lt=1, gt=-1, description="fee of the taker as a fraction of the notional")
    funding_interval: float = Field(default=28_800.0, gt=0, description="time between two funding payments, s of market time")
    funding_rate: Decimal = Field(
        default=Decimal("0.0001"),
        lt=1,
        gt=-1,
        description="what longs pay shorts each time, as a fraction of the position at the mark",
    )
    listen_key_seconds: float = Field(default=3600.0, gt=0, description="a listen key lives so long after its last keep-alive, s")
