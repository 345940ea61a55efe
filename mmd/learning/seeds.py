"""The same training from several seeds: the one that validation likes best serves, and how far they lie apart is in the bundle.

What differs between two seeds is luck. A gain over another bundle that is smaller than the spread of seeds is luck as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from mmd.learning.architecture import QuoteSizes, QuoteWeights
from mmd.learning.dataset import Dataset
from mmd.learning.starting import Start, save_start
from mmd.learning.training import CURVE_FILE, Observer, Silent, Trainer, TrainingSettings, with_teacher

SEEDS_FILE = "seeds.json"


class SeedRecord(msgspec.Struct, frozen=True):
    """What became of one seed. IC: of the price head, rows of all series together."""

    seed: int
    epochs: int
    best_epoch: int
    validation: float
    """Total loss of the best epoch, by which seeds are compared."""
    validation_ic: float
    test_ic: float
    """Nothing is chosen by it."""
    chosen: bool = False


class SeedsTrained(msgspec.Struct, frozen=True):
    """All of them, and what is to be built of the best."""

    weights: QuoteWeights
    records: list[SeedRecord]
    curve: bytes
    """Learning curve of the chosen one."""

    def document(self) -> bytes:
        """For `SEEDS_FILE`."""
        return msgspec.json.format(msgspec.json.encode(self.records), indent=1) + b"\n"

    def summary(self) -> str:
        """One line."""
        told = ", ".join(
            f"{each.seed}{' (chosen)' if each.chosen else ''} {each.validation_ic:+.4f} / {each.test_ic:+.4f}"
            for each in self.records
        )
        return f"price IC by seed, validation / test: {told}"


def train_seeds(
    dataset: Dataset,
    settings: TrainingSettings,
    work_dir: Path,
    seeds: Sequence[int],
    *,
    sizes: QuoteSizes | None = None,
    resume: bool = False,
    start: Start | None = None,
    observer: Observer | None = None,
    out_of_time: Callable[[int], bool] = lambda number: False,
) -> SeedsTrained:
    """Each seed in a folder of its own below `work_dir`; the ensemble that teaches them is fitted once.

    The weights of the chosen one are left in `work_dir` for others to begin with, as this begins with `start`.
    `out_of_time` is asked after each epoch of the seed at a place among `seeds`. Raises `CheckpointError` where `resume` finds the
    checkpoint of another training.
    """
    heard, used = observer or Silent(), sizes or QuoteSizes()
    shown = with_teacher(dataset.narrowed(used.market), settings, heard)
    found: list[tuple[SeedRecord, Trainer, Path]] = []
    for number, seed in enumerate(seeds):
        folder = work_dir if len(seeds) == 1 else work_dir / f"seed-{seed}"
        heard.on_stage(f"seed {seed}")
        trainer = Trainer(shown, settings.model_copy(update={"seed": seed}), folder, used, heard, start)
        trainer.run(resume, partial(out_of_time, number))
        best = min(trainer.epochs.records, key=lambda record: record.validation["total"])
        record = SeedRecord(
            seed, len(trainer.epochs.records), best.epoch, best.validation["total"], best.price_ic, trainer.test_ic()
        )
        found.append((record, trainer, folder))
    chosen = min(range(len(found)), key=lambda place: found[place][0].validation)
    records = [msgspec.structs.replace(record, chosen=place == chosen) for place, (record, _, _) in enumerate(found)]
    _, trainer, folder = found[chosen]
    save_start(work_dir, trainer.end())
    return SeedsTrained(trainer.best_weights(), records, (folder / CURVE_FILE).read_bytes())
