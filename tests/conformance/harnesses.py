"""The venues on which our adapters are put through the conformance suite. One class an adapter; `HARNESSES` lists them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pydantic import SecretStr

from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance_usdm.adapter import BinanceUsdmAdapter
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.mock.futures.config import FuturesConfig
from mmd.mock.server import MockConfig
from mmd.mock.server.venue import Venue
from mmd.testing.mock_venue import OURS, MockVenue


class BinanceSpotVenue(MockVenue):
    """The native adapter: market stream, WebSocket API and REST on a wire each."""

    name = "Binance Spot"

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        settings = BinanceSettings(
            rest_url=f"http://127.0.0.1:{self.rest_wire.port}",
            stream_url=f"ws://127.0.0.1:{self.market_wire.port}",
            websocket_api_url=f"ws://127.0.0.1:{self.order_wire.port}/ws-api/v3",
            api_key=OURS[0],
            api_secret=SecretStr(OURS[1]),
            announcements=False,
            request_timeout_seconds=0.4,
            backoff_first_seconds=0.02,
        )
        return BinanceSpotAdapter(settings, (self.symbol,), clock_ns=clock_ns, on_failure=on_failure, random=Random(1))


class BinanceUsdmVenue(MockVenue):
    """The native futures adapter: market stream, user data and WebSocket API on wires of their own."""

    name = "Binance USD-M"
    api = "/fapi/v1"
    bid_ticks = 600_000
    ask_ticks = 600_100
    lots = 20

    def config(self) -> MockConfig:
        return super().config().model_copy(update={"futures": FuturesConfig(enabled=True, symbols=(self.symbol,))})

    @property
    def market(self) -> Venue:
        return self.exchange.futures.venue

    def urls(self) -> tuple[str, str]:
        return self.exchange.futures_stream_url, self.exchange.futures_websocket_api_url

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        settings = BinanceUsdmSettings(
            rest_url=f"http://127.0.0.1:{self.rest_wire.port}",
            stream_url=f"ws://127.0.0.1:{self.market_wire.port}/fstream",
            websocket_api_url=f"ws://127.0.0.1:{self.order_wire.port}/ws-fapi/v1",
            api_key=OURS[0],
            api_secret=SecretStr(OURS[1]),
            announcements=False,
            request_timeout_seconds=0.4,
            backoff_first_seconds=0.02,
        )
        return BinanceUsdmAdapter(settings, (self.symbol,), clock_ns=clock_ns, on_failure=on_failure, random=Random(1))


HARNESSES: tuple[type[MockVenue], ...] = (BinanceSpotVenue, BinanceUsdmVenue)
