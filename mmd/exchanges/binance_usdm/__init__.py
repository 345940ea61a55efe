"""Binance USD-M futures: perpetuals in one-way mode, orders modified in place, a dead-man's switch kept from firing."""
