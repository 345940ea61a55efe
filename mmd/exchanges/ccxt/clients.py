"""Clients of ccxt as this adapter needs them: at the profile's URLs, on the venue's clock, with exact numbers about money."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from mmd.exchanges.adapter import AdapterError
from mmd.exchanges.ccxt.settings import CcxtSettings

_NS_PER_MS = 1_000_000


def exchange_class(exchange_id: str) -> Any:
    """ccxt.pro's class where there is one, else the one without streams. Raises `AdapterError`."""
    try:
        modules = [importlib.import_module(name) for name in ("ccxt.pro", "ccxt.async_support")]
    except ImportError as error:
        raise AdapterError("venue ccxt needs the package ccxt: install the extra `venues` (pip install 'mmd[venues]')") from error
    for module in modules:
        if exchange_id in module.exchanges:
            return getattr(module, exchange_id)
    raise AdapterError(f"ccxt knows no exchange {exchange_id!r}: set exchange.options.exchange_id to one of ccxt.exchanges")


def make_client(settings: CcxtSettings, now_ms: Callable[[], int], *, with_key: bool) -> Any:
    """A client, with our key or without. With a key its numbers are decimal texts; without, they are floats, as its books need.

    Raises `AdapterError` for a profile that the exchange has not.
    """
    options = settings.ccxt
    client = exchange_class(options.exchange_id)(
        {
            "enableRateLimit": True,
            "timeout": round(settings.request_timeout_seconds * 1000),
            "options": {
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchCurrencies": False,
                "recvWindow": settings.recv_window_ms,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
            },
        }
    )
    client.has["fetchCurrencies"] = False
    if not options.streams:
        client.has.update({name: False for name in client.has if name.startswith("watch")})
    if with_key:
        client.apiKey = settings.api_key
        client.secret = settings.api_secret.get_secret_value() or _pem(settings)
        client.password = settings.api_passphrase.get_secret_value()
        client.number = str
    # Requests are stamped with the venue's time, which we measure ourselves.
    client.milliseconds = now_ms
    _use_profile(client, settings)
    return client


def _pem(settings: CcxtSettings) -> str:
    key = settings.ed25519_private_key
    return "" if key is None else key.get_secret_value()


def _use_profile(client: Any, settings: CcxtSettings) -> None:
    if settings.profile == "testnet":
        if not client.urls.get("test"):
            raise AdapterError(f"ccxt knows no test network of {client.id}: use profile live, or mode paper on its live market")
        client.set_sandbox_mode(True)
    elif settings.profile == "demo":
        if not hasattr(client, "enable_demo_trading"):
            raise AdapterError(f"ccxt knows no demo mode of {client.id}: use profile live, or mode paper on its live market")
        client.enable_demo_trading(True)
    if settings.rest_url or settings.stream_url or settings.websocket_api_url:
        client.urls["api"] = _moved(client.urls["api"], settings)


def _moved(urls: Any, settings: CcxtSettings) -> Any:
    """The same paths on the hosts that the settings name."""
    if isinstance(urls, dict):
        return {name: _moved(url, settings) for name, url in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    parts = urlsplit(urls)
    if parts.scheme in ("ws", "wss"):
        base = settings.websocket_api_url if "ws-api" in urls else settings.stream_url
    else:
        base = settings.rest_url
    if not base:
        return urls
    host = urlsplit(base)
    return urlunsplit((host.scheme, host.netloc, parts.path, parts.query, parts.fragment))


def milliseconds(our_ns: int, offset_ns: int) -> int:
    """The venue's time at `our_ns`."""
    return (our_ns + offset_ns) // _NS_PER_MS
