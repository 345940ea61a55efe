"""Many backtests over a grid or an Optuna study, on processes here or on a Ray cluster, resumable."""
