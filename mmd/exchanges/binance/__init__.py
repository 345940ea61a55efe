"""Binance Spot, spoken natively: market streams, the WebSocket API for orders and user data, REST for what neither gives."""
