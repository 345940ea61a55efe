"""Where Binance USD-M futures are, and what only their adapter can be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, cast

from pydantic import Field, model_validator

from mmd.exchanges.settings import AdapterOptions, ExchangeSettings


class UsdmOptions(AdapterOptions):
    """`exchange.options.NAME`."""

    countdown_seconds: float = Field(
        default=30.0,
        ge=2,
        le=600,
        description="s of our silence after which the venue cancels everything of a symbol; then we halt too",
    )
    heartbeat_seconds: float = Field(
        default=10.0, gt=0, description="s between two restarts of that countdown; at most a third of it, each weighs 10 a symbol"
    )
    listen_key_refresh_seconds: float = Field(
        default=1_800.0, gt=0, le=3_500, description="s between keep-alives of the user data stream's key, which lives an hour"
    )
    routed_streams: bool = Field(
        default=True,
        description="whether streams lie under /public, /market and /private; older networks have one path",
    )

    @model_validator(mode="after")
    def _in_time(self) -> UsdmOptions:
        if self.heartbeat_seconds * 3 > self.countdown_seconds:
            raise ValueError(
                f"heartbeat_seconds ({self.heartbeat_seconds:g}) must be at most a third of countdown_seconds "
                f"({self.countdown_seconds:g}): one lost heartbeat would cancel everything"
            )
        return self


class BinanceUsdmSettings(ExchangeSettings):
    """Binance USD-M futures. URLs left out are those of the profile; secrets come from the environment or secret files."""

    profile_urls: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "mock": {
            "rest_url": "http://127.0.0.1:9080",
            "stream_url": "ws://127.0.0.1:9080/fstream",
            "websocket_api_url": "ws://127.0.0.1:9080/ws-fapi/v1",
        },
        "testnet": {
            "rest_url": "https://testnet.binancefuture.com",
            "stream_url": "wss://fstream.binancefuture.com",
            "websocket_api_url": "wss://testnet.binancefuture.com/ws-fapi/v1",
        },
        "demo": {
            "rest_url": "https://demo-fapi.binance.com",
            "stream_url": "wss://demo-fstream.binance.com",
            "websocket_api_url": "wss://testnet.binancefuture.com/ws-fapi/v1",
        },
        "live": {
            "rest_url": "https://fapi.binance.com",
            "stream_url": "wss://fstream.binance.com",
            "websocket_api_url": "wss://ws-fapi.binance.com/ws-fapi/v1",
        },
    }
    options_class: ClassVar[type[AdapterOptions]] = UsdmOptions

    @property
    def usdm(self) -> UsdmOptions:
        """The options, checked. Raises `ValueError`."""
        return cast("UsdmOptions", self.adapter_options)

    @property
    def public_stream_url(self) -> str:
        """Base of the market streams, without /stream."""
        return f"{self.stream_url.rstrip('/')}{'/public' if self.usdm.routed_streams else ''}"

    @property
    def mark_stream_url(self) -> str:
        """Base of the streams of mark prices, without /stream."""
        return f"{self.stream_url.rstrip('/')}{'/market' if self.usdm.routed_streams else ''}"

    @property
    def private_stream_url(self) -> str:
        """Base of the user data streams, without /ws."""
        return f"{self.stream_url.rstrip('/')}{'/private' if self.usdm.routed_streams else ''}"
