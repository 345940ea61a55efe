"""Every operation that the exchange serves, in the order in which the reference lists them."""

from __future__ import annotations

from mmd.mock.server.account_operations import ACCOUNT_OPERATIONS
from mmd.mock.server.general_operations import GENERAL_OPERATIONS
from mmd.mock.server.order_operations import ORDER_OPERATIONS
from mmd.mock.server.ticker_operations import TICKER_OPERATIONS
from mmd.mock.server.trade_operations import TRADE_OPERATIONS
from mmd.mock.server.wallet_operations import WALLET_OPERATIONS

OPERATIONS = (
    *GENERAL_OPERATIONS,
    *TRADE_OPERATIONS,
    *TICKER_OPERATIONS,
    *ORDER_OPERATIONS,
    *ACCOUNT_OPERATIONS,
    *WALLET_OPERATIONS,
)
