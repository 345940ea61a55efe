"""`mmd bench`: what a tick costs, per stage and whole, beside references measured in the same run."""
