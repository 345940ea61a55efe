"""What the market is: the order book and its synchronisation, ring buffers, features and reference feeds."""
