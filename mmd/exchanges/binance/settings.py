"""Where Binance Spot is: the mock exchange, Spot Testnet, Demo Mode and the live market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mmd.exchanges.settings import ExchangeSettings

MOCK_URLS = {
    "rest_url": "http://127.0.0.1:9080",
    "stream_url": "ws://127.0.0.1:9080",
    "websocket_api_url": "ws://127.0.0.1:9080/ws-api/v3",
}


class BinanceSettings(ExchangeSettings):
    """Binance Spot. URLs left out are those of the profile; secrets come from the environment or secret files."""

    profile_urls: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "mock": MOCK_URLS,
        "testnet": {
            "rest_url": "https://testnet.binance.vision",
            "stream_url": "wss://stream.testnet.binance.vision",
            "websocket_api_url": "wss://ws-api.testnet.binance.vision/ws-api/v3",
        },
        "demo": {
            "rest_url": "https://demo-api.binance.com",
            "stream_url": "wss://demo-stream.binance.com",
            "websocket_api_url": "wss://demo-ws-api.binance.com/ws-api/v3",
        },
        "live": {
            "rest_url": "https://api.binance.com",
            "stream_url": "wss://stream.binance.com:9443",
            "websocket_api_url": "wss://ws-api.binance.com:443/ws-api/v3",
        },
    }
