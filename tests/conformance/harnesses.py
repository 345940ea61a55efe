"""The venues on which our adapters are put through the conformance suite. One class an adapter; `HARNESSES` lists them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pydantic import SecretStr

from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
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


HARNESSES: tuple[type[MockVenue], ...] = (BinanceSpotVenue,)
