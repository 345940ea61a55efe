"""Which of ccxt's exchanges, and how often it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from mmd.exchanges.binance.settings import MOCK_URLS
from mmd.exchanges.settings import AdapterOptions, ExchangeSettings


class CcxtOptions(AdapterOptions):
    """`exchange.options` of venue `ccxt`."""

    exchange_id: str = Field("binance", pattern=r"^[a-z0-9]+$", description="ccxt's own name of the exchange, as `kraken`.")
    poll_seconds: float = Field(
        1.0, ge=0.1, le=60, description="Time between two looks at our trades, and at what the venue has no stream for, s."
    )
    streams: bool = Field(True, description="Use the exchange's streams where ccxt has them; else it is asked every time.")
    depth: int = Field(100, ge=5, le=1000, description="Levels of the book that are asked for on each side, count.")


class CcxtSettings(ExchangeSettings):
    """URLs that are set replace scheme and host of ccxt's own; with profile mock they are the mock exchange's."""

    profile_urls: ClassVar[Mapping[str, Mapping[str, str]]] = {"mock": MOCK_URLS}
    options_class: ClassVar[type[AdapterOptions]] = CcxtOptions

    @property
    def ccxt(self) -> CcxtOptions:
        """The options. Raises `ValueError`."""
        options = self.adapter_options
        assert isinstance(options, CcxtOptions)
        return options

    @property
    def account_name(self) -> str:
        """The exchange."""
        return self.ccxt.exchange_id
