"""The real markets, and which part of each is for what: tuning and ablation on the earlier parts, judgement on the last.

A part says from where to where it reaches and which first share of it nobody trades in: that share calibrates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mmd.backtest.errors import BacktestError
from mmd.backtest.experiment import Experiment
from mmd.backtest.sweep.study import Window

LIFTED = ("risk.max_daily_loss=1000000", "risk.max_drawdown=1000000", "risk.max_pauses_per_hour=10000")
"""A fee moves no order where no loss can halt: so its cost is the volume's share of it, and one run serves every fee."""


@dataclass(frozen=True)
class RealMarket:
    """`earlier`: parts for choosing, in order of time. `last`: for judging, never for choosing."""

    name: str
    files: tuple[str, ...]
    earlier: tuple[Window, ...]
    last: Window
    span: str
    """What of `last` is traded in, in words."""
    calendar: str = "365x24"
    least_fills: int = 10
    """In each earlier part, else a trial counts as not trading."""
    least_judged: int = 5
    """In the last part, else a baseline traded too little to be called the best: ten an hour, and five at least."""
    fast: bool = field(default=True, repr=False)
    """Whether the fast speed trades it (the same orders, compiled): with recorded funding marks it does not."""

    def experiment(self, data: Path, window: Window, **changes: object) -> Experiment:
        """A run on one of its parts. Raises `BacktestError` where its files are not there."""
        places = [data / name for name in self.files]
        missing = [str(place) for place in places if not place.exists()]
        if missing:
            raise BacktestError(f"{', '.join(missing)}: not there; set MMD_DATA_DIR to the folder of the real data")
        values: dict[str, object] = {
            "places": tuple(str(place.resolve()) for place in places),
            "begin": window.begin,
            "end": window.end,
            "calibration_share": window.calibration_share,
            "latency": "5ms",
            "settings": LIFTED,
            "calendar": self.calendar,
            "speed": "fast" if self.fast else "exact",
            **changes,
        }
        return Experiment(**values)  # type: ignore[arg-type]


def _stock(name: str) -> RealMarket:
    return RealMarket(
        f"{name} 2013-10-09",
        (f"us_equity/{name}.book.parquet",),
        # What is traded in lies in the validation part of the networks, which they were not trained on.
        (Window("2013-10-08T17:35", "2013-10-08T19:00", 0.4), Window("2013-10-08T18:40", "2013-10-08T20:00", 0.25)),
        Window("2013-10-09T13:30", "2013-10-09T20:00", 0.15),
        "14:28 to 20:00 UTC",
        "252x6.5",
        least_judged=55,
    )


MARKETS = (
    RealMarket(
        "BTCUSDT spot 2023-04-05",
        ("binance_raw/spot__btcusdt_20230405.dat.gz",),
        (Window("", "2023-04-05T00:03:27", 0.4),),
        Window("", "", 0.5),
        "the last half",
        least_fills=4,
    ),
    RealMarket(
        "BTCUSDT USD-M 2023-04-04/05",
        ("binance_raw/usdm__btcusdt_20230404.dat.gz", "binance_raw/usdm__btcusdt_20230405.dat.gz"),
        (Window("", "2023-04-05T00:03:00", 0.4),),
        Window("", "", 0.56),
        "after 00:03 of the last day",
        least_fills=4,
        fast=False,
    ),
    RealMarket(
        "BTCUSDT USD-M 2024-07-18/19",
        ("binance_raw/usdm__btcusdt_20240718.gz", "binance_raw/usdm__btcusdt_20240719.gz"),
        (Window("", "2024-07-19T00:01:00", 0.6),),
        Window("", "", 0.505),
        "after 00:01 of the last day",
        least_fills=4,
    ),
    RealMarket(
        "ETHUSDT USD-M 2024-07-18/19",
        ("binance_raw/usdm__ethusdt_20240718.gz", "binance_raw/usdm__ethusdt_20240719.gz"),
        (Window("", "2024-07-19T00:01:00", 0.4),),
        Window("", "", 0.505),
        "after 00:01 of the last day",
        least_fills=4,
    ),
    _stock("IBM"),
    _stock("BAC"),
    _stock("AIG"),
    RealMarket(
        "XAUUSD 2014-05-08",
        ("fx/XAUUSD.oanda.book.parquet",),
        (Window("2014-05-07T08:00", "2014-05-07T09:30", 0.33), Window("2014-05-07T13:00", "2014-05-07T14:30", 0.33)),
        Window("2014-05-08T12:30", "2014-05-08T15:30", 0.33),
        "13:30 to 15:30 UTC",
        "252x24",
        least_judged=20,
    ),
)
