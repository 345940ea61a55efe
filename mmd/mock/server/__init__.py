"""The mock exchange's server: Binance Spot's wire protocol over the matching engine and a market."""

from mmd.mock.server.config import MockConfig, RateLimits
from mmd.mock.server.exchange import MockExchange
from mmd.mock.server.runner import run_mock

__all__ = ["MockConfig", "MockExchange", "RateLimits", "run_mock"]
