"""What can be wrong with a backtest before it begins, or with the matcher while it runs."""

from __future__ import annotations


class BacktestError(ValueError):
    """Data, options or the matcher make the run impossible. The text says what, where and how to mend it."""
