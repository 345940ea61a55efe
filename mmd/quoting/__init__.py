"""What we want to show: fair price, half-spread, inventory skew, size, and the clamps that come last."""
