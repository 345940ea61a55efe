"""What we may do: ordered pre-trade checks, loss budget, order rate, feed lag, pauses and the halt latch."""
