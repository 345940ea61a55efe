"""The progress bar of a training run: epochs with the time that is left, and a line for each finished epoch."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mmd.learning.cross_asset_training import CrossEpoch
from mmd.learning.training import EpochRecord


class Bar:
    """Shows itself on standard error while it is entered. An observer of `train`."""

    def __init__(self, epochs: int, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("at most"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._epochs = epochs
        self._task = self._progress.add_task("training", total=None, epoch="1")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def on_stage(self, text: str) -> None:
        """What comes before the epochs."""
        self._progress.update(self._task, epoch=f"(first: {text})")

    def on_chunk(self, epoch: int, done: int, total: int) -> None:
        """Chunks differ a little in number from epoch to epoch, so the total is corrected with each."""
        self._progress.update(
            self._task, completed=(epoch - 1) * total + done, total=self._epochs * total, epoch=f"{epoch} of {self._epochs}"
        )

    def on_epoch(self, record: EpochRecord) -> None:
        """One line."""
        train, validation = record.train["total"], record.validation["total"]
        best = "  best so far" if record.best else ""
        self._progress.console.print(
            f"epoch {record.epoch}: loss {train:.4f}, validation {validation:.4f}, price IC {record.price_ic:+.4f}{best}",
            highlight=False,
        )


class CrossBar(Bar):
    """The same for the cross-asset network."""

    def on_cross_epoch(self, record: CrossEpoch) -> None:
        """One line."""
        best = "  best so far" if record.best else ""
        self._progress.console.print(
            f"epoch {record.epoch}: loss {record.train:.4f}, validation {record.validation:.4f} "
            f"(of no move {record.validation_of_zero:.4f}){best}",
            highlight=False,
        )


class RowBar:
    """Rows that are done, on standard error while it is entered."""

    def __init__(self, stage: str, console: Console | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} rows"),
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._task = self._progress.add_task(stage, total=None)

    def __enter__(self) -> RowBar:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def on_total(self, rows: int) -> None:
        """So many rows are to be done."""
        self._progress.update(self._task, total=rows)

    def on_rows(self, rows: int) -> None:
        """So many more are done."""
        self._progress.advance(self._task, rows)

    def on_stage(self, text: str) -> None:
        """What comes now."""
        self._progress.update(self._task, description=text)
