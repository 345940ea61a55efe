"""The loop of a sweep: points in, trials out, every finished trial written down before the next is asked for.

A folder holds all of it: `sweep.json` (what is swept; the same command goes on, another one is refused), `trials.jsonl` (one line a
finished trial) and, of a study, Optuna's journal `study.log`. What was under way when a sweep died is begun anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mmd.backtest.errors import BacktestError
from mmd.backtest.experiment import Experiment, Outcome
from mmd.backtest.sweep.objective import LOWEST, value
from mmd.backtest.sweep.space import Axis, Choice, applied, distributions, grid
from mmd.backtest.sweep.workers import Workers
from mmd.types.decoding import UNREADABLE

PLAN_FILE, TRIALS_FILE, STUDY_FILE = "sweep.json", "trials.jsonl", "study.log"
STARTUP_TRIALS = 8


class Window(msgspec.Struct, frozen=True):
    """A part of the data that every trial trades in; empty: from its begin, or to its end."""

    begin: str = ""
    end: str = ""
    calibration_share: float | None = None
    """First share of it, in which nobody trades; None: the plan's."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a sweep's trials are, but for how many there shall be."""

    base: Experiment
    axes: tuple[str, ...]
    windows: tuple[Window, ...]
    objective: str
    least_fills: int
    study: bool
    seed: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One finished point. `figures`: those of each window's report, empty where it failed, as `error` says."""

    number: int
    point: dict[str, Choice]
    value: float
    figures: list[dict[str, Any]] = []
    fills_model: str = ""
    """Says so where fills were drawn from a model."""
    error: str = ""


class Points(Protocol):
    """Where points come from, and who hears what became of them."""

    def next(self) -> tuple[int, dict[str, Choice]] | None:
        """Number and point; None when there are no more."""

    def finished(self, trial: Trial) -> None:
        """Hear of it."""


def run_sweep(
    plan: Plan,
    axes: Sequence[Axis],
    folder: Path,
    workers: Workers,
    trials: int,
    on_trial: Callable[[Trial], None] = lambda _trial: None,
) -> list[Trial]:
    """All trials, those of earlier calls with them, by number; `trials` of a study, all points of a grid.

    Raises `BacktestError` for a folder of another sweep, a point that no setting may have, and where a worker died.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _claim(plan, folder)
    done = {trial.number: trial for trial in read_trials(folder)}
    points: Points = StudyPoints(plan, axes, folder, trials, done) if plan.study else GridPoints(axes, done)
    order_notional = plan.base.options().quoting.order_notional
    under_way: dict[int, dict[str, Choice]] = {}
    with (folder / TRIALS_FILE).open("ab") as kept:
        while True:
            while len(under_way) < workers.slots and (asked := points.next()) is not None:
                number, point = asked
                under_way[number] = point
                workers.submit(number, tasks(plan, point))
            if not under_way:
                break
            number, outcomes = workers.next_done()
            trial = _judged(number, under_way.pop(number), outcomes, plan, order_notional)
            kept.write(msgspec.json.encode(trial) + b"\n")
            kept.flush()
            points.finished(trial)
            done[number] = trial
            on_trial(trial)
    return [done[number] for number in sorted(done)]


def tasks(plan: Plan, point: dict[str, Choice]) -> tuple[Experiment, ...]:
    """One run a window."""
    there = applied(plan.base, point)
    return tuple(_within(there, window) for window in plan.windows)


def _within(experiment: Experiment, window: Window) -> Experiment:
    share = experiment.calibration_share if window.calibration_share is None else window.calibration_share
    return msgspec.structs.replace(experiment, begin=window.begin, end=window.end, calibration_share=share)


def read_trials(folder: Path) -> list[Trial]:
    """Finished trials; a last line that a crash tore is left out. Raises `BacktestError` for any other that cannot be read."""
    path = folder / TRIALS_FILE
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    found: list[Trial] = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            found.append(msgspec.json.decode(line, type=Trial))
        except UNREADABLE as error:
            if number < len(lines):
                raise BacktestError(
                    f"{path}, line {number}: cannot be read ({error}); remove the line, and it is run again"
                ) from error
            path.write_bytes(b"".join(each + b"\n" for each in lines[:-1]))
    return found


def _claim(plan: Plan, folder: Path) -> None:
    path = folder / PLAN_FILE
    told = msgspec.json.format(msgspec.json.encode(plan), indent=2)
    if not path.is_file():
        path.write_bytes(told + b"\n")
    elif msgspec.json.decode(path.read_bytes()) != msgspec.json.decode(told):
        raise BacktestError(f"{path} is of another sweep: give another --out, or repeat the command that began it")


def _judged(number: int, point: dict[str, Choice], outcomes: list[Outcome], plan: Plan, order_notional: float) -> Trial:
    failed = next((each for each in outcomes if each.report is None), None)
    if failed is not None:
        return Trial(number=number, point=point, value=LOWEST, error=failed.error)
    reports = [each.report for each in outcomes if each.report is not None]
    models = {text for report in reports for text in report["model"]["fills"].values() if report["model"]["modelled_fills"]}
    found = value(plan.objective, reports, order_notional, plan.least_fills)
    figures = [report["figures"] for report in reports]
    return Trial(number=number, point=point, value=found, figures=figures, fills_model="; ".join(sorted(models)))


class GridPoints:
    """All combinations that are not done yet."""

    def __init__(self, axes: Sequence[Axis], done: Iterable[int]) -> None:
        left = set(done)
        self._points: Iterator[tuple[int, dict[str, Choice]]] = (
            (number, point) for number, point in enumerate(grid(axes)) if number not in left
        )

    def next(self) -> tuple[int, dict[str, Choice]] | None:
        """Number and point; None when there are no more."""
        return next(self._points, None)

    def finished(self, trial: Trial) -> None:
        """A grid learns nothing."""


class StudyPoints:
    """Optuna's proposals (tree-structured Parzen estimator, seeded), kept in its journal."""

    def __init__(self, plan: Plan, axes: Sequence[Axis], folder: Path, trials: int, done: dict[int, Trial]) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = distributions(axes)
        self._trials = trials
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / STUDY_FILE)))
        sampler = optuna.samplers.TPESampler(seed=plan.seed + len(done), n_startup_trials=STARTUP_TRIALS, multivariate=True)
        self._study = optuna.create_study(
            storage=storage, study_name="sweep", sampler=sampler, direction="maximize", load_if_exists=True
        )
        self._failed = TrialState.FAIL
        for left in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            # It died with the process that had asked for it, or after its line was written and before this was told.
            if left.number in done:
                self.finished(done[left.number])
            else:
                self._study.tell(left.number, state=TrialState.FAIL)
                self._study.enqueue_trial(left.params)
        self._asked = len(done)

    def next(self) -> tuple[int, dict[str, Choice]] | None:
        """Number and point; None when there are no more."""
        if self._asked >= self._trials:
            return None
        self._asked += 1
        trial = self._study.ask(self._space)
        return trial.number, dict(trial.params)

    def finished(self, trial: Trial) -> None:
        """Tell Optuna; a trial that failed is no measure of anything."""
        if trial.error:
            self._study.tell(trial.number, state=self._failed)
        else:
            self._study.tell(trial.number, trial.value)
