"""`mmd train`: data to bundle from the command line, with a progress bar and a learning curve."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mmd.inference.bundle import Bundle
    from mmd.learning.dataset import Dataset
    from mmd.learning.labels import LabelSettings
    from mmd.learning.training import TrainingSettings

app = typer.Typer(name="train", help="Train networks and write bundles.", add_completion=False, pretty_exceptions_enable=False)

NETWORKS = ("quote",)
EXIT_ERROR = 1
EXIT_USAGE = 2

NetworkArgument = Annotated[str, typer.Argument(help="Which network: quote.")]
DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        metavar="SOURCE",
        help="sim:SEEDS,HOURS (the simulated market; hours of each seed) or a folder of recorded Binance frames; may be repeated.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle, such as models/quote-v2.")]
EpochsOption = Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training part at most.")]
MinutesOption = Annotated[float, typer.Option("--minutes", min=0.0, help="No epoch begins after so many minutes (0: no limit).")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of first weights, batches and inventory paths.")]
HorizonOption = Annotated[float, typer.Option("--horizon", min=0.01, help="H of the labels, seconds.")]
QuantileOption = Annotated[
    float, typer.Option("--spread-quantile", min=0.01, max=0.99, help="Quantile that the spread head is for.")
]
WorkOption = Annotated[
    Path | None, typer.Option("--work-dir", help="Checkpoint and learning curve (default: state/training/NAME of the bundle).")
]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the work directory, if there is one.")]


@app.command()
def train(
    network: NetworkArgument,
    data: DataOption,
    out: OutOption,
    epochs: EpochsOption = 25,
    minutes: MinutesOption = 0.0,
    seed: SeedOption = 1,
    horizon: HorizonOption = 1.0,
    spread_quantile: QuantileOption = 0.5,
    work_dir: WorkOption = None,
    resume: ResumeOption = False,
) -> None:
    """Train a network on simulated or recorded markets and write it as a bundle: quantized graphs, golden vectors, card.

    Needs the extra `train` (TensorFlow). The last part of every session is kept for the card's measures and fits nothing.

    \b
    Examples:
      mmd train quote --data sim:1-6,0.5 --data ../shared/data/binance_raw --out models/quote-v2
      mmd train quote --data sim:1,0.2 --out /tmp/quick --epochs 3
      mmd train quote --data sim:1-6,0.5 --out models/quote-v2 --resume

    \b
    Exit codes: 0 written, 1 could not be read, trained or built, 2 usage.
    """
    if network not in NETWORKS:
        _fail(f"there is no network {network!r}: expected {', '.join(NETWORKS)}", EXIT_USAGE)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from mmd.learning.labels import LabelSettings
    from mmd.learning.training import TrainingSettings

    labels = LabelSettings(horizon_seconds=horizon, spread_quantile=spread_quantile)
    bundle = _run(data, out, labels, TrainingSettings(epochs=epochs, seed=seed), work_dir, resume, minutes)
    typer.echo(summary(bundle))


def _run(
    data: list[str],
    out: Path,
    labels: LabelSettings,
    settings: TrainingSettings,
    work_dir: Path | None,
    resume: bool,
    minutes: float,
) -> Bundle:
    from mmd.inference.errors import BundleError
    from mmd.learning.building import build_bundle
    from mmd.learning.errors import SourceError
    from mmd.learning.progress import Bar
    from mmd.learning.training import CURVE_FILE, CheckpointError, train

    work = work_dir if work_dir is not None else Path("state/training") / out.name
    try:
        dataset = _dataset(data, labels)
        typer.echo(f"{dataset.rows('train')} rows to train on, checkpoint in {work}", err=True)
        deadline = time.monotonic() + 60.0 * minutes if minutes else float("inf")
        with Bar(settings.epochs) as bar:
            weights, _ = train(
                dataset, settings, work, resume=resume, observer=bar, out_of_time=lambda: time.monotonic() >= deadline
            )
        typer.echo("converting, and measuring on the test part", err=True)
        created = datetime.datetime.now(datetime.UTC)
        return build_bundle(
            out,
            weights,
            dataset,
            name=out.name,
            version=created.strftime("%Y%m%d.%H%M%S"),
            created_utc=created.isoformat(timespec="seconds"),
            walk=settings.walk,
            extra_files={CURVE_FILE: (work / CURVE_FILE).read_bytes()},
        )
    except ImportError as error:
        _fail(f"{error}: training needs the extra `train`, install it with: pip install 'mmd[train]'", EXIT_ERROR)
    except (SourceError, CheckpointError, BundleError, ValueError, OSError) as error:
        _fail(str(error), EXIT_ERROR)
    raise AssertionError("unreachable")


def _dataset(data: list[str], labels: LabelSettings) -> Dataset:
    from mmd.learning.data import parse_data
    from mmd.learning.dataset import SplitSettings, build_dataset

    sources = [source for text in data for source in parse_data(text)]
    return build_dataset(
        sources,
        labels,
        SplitSettings(),
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


def _fail(message: str, code: int) -> None:
    typer.echo(f"mmd train: {message}", err=True)
    raise typer.Exit(code)
