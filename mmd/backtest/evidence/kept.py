"""Outcomes that are kept by their experiment's key: what was run once with the same data and networks is not run again.

A line a run in a file that only grows; a torn last line is left out, and a run that failed is made again. Kept are the figures that
later pages need, not whole reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mmd.backtest.experiment import Experiment, Outcome
from mmd.backtest.sweep.workers import Workers

Figures = dict[str, Any]
_KEPT = ("pnl", "volume", "fills", "seconds", "pnl_per_volume_bps", "pnl_per_volume_bps_interval", "markouts_bps", "split",
         "blocks", "sharpe_ratio", "deflated_sharpe_probability", "trials", "fill_ratio", "win_rate")  # fmt: skip


class Line(msgspec.Struct):
    """One run: its key, what it was, and its figures, or why there are none."""

    key: str
    experiment: Experiment
    figures: Figures | None
    error: str = ""


class KeptRuns:
    """Of one file. Raises `OSError` where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, Line] = {}
        for line in path.read_bytes().split(b"\n")[:-1] if path.is_file() else []:
            kept = msgspec.json.decode(line, type=Line)
            if kept.figures is not None:
                self._lines[kept.key] = kept

    def there(self, experiments: Mapping[str, Experiment]) -> dict[str, Line]:
        """Those of the experiments that are kept, by their names."""
        return {name: self._lines[key] for name, experiment in experiments.items() if (key := experiment.key()) in self._lines}

    def all_of(
        self, experiments: Mapping[str, Experiment], workers: Callable[[], Workers], on_done: Callable[[str], None]
    ) -> dict[str, Line]:
        """By the experiments' own names; what is not kept is run, and kept as soon as it is done. `workers` is only asked then."""
        keys = {name: experiment.key() for name, experiment in experiments.items()}
        wanted: dict[str, Experiment] = {}
        for name, key in keys.items():
            if key in self._lines:
                on_done(name)
            else:
                wanted.setdefault(key, experiments[name])
        if wanted:
            names = {key: name for name, key in keys.items()}
            used = workers()
            try:
                self._run(wanted, used, lambda key: on_done(names[key]))
            finally:
                used.close()
        return {name: self._lines[key] for name, key in keys.items()}

    def _run(self, wanted: dict[str, Experiment], workers: Workers, on_done: Callable[[str], None]) -> None:
        # Neighbours share their market: a worker that has read it goes on with it.
        waiting = list(wanted)
        under_way = 0
        number = 0
        running: dict[int, str] = {}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            while waiting or under_way:
                while waiting and under_way < workers.slots:
                    key = waiting.pop(0)
                    running[number] = key
                    workers.submit(number, (wanted[key],))
                    number += 1
                    under_way += 1
                done, outcomes = workers.next_done()
                under_way -= 1
                key = running.pop(done)
                line = _line(key, wanted[key], outcomes)
                self._lines[key] = line
                file.write(msgspec.json.encode(line) + b"\n")
                file.flush()
                on_done(key)


def _line(key: str, experiment: Experiment, outcomes: Sequence[Outcome]) -> Line:
    (outcome,) = outcomes
    if outcome.report is None:
        return Line(key, experiment, None, outcome.error)
    report = outcome.report
    figures = {name: report["figures"][name] for name in _KEPT}
    symbols = report["figures"]["symbols"].values()
    figures["quote_uptime"] = min((each["quote_uptime"] or 0.0 for each in symbols), default=None)
    figures["halt"] = report["halt"] and report["halt"]["reason"]
    figures["modelled_fills"] = bool(report["model"]["modelled_fills"])
    figures["funding"] = report["model"]["funding"]
    figures["events_a_cpu_second"] = report["events"] / report["cpu_seconds"] if report["cpu_seconds"] else None
    return Line(key, experiment, figures)
