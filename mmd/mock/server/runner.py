"""The mock exchange as a process: what `mmd mock` runs."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from mmd.mock.server.config import MockConfig
from mmd.mock.server.exchange import MockExchange


def run_mock(config: MockConfig) -> None:
    """Serve until SIGTERM or SIGINT. Writes one line with the URLs to stdout once it can be used.

    Raises what the exchange failed with: StateError, CertificateError, OSError (port in use), or an error of the market.
    """
    uvloop.run(_serve(config))


def _futures_urls(exchange: MockExchange) -> str:
    return f" futures_stream={exchange.futures_stream_url} futures_websocket_api={exchange.futures_websocket_api_url}"


async def _serve(config: MockConfig) -> None:
    loop = asyncio.get_running_loop()
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_requested.set)
    async with MockExchange(config) as exchange:
        sys.stdout.write(
            f"mock exchange ready rest={exchange.rest_url} stream={exchange.stream_url} "
            f"websocket_api={exchange.websocket_api_url}"
            f"{_futures_urls(exchange) if config.futures.enabled else ''}"
            f"{f' certificate={exchange.certificate}' if exchange.certificate else ''}\n"
        )
        sys.stdout.flush()
        waiting = [loop.create_task(stop_requested.wait()), loop.create_task(exchange.wait_failed())]
        # A failure is raised by the exchange itself when it stops.
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
