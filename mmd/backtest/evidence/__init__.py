"""What the default rests on: baselines and ours tuned alike, each head's gain, and every strategy on every real market."""
