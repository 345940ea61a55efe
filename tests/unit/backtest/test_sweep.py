"""Sweeps in this process: points, resumption after a kill, failures, ranking; and one whole command with processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmd.backtest.errors import BacktestError
from mmd.backtest.experiment import Experiment, Outcome, outcome
from mmd.backtest.statistics import Moments, deflated
from mmd.backtest.sweep.objective import LOWEST, SHRUNK, value
from mmd.backtest.sweep.results import results
from mmd.backtest.sweep.space import applied, grid, parse_axes
from mmd.backtest.sweep.study import STUDY_FILE, TRIALS_FILE, Plan, Trial, Window, read_trials, run_sweep
from mmd.backtest.sweep.workers import Task, perform_task
from mmd.cli import app
from tests.unit.backtest.quotes import write_quotes

AXES = ("quoting.fixed_half_spread_bps=1,2,4", "quoting.skew_factor=0.5,1")
RANGES = ("quoting.fixed_half_spread_bps=0.5..8:log", "quoting.skew_factor=0..2")


class Here:
    """Runs tasks at once, in this process; dies after `lives` of them."""

    slots = 2

    def __init__(self, lives: int = 1 << 30, perform: Any = perform_task) -> None:
        self.lives = lives
        self.tasks: list[tuple[int, Task]] = []
        self.ran: list[int] = []
        self._perform = perform

    def submit(self, number: int, task: Task) -> None:
        self.tasks.append((number, task))

    def next_done(self) -> tuple[int, list[Outcome]]:
        if len(self.ran) >= self.lives:
            raise KeyboardInterrupt
        number, task = self.tasks.pop()
        self.ran.append(number)
        return number, self._perform(task)

    def close(self) -> None:
        pass


def made_up(task: Task) -> list[Outcome]:
    """Figures as if the best half-spread were 3 bps, without running anything: for the loop around the runs."""
    found = []
    for experiment in task:
        half_spread = float(next(each for each in experiment.settings if "half_spread" in each).partition("=")[2])
        pnl = -((half_spread - 3.0) ** 2)
        figures = {"pnl": pnl, "volume": 1e6, "fills": 100, "pnl_per_volume_bps": pnl, "sharpe_ratio": pnl}
        shape = {"periods": 100, "ratio": pnl / 100, "skewness": 0.0, "kurtosis": 3.0}
        more = {"sharpe_moments": shape, "pnl_per_volume_bps_interval": {}, "split": {"unexplained_share": 0.0}}
        markouts = {"markouts_bps": {"1s": {"mean": 0.0}}}
        found.append(Outcome({"figures": {**figures, **more, **markouts}, "model": {"fills": {}, "modelled_fills": {}}}))
    return found


def plan(axes: tuple[str, ...], places: tuple[str, ...] = ("nowhere",), **changes: Any) -> Plan:
    base = Experiment(places=places, strategy="fixed", calibration_share=0.0)
    values: dict[str, Any] = {"windows": (Window(),), "objective": SHRUNK, "least_fills": 1, "study": ".." in axes[0], "seed": 1}
    return Plan(base=base, axes=axes, **{**values, **changes})


def swept(folder: Path, the: Plan, workers: Here, trials: int = 0) -> list[Trial]:
    return run_sweep(the, parse_axes(the.axes), folder, workers, trials)


def test_a_grid_is_every_combination_and_a_range_is_no_grid() -> None:
    points = list(grid(parse_axes(AXES)))
    assert len(points) == 6
    assert points[1] == {"quoting.fixed_half_spread_bps": "1", "quoting.skew_factor": "1"}
    with pytest.raises(BacktestError, match="--trials"):
        list(grid(parse_axes(RANGES)))


def test_a_point_takes_the_place_of_a_setting_or_an_option() -> None:
    base = Experiment(places=("x",), settings=("quoting.skew_factor=3", "risk.max_drawdown=9"))
    there = applied(base, {"quoting.skew_factor": 0.25, "latency": "5ms", "maker-fee": "-0.5bps"})
    assert there.settings == ("risk.max_drawdown=9", "quoting.skew_factor=0.25")
    assert (there.latency, there.maker_fee) == ("5ms", "-0.5bps")
    assert there.key() != base.key()


@pytest.mark.parametrize(
    "text",
    ["quoting.skew_factor", "skew=1,2", "quoting.x=", "quoting.x=1,1", "quoting.x=2..1", "quoting.x=0..1:log", "execution.a=1"],
)
def test_an_axis_that_makes_no_sense_is_an_error(text: str) -> None:
    with pytest.raises(BacktestError, match="--vary"):
        parse_axes([text])


def test_a_grid_that_died_goes_on_where_it_was_and_runs_nothing_twice(tmp_path: Path) -> None:
    first, second = Here(lives=2, perform=made_up), Here(perform=made_up)
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, plan(AXES), first)
    assert len(read_trials(tmp_path)) == 2
    trials = swept(tmp_path, plan(AXES), second)
    assert [trial.number for trial in trials] == list(range(6))
    assert sorted(first.ran + second.ran) == list(range(6))


def test_a_line_torn_by_the_crash_is_run_again(tmp_path: Path) -> None:
    swept(tmp_path, plan(AXES), Here(perform=made_up))
    path = tmp_path / TRIALS_FILE
    path.write_bytes(path.read_bytes()[:-20])
    again = Here(perform=made_up)
    assert len(swept(tmp_path, plan(AXES), again)) == 6
    assert len(again.ran) == 1
    assert len(read_trials(tmp_path)) == 6


def test_a_folder_of_another_sweep_is_refused(tmp_path: Path) -> None:
    swept(tmp_path, plan(AXES), Here(perform=made_up))
    with pytest.raises(BacktestError, match="another sweep"):
        swept(tmp_path, plan(AXES, seed=2), Here(perform=made_up))


def test_a_study_finds_the_best_and_goes_on_after_a_crash_with_what_was_under_way(tmp_path: Path) -> None:
    first = Here(lives=5, perform=made_up)
    with pytest.raises(KeyboardInterrupt):
        swept(tmp_path, plan(RANGES), first, 30)
    lost = [task for _, task in first.tasks]
    second = Here(perform=made_up)
    trials = swept(tmp_path, plan(RANGES), second, 30)
    assert len(trials) == 30
    assert (tmp_path / STUDY_FILE).is_file()
    settings = {tuple(task[0].settings) for task in lost}
    rerun = {tuple(applied(plan(RANGES).base, trial.point).settings) for trial in trials}
    assert settings <= rerun
    best = max(trials, key=lambda trial: trial.value)
    assert best.point["quoting.fixed_half_spread_bps"] == pytest.approx(3.0, abs=0.5)
    more = swept(tmp_path, plan(RANGES), Here(perform=made_up), 33)
    assert len(more) == 33


def test_figures_are_meant_over_the_windows_and_too_few_fills_come_last() -> None:
    def report(pnl: float, fills: int) -> dict[str, Any]:
        return {"figures": {"pnl": pnl, "volume": 88_000.0, "fills": fills, "markouts_bps": {"1s": {"mean": None}}}}

    # (10 + 30) / 2 over 88,000 and twenty orders of 600.
    assert value(SHRUNK, [report(10, 5), report(30, 9)], 600.0, 5) == pytest.approx(2.0)
    assert value("-pnl", [report(10, 5)], 600.0, 5) == -10
    assert value(SHRUNK, [report(10, 4)], 600.0, 5) == LOWEST + 4
    assert value("markouts_bps.1s.mean", [report(10, 5)], 600.0, 5) == LOWEST
    with pytest.raises(BacktestError, match="no such figure"):
        value("profit", [report(10, 5)], 600.0, 5)


def test_a_failed_trial_is_last_and_says_why(tmp_path: Path) -> None:
    the = plan(("quoting.fixed_half_spread_bps=1,2",), (str(tmp_path / "missing.gz"),))
    found = results(the, swept(tmp_path, the, Here()))
    assert found["failed"] == 2
    assert "no such file" in found["ranked"][0]["error"]


def test_the_sharpe_ratio_is_deflated_by_the_trials_and_their_spread(tmp_path: Path) -> None:
    the = plan(AXES)
    found = results(the, swept(tmp_path, the, Here(perform=made_up)))
    best = found["ranked"][0]
    shape = Moments(100, best["pnl"] / 100, 0.0, 3.0)
    assert best["deflated_sharpe_probability"] == deflated(shape, 6, found["sharpe_spread"])
    alone = deflated(shape, 1)
    assert alone is not None
    assert best["deflated_sharpe_probability"] < alone


def test_a_trial_is_the_backtest_of_that_point(tmp_path: Path) -> None:
    path = write_quotes(tmp_path)
    the = plan(("quoting.fixed_half_spread_bps=1,4",), (str(path),), windows=(Window("", "2023-11-14T22:18:20"), Window()))
    trials = swept(tmp_path / "out", the, Here())
    for trial in trials:
        alone = outcome(applied(the.base, trial.point))
        assert alone.report is not None
        assert trial.figures[1] == alone.report["figures"]
        assert trial.figures[0]["fills"] < trial.figures[1]["fills"]


def test_the_command_runs_processes_and_writes_table_json_and_page(tmp_path: Path) -> None:
    path, out = write_quotes(tmp_path), tmp_path / "out"
    command = ["sweep", "-d", str(path), "-s", "fixed", "--vary", AXES[0], "--out", str(out), "--jobs", "1", "--calibrate", "0"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "results.json").read_text())
    assert found["trials"] == 3
    assert [row["value"] for row in found["ranked"]] == sorted((row["value"] for row in found["ranked"]), reverse=True)
    assert all(row["unexplained_share"] < 0.01 for row in found["ranked"])
    page = (out / "sweep.html").read_text()
    assert "name=viewport" in page
    assert "Value by quoting.fixed_half_spread_bps" in page
    lines = (out / TRIALS_FILE).read_bytes()
    again = CliRunner().invoke(app, [*command, "--json"])
    assert again.exit_code == 0, again.output
    assert (out / TRIALS_FILE).read_bytes() == lines


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "varies something"),
        (["--vary", "quoting.skew_factor=0..1"], "--trials"),
        (["--vary", "quoting.nonsense=1,2"], "quoting.nonsense"),
        (["--vary", AXES[0], "--window", "later"], "--window"),
        (["--vary", AXES[0], "--objective", "max_drawdown"], "-max_drawdown"),
    ],
)
def test_mistakes_are_told_before_anything_runs(tmp_path: Path, more: list[str], says: str) -> None:
    done = CliRunner().invoke(app, ["sweep", "-d", str(tmp_path), "--out", str(tmp_path / "out"), *more])
    assert done.exit_code == 2
    assert says in done.output
    assert not (tmp_path / "out").exists()
