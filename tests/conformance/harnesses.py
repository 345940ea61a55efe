"""The venues on which our adapters are put through the conformance suite. One class an adapter; `HARNESSES` lists them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from pydantic import SecretStr

from mmd.exchanges.adapter import ExchangeAdapter, FailureHandler, VenueOrder
from mmd.exchanges.binance.adapter import BinanceSpotAdapter
from mmd.exchanges.binance.settings import BinanceSettings
from mmd.exchanges.binance_usdm.adapter import BinanceUsdmAdapter
from mmd.exchanges.binance_usdm.settings import BinanceUsdmSettings
from mmd.exchanges.ccxt.adapter import CcxtAdapter
from mmd.exchanges.ccxt.settings import CcxtSettings
from mmd.mock.futures.config import FuturesConfig
from mmd.mock.server import MockConfig
from mmd.mock.server.venue import Venue
from mmd.paper.adapter import PaperAdapter
from mmd.paper.settings import PaperSettings
from mmd.testing.mock_venue import OURS, MockVenue
from mmd.testing.session import PREFIX
from mmd.testing.wire import Wire


def spot_settings(venue: MockVenue) -> BinanceSettings:
    """The native adapter's, over the wires of a venue."""
    return BinanceSettings(
        rest_url=f"http://127.0.0.1:{venue.rest_wire.port}",
        stream_url=f"ws://127.0.0.1:{venue.market_wire.port}",
        websocket_api_url=f"ws://127.0.0.1:{venue.order_wire.port}/ws-api/v3",
        api_key=OURS[0],
        api_secret=SecretStr(OURS[1]),
        announcements=False,
        request_timeout_seconds=0.4,
        backoff_first_seconds=0.02,
    )


class BinanceSpotVenue(MockVenue):
    """The native adapter: market stream, WebSocket API and REST on a wire each."""

    name = "Binance Spot"

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        return BinanceSpotAdapter(spot_settings(self), (self.symbol,), clock_ns=clock_ns, on_failure=on_failure, random=Random(1))


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


class PaperVenue(MockVenue):
    """Paper on the native adapter's market data. What is open is the account's word: the venue knows nothing of it."""

    name = "paper"

    def __init__(self) -> None:
        super().__init__()
        self._state = tempfile.TemporaryDirectory(prefix="paper-")

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        self.adapter = PaperAdapter(
            spot_settings(self).model_copy(update={"api_key": "", "api_secret": SecretStr("")}),
            (self.symbol,),
            market=BinanceSpotAdapter,
            paper=PaperSettings(order_latency_ms=1, response_latency_ms=1),
            state_dir=Path(self._state.name),
            clock_ns=clock_ns,
            on_failure=on_failure,
            random=Random(1),
        )
        return self.adapter

    async def open_orders(self) -> dict[str, VenueOrder]:
        return {order.client_order_id: order for order in await self.adapter.open_orders_audit(PREFIX)}

    async def __aexit__(self, *failure: Any) -> None:
        await super().__aexit__(*failure)
        self._state.cleanup()


class CcxtVenue(MockVenue):
    """ccxt's own class of Binance: orders and their answers go over REST."""

    name = "ccxt"
    streams = True

    def answer_wires(self) -> tuple[Wire, ...]:
        return (self.rest_wire,)

    def make_adapter(self, *, clock_ns: Callable[[], int], on_failure: FailureHandler) -> ExchangeAdapter:
        settings = CcxtSettings(
            rest_url=f"http://127.0.0.1:{self.rest_wire.port}",
            stream_url=f"ws://127.0.0.1:{self.market_wire.port}",
            websocket_api_url=f"ws://127.0.0.1:{self.order_wire.port}/ws-api/v3",
            api_key=OURS[0],
            api_secret=SecretStr(OURS[1]),
            request_timeout_seconds=0.6,
            backoff_first_seconds=0.02,
            options={"exchange_id": "binance", "poll_seconds": "0.3", "streams": str(self.streams)},
        )
        return CcxtAdapter(settings, (self.symbol,), clock_ns=clock_ns, on_failure=on_failure, random=Random(1))


class PolledCcxtVenue(CcxtVenue):
    """The same where ccxt has no streams: everything is asked for."""

    name = "ccxt, polled"
    streams = False


HARNESSES: tuple[type[MockVenue], ...] = (BinanceSpotVenue, BinanceUsdmVenue, CcxtVenue, PolledCcxtVenue, PaperVenue)
