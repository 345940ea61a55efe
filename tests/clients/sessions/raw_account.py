"""An account by signed requests of the standard library alone: the other side of a client's trades, and the exchange's own word."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.request
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode


class RawAccount:
    """Trades against the client, or says of the client's own account what the exchange knows."""

    def __init__(self, rest_url: str, key: str, secret: str, symbol: str) -> None:
        self.rest_url, self.key, self.secret, self.symbol = rest_url, key, secret, symbol

    def touch(self) -> tuple[Decimal, Decimal]:
        """Best bid and best ask."""
        ticker = self._request("GET", "ticker/bookTicker", f"symbol={self.symbol}")
        return Decimal(ticker["bidPrice"]), Decimal(ticker["askPrice"])

    def snapshot(self, symbol: str) -> tuple[int, dict[str, dict[Decimal, Decimal]]]:
        """Update id and the best hundred levels a side."""
        depth = self._request("GET", "depth", f"symbol={symbol}&limit=100")
        sides = {side: {Decimal(price): Decimal(quantity) for price, quantity in depth[side]} for side in ("bids", "asks")}
        return depth["lastUpdateId"], sides

    def take(self, side: str, quantity: Decimal, price: Decimal) -> set[int]:
        """An immediate-or-cancel order; the ids of its trades."""
        order = {"symbol": self.symbol, "side": side, "type": "LIMIT", "timeInForce": "IOC", "quantity": quantity, "price": price}
        return {fill["tradeId"] for fill in self._signed("POST", "order", order)["fills"]}

    def order(self, order_id: str) -> Any:
        """One order of the account."""
        return self._signed("GET", "order", {"symbol": self.symbol, "orderId": order_id})

    def trades(self) -> Any:
        """The account's last trades."""
        return self._signed("GET", "myTrades", {"symbol": self.symbol, "limit": 1000})

    def _signed(self, method: str, path: str, parameters: dict[str, object]) -> Any:
        payload = urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000})
        signature = hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        return self._request(method, path, f"{payload}&signature={signature}")

    def _request(self, method: str, path: str, query: str) -> Any:
        request = urllib.request.Request(
            f"{self.rest_url}/api/v3/{path}?{query}", method=method, headers={"X-MBX-APIKEY": self.key}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
