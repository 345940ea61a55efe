"""What other ways to train the quote network are worth: heads balanced by learnt variances, a wider network, labels alone, and one
network for each instrument, fine-tuned from the one for all.

`python bench/training_variants.py OUT.md SOURCE [SOURCE …]`, sources as `mmd train --data` takes them. Every way is trained from
the same seeds on the same rows and judged by the same loss; validation chooses the epoch, the test part nothing.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from mmd.learning.architecture import ARCHITECTURES, QuoteSizes
from mmd.learning.batches import WalkSizes
from mmd.learning.data import parse_data
from mmd.learning.dataset import PARTS, TEST, TRAIN, VALIDATION, Dataset, SplitSettings, build_dataset
from mmd.learning.labels import LabelSettings
from mmd.learning.starting import FINE_RATE, Start
from mmd.learning.training import Silent, Trainer, TrainingSettings, with_teacher

SEEDS = (1, 2)
ROW = ARCHITECTURES["row"]
WIDE = ARCHITECTURES["wide"]
FINE_EPOCHS, FINE_PATIENCE = 8, 2
FEWEST_FINE_ROWS = 20_000
HEAD = "| way | seed | epochs | validation loss | validation IC | test IC | test spread loss | test position loss |"


def main(arguments: list[str]) -> int:
    if len(arguments) < 2:
        sys.stderr.write("usage: python bench/training_variants.py OUT.md SOURCE [SOURCE …]\n")
        return 2
    sources = [source for text in arguments[1:] for source in parse_data(text)]
    base = TrainingSettings(teacher_share=0.7, walk=WalkSizes(lanes=48), patience=5)
    dataset = build_dataset(sources, LabelSettings(), SplitSettings()).narrowed(ROW.market)
    taught = with_teacher(dataset, base, Silent())
    ways: dict[str, tuple[Dataset, TrainingSettings, QuoteSizes]] = {
        "teacher 0.7": (taught, base, ROW),
        "labels alone": (dataset, base.model_copy(update={"teacher_share": 0.0}), ROW),
        "teacher 0.7, balance learnt": (taught, base.model_copy(update={"balance": "uncertainty"}), ROW),
        "teacher 0.7, wide": (taught, base, WIDE),
    }
    lines: list[str] = [HEAD, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    universal: Start | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name, (data, settings, sizes) in ways.items():
            for seed in SEEDS:
                work = Path(folder) / f"{name} {seed}"
                trainer = Trainer(data, settings.model_copy(update={"seed": seed}), work, sizes, Silent())
                trainer.run()
                universal = universal or trainer.end()
                lines.append(row(name, seed, trainer))
                print(lines[-1], flush=True)
        assert universal is not None
        fine = fine_tuned(taught, base, universal, Path(folder))
    Path(arguments[0]).write_text(page(arguments[1:], lines, fine), encoding="utf-8")
    return 0


def row(name: str, seed: int, trainer: Trainer) -> str:
    """A line of the first table."""
    (validation, validation_ic), (test, test_ic) = trainer.measured(VALIDATION), trainer.measured(TEST)
    heads = f"{test['optimal_spread']:.4f} | {test['position_signal']:.4f}"
    count = len(trainer.epochs.records)
    return f"| {name} | {seed} | {count} | {validation['total']:.4f} | {validation_ic:.4f} | {test_ic:.4f} | {heads} |"


def fine_tuned(dataset: Dataset, base: TrainingSettings, universal: Start, folder: Path) -> list[str]:
    """A line for each series with rows enough: the network for all, and what became of it on that series alone."""
    lines = []
    settings = base.model_copy(update={"learning_rate": FINE_RATE, "epochs": FINE_EPOCHS, "patience": FINE_PATIENCE})
    for series in dict.fromkeys(part.session.series for part in dataset.parts[TRAIN]):
        parts = {name: [part for part in dataset.parts[name] if part.session.series == series] for name in PARTS}
        own = replace(dataset, parts=parts)
        if own.rows(TRAIN) < FEWEST_FINE_ROWS or not all(parts.values()):
            continue
        trainer = Trainer(own, settings, folder / series, ROW, Silent(), universal)
        before = [trainer.measured(part) for part in (VALIDATION, TEST)]
        trainer.run()
        after = [trainer.measured(part) for part in (VALIDATION, TEST)]
        chosen = "own" if after[0][0]["total"] < before[0][0]["total"] else "for all"
        cells = [f"{was[0]['total']:.4f} / {now[0]['total']:.4f}" for was, now in zip(before, after, strict=True)]
        cells += [f"{was[1]:.4f} / {now[1]:.4f}" for was, now in zip(before, after, strict=True)]
        lines.append(f"| {series} | {own.rows(TRAIN):,} | {' | '.join(cells)} | {chosen} |")
        print(lines[-1], flush=True)
    return lines


def page(sources: list[str], ways: list[str], fine: list[str]) -> str:
    """Markdown."""
    return "\n".join(
        [
            "# Other ways to train the quote network",
            "",
            f"Made by `python bench/training_variants.py OUT.md {' '.join(sources)}`. Rows of all series together,",
            "weighted as in training; the loss is the one with fixed weights, by which every epoch is chosen. Nothing was chosen",
            "by the test part.",
            "",
            *ways,
            "",
            "## One network for each instrument",
            "",
            "The first network above, trained on at a tenth of the step size on one series alone. Each cell: the network for all /",
            "its own. What validation would have served is in the last column.",
            "",
            "| series | rows | validation loss | test loss | validation IC | test IC | validation chooses |",
            "| --- | ---: | --- | --- | --- | --- | --- |",
            *fine,
            "",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
