"""The mock exchange: a matching engine, a simulated market that trades on it, and a server that speaks Binance's wire."""
