"""Every operation that the futures serve, in the order in which the reference lists them."""

from __future__ import annotations

from mmd.mock.futures.account_operations import ACCOUNT_OPERATIONS
from mmd.mock.futures.general_operations import GENERAL_OPERATIONS
from mmd.mock.futures.order_operations import ORDER_OPERATIONS

FUTURES_OPERATIONS = (*GENERAL_OPERATIONS, *ORDER_OPERATIONS, *ACCOUNT_OPERATIONS)
