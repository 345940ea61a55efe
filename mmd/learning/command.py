"""`mmd train`: data to bundle from the command line, with a progress bar and a learning curve."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmd.inference.bundle import Bundle
    from mmd.learning.architecture import QuoteSizes
    from mmd.learning.dataset import Dataset, SplitSettings
    from mmd.learning.labels import LabelSettings
    from mmd.learning.starting import Start
    from mmd.learning.training import TrainingSettings

app = typer.Typer(name="train", help="Train networks and write bundles.", add_completion=False, pretty_exceptions_enable=False)

NETWORKS = ("quote", "companion", "combination", "cross-asset", "all")
CROSS_EPOCHS = 10
"""Of the cross-asset network at most."""
EXIT_ERROR = 1
EXIT_USAGE = 2

NetworkArgument = Annotated[
    str,
    typer.Argument(
        help="quote; companion (order flow, adverse selection and risk, into the bundle at --out); combination (trains "
        "nothing: fits how the heads of the bundle at --out are combined); cross-asset (likewise into it; "
        "needs data of several instruments of the same time); or all."
    ),
]
DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        metavar="SOURCE",
        help="sim:SEEDS,HOURS (the simulated market; hours of each seed), a folder of recorded Binance frames or of parquet books "
        "with their trades, or one such book; may be repeated.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle, such as models/quote-v4.")]
EpochsOption = Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training part at most.")]
MinutesOption = Annotated[float, typer.Option("--minutes", min=0.0, help="No epoch begins after so many minutes (0: no limit).")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of first weights, batches and inventory paths.")]
SeedsOption = Annotated[
    int,
    typer.Option(
        "--seeds", min=1, help="Train the quote network from so many seeds on; validation chooses, the card tells of all."
    ),
]
ArchitectureOption = Annotated[
    str,
    typer.Option(
        "--architecture",
        help="article (LSTM 128 and 64), compact (LSTM 48 and 24, the newest row beside them), "
        "row (no LSTM) or wide (no LSTM, larger layers).",
    ),
]
TeacherOption = Annotated[
    float,
    typer.Option("--teacher-share", min=0.0, max=1.0, help="Share of the price target that trees and networks together give."),
]
DecayOption = Annotated[float, typer.Option("--weight-decay", min=0.0, help="AdamW's.")]
MostRowsOption = Annotated[int, typer.Option("--most-rows", min=1_000, help="Newest rows of each series to train on at most.")]
ValidationOption = Annotated[
    float,
    typer.Option("--validation-share", min=0.01, max=0.49, help="Share of a session's time that weights and epochs are chosen by."),
]
LanesOption = Annotated[int, typer.Option("--lanes", min=1, help="Segments side by side.")]
HorizonOption = Annotated[float, typer.Option("--horizon", min=0.01, help="H of the labels, seconds.")]
QuantileOption = Annotated[
    float, typer.Option("--spread-quantile", min=0.01, max=0.99, help="Quantile that the spread head is for.")
]
WorkOption = Annotated[
    Path | None, typer.Option("--work-dir", help="Checkpoint and learning curve (default: state/training/NAME of the bundle).")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the work directory, if there is one.")]
BeginOption = Annotated[
    Path | None,
    typer.Option(
        "--begin-with",
        metavar="FOLDER",
        help="quote, all: begin with the weights that the training in this work directory ended with, in steps of a tenth of the "
        "size; so a network for all instruments becomes that of the data at hand.",
    ),
]
TakenFromOption = Annotated[
    Path | None,
    typer.Option(
        "--taken-from",
        metavar="BUNDLE",
        help="cross-asset: train nothing, take this bundle's network, and fit its weight beside the networks of the one at --out.",
    ),
]


@app.command()
def train(
    network: NetworkArgument,
    data: DataOption,
    out: OutOption,
    epochs: EpochsOption = 25,
    minutes: MinutesOption = 0.0,
    seed: SeedOption = 1,
    seeds: SeedsOption = 1,
    architecture: ArchitectureOption = "article",
    teacher_share: TeacherOption = 0.0,
    weight_decay: DecayOption = 0.02,
    lanes: LanesOption = 48,
    most_rows: MostRowsOption = 250_000,
    validation_share: ValidationOption = 0.15,
    horizon: HorizonOption = 1.0,
    spread_quantile: QuantileOption = 0.5,
    work_dir: WorkOption = None,
    resume: ResumeOption = False,
    begin_with: BeginOption = None,
    taken_from: TakenFromOption = None,
) -> None:
    """Train a network on simulated or recorded markets and write it as a bundle: quantized graphs, golden vectors, card.

    Needs the extra `train` (TensorFlow). The last day of each series (the last part of a shorter one) fits nothing and is what the
    card's measures are about.

    \b
    Examples:
      mmd train quote --data sim:1-6,0.5 --data ../shared/data/binance_raw --out models/quote-v4
      mmd train quote --data ../shared/data --out models/quote-v4 --architecture compact --teacher-share 0.7
      mmd train all --data ../shared/data --data sim:1-2,0.2 --out models/quote-v4 --architecture row --seeds 3
      mmd train quote --data sim:1,0.2 --out /tmp/quick --epochs 3
      mmd train quote --data sim:1-6,0.5 --out models/quote-v4 --resume
      mmd train all --data book/IBM.book.parquet --out models/ibm --architecture row --begin-with state/training/quote-v4
      mmd train cross-asset --data ../shared/data --data sim:1-2,0.2 --out models/quote-v4
      mmd train cross-asset --data ../shared/data --out models/quote-v4 --taken-from models/quote-v3

    \b
    Exit codes: 0 written, 1 could not be read, trained or built, 2 usage.
    """
    if network not in NETWORKS:
        _fail(f"there is no network {network!r}: expected {', '.join(NETWORKS)}", EXIT_USAGE)
    _need_extra()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from mmd.learning.architecture import ARCHITECTURES
    from mmd.learning.batches import WalkSizes
    from mmd.learning.companion_command import (
        combination_summary,
        companion_summary,
        cross_asset_summary,
        run_companion,
        run_cross_asset,
        take_cross_asset,
    )
    from mmd.learning.companion_use import fit_companion_use
    from mmd.learning.cross_asset_rows import received_together
    from mmd.learning.dataset import SplitSettings
    from mmd.learning.labels import LabelSettings
    from mmd.learning.starting import FINE_RATE
    from mmd.learning.training import TrainingSettings

    labels = LabelSettings(horizon_seconds=horizon, spread_quantile=spread_quantile)
    if architecture not in ARCHITECTURES:
        _fail(f"there is no architecture {architecture!r}: expected {' or '.join(ARCHITECTURES)}", EXIT_USAGE)
    settings = TrainingSettings(
        epochs=epochs, seed=seed, teacher_share=teacher_share, weight_decay=weight_decay, walk=WalkSizes(lanes=lanes)
    )
    start = None if begin_with is None else _start_or_exit(begin_with)
    if start is not None:
        settings = settings.model_copy(update={"learning_rate": FINE_RATE})
    dataset = _dataset_or_exit(data, labels, SplitSettings(most_train_rows=most_rows, validation_share=validation_share))
    if network in ("quote", "all"):
        typer.echo(summary(_run(dataset, out, settings, ARCHITECTURES[architecture], work_dir, resume, minutes, seeds, start)))
    work = _work_dir(work_dir, out)
    if network in ("companion", "all"):
        _beside("companion", lambda: run_companion(dataset, out, work, seed=seed, resume=resume), companion_summary)
    if network in ("companion", "combination", "all"):
        _beside("combination", lambda: fit_companion_use(out, dataset), combination_summary)
    if network == "all" and not received_together(dataset.histories):
        typer.echo("cross-asset: left out, since no two series of the data were received together", err=True)
    elif network in ("cross-asset", "all"):
        _beside(
            "cross-asset",
            lambda: (
                run_cross_asset(dataset, out, work, epochs=min(epochs, CROSS_EPOCHS), seed=seed, resume=resume)
                if taken_from is None
                else take_cross_asset(dataset, out, taken_from)
            ),
            cross_asset_summary,
        )


def _start_or_exit(folder: Path) -> Start:
    from mmd.learning.checkpoint import CheckpointError
    from mmd.learning.starting import load_start

    try:
        return load_start(folder)
    except CheckpointError as error:
        _fail(f"--begin-with {error}", EXIT_USAGE)
    raise AssertionError("unreachable")


def _dataset_or_exit(data: list[str], labels: LabelSettings, split: SplitSettings) -> Dataset:
    from mmd.learning.errors import SourceError

    try:
        return _dataset(data, labels, split)
    except ImportError as error:
        _fail(f"{error}: training needs the extra `train`, install it with: pip install 'mmd[train]'", EXIT_ERROR)
    except (SourceError, ValueError, OSError) as error:
        _fail(str(error), EXIT_ERROR)
    raise AssertionError("unreachable")


def _beside(network: str, make: Callable[[], Bundle], told: Callable[[Bundle], str]) -> None:
    """Trains a network into a bundle that is there, and says what it is worth."""
    from mmd.inference.errors import BundleError
    from mmd.learning.checkpoint import CheckpointError

    try:
        typer.echo(told(make()))
    except (BundleError, CheckpointError, ValueError, OSError) as error:
        _fail(f"{network}: {error}", EXIT_ERROR)


def _run(
    dataset: Dataset,
    out: Path,
    settings: TrainingSettings,
    sizes: QuoteSizes,
    work_dir: Path | None,
    resume: bool,
    minutes: float,
    seeds: int,
    start: Start | None,
) -> Bundle:
    from mmd.inference.errors import BundleError
    from mmd.learning.building import build_bundle
    from mmd.learning.checkpoint import CheckpointError
    from mmd.learning.errors import SourceError
    from mmd.learning.progress import Bar
    from mmd.learning.seeds import SEEDS_FILE, train_seeds
    from mmd.learning.training import CURVE_FILE

    work = _work_dir(work_dir, out)
    try:
        typer.echo(f"{dataset.rows('train')} rows to train on, checkpoint in {work}", err=True)
        share, begun = 60.0 * minutes / seeds if minutes else float("inf"), time.monotonic()
        with Bar(settings.epochs) as bar:
            trained = train_seeds(
                dataset,
                settings,
                work,
                range(settings.seed, settings.seed + seeds),
                sizes=sizes,
                resume=resume,
                start=start,
                observer=bar,
                out_of_time=lambda number: time.monotonic() >= begun + share * (number + 1),
            )
        typer.echo(trained.summary())
        typer.echo("converting, and measuring on the test part", err=True)
        created = datetime.datetime.now(datetime.UTC)
        return build_bundle(
            out,
            trained.weights,
            dataset,
            name=out.name,
            version=created.strftime("%Y%m%d.%H%M%S"),
            created_utc=created.isoformat(timespec="seconds"),
            walk=settings.walk,
            extra_files={CURVE_FILE: trained.curve, SEEDS_FILE: trained.document()},
        )
    except ImportError as error:
        _fail(f"{error}: training needs the extra `train`, install it with: pip install 'mmd[train]'", EXIT_ERROR)
    except (SourceError, CheckpointError, BundleError, ValueError, OSError) as error:
        _fail(str(error), EXIT_ERROR)
    raise AssertionError("unreachable")


def _work_dir(stated: Path | None, out: Path) -> Path:
    return stated if stated is not None else Path("state/training") / out.name


def _dataset(data: list[str], labels: LabelSettings, split: SplitSettings) -> Dataset:
    from mmd.learning.data import parse_data
    from mmd.learning.dataset import build_dataset

    sources = [source for text in data for source in parse_data(text)]
    return build_dataset(
        sources,
        labels,
        split,
        on_source=lambda source, rows: typer.echo(f"{source.series}: {rows} rows from {source.describe}", err=True),
    )


def summary(bundle: Bundle) -> str:
    """What the card says, in a few lines: the price head against its baselines by series, and what quantization cost."""
    card = bundle.card
    lines = [f"{bundle.folder}: {card.name} {card.version}, measured on the untouched last part of each session:"]
    for series, each in card.metrics.items():
        lines.append(
            f"  {series:24s} IC {each['price_change.ic']:+.3f} (microprice {each['microprice.ic']:+.3f}, imbalance "
            f"{each['touch_imbalance.ic']:+.3f})  pinball {each['optimal_spread.pinball']:.4f} "
            f"(constant {each['optimal_spread.pinball_of_constant']:.4f})"
        )
    weights = ", ".join(f"{name} {weight:g}" for name, weight in card.fair_weights.items())
    lines.append(f"  weights: {weights}; pull at {card.pull_threshold:g} half-spreads; max_target {card.max_target:g}")
    lost = card.quantization_loss
    lines.append(
        f"  int8: mean |difference| {lost['int8.price_change.mean_difference']:.4g} sigma, "
        f"IC lost {lost['int8.price_change.ic_loss']:+.2g}"
    )
    return "\n".join(lines)


def _need_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("tensorflow", "sklearn") if find_spec(name) is None]
    if missing:
        _fail(f"{', '.join(missing)} is not installed: pip install 'mmd[train]'", EXIT_ERROR)


def _fail(message: str, code: int) -> None:
    typer.echo(f"mmd train: {message}", err=True)
    raise typer.Exit(code)
