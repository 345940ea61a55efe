"""Paper trading: a venue's live market, orders matched here behind what is displayed there, and nothing ever sent."""
