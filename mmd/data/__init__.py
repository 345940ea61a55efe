"""Market data of many origins in one partitioned parquet dataset with a manifest. Needs polars (extra `train` or `backtest`)."""
